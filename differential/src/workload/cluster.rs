//! Everything that is asked about a server, and what a single one refuses.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use watchful_wire::etcdserverpb::{
    AlarmRequest, HashKvRequest, MemberAddRequest, MemberListRequest, MemberPromoteRequest,
    MemberRemoveRequest, MemberUpdateRequest, MoveLeaderRequest,
};

use crate::request::Request;
use crate::step::Step;
use crate::tokens::{compacted, current};

/// The id of no member.
const NOBODY: u64 = 12_345;

pub(super) fn step(random: &mut StdRng) -> Step {
    Step::Ask(match random.random_range(0..100) {
        0..15 => Request::Alarm(AlarmRequest::default()),
        15..30 => Request::MemberList(MemberListRequest { linearizable: random.random_bool(0.5) }),
        30..36 => Request::MemberRemove(MemberRemoveRequest { id: NOBODY }),
        36..42 => {
            let peer_ur_ls = vec!["http://127.0.0.1:1".to_owned()];
            Request::MemberUpdate(MemberUpdateRequest { id: NOBODY, peer_ur_ls })
        }
        42..48 => Request::MemberPromote(MemberPromoteRequest { id: NOBODY }),
        48..54 => {
            let peer_ur_ls = vec!["not a URL".to_owned()];
            Request::MemberAdd(MemberAddRequest { peer_ur_ls, is_learner: false })
        }
        54..60 => Request::MoveLeader(MoveLeaderRequest { target_id: NOBODY }),
        _ => {
            let revision = *[0, current(0), current(-3), compacted(0), compacted(-1), current(4)]
                .choose(random)
                .unwrap_or(&0);
            Request::HashKv(HashKvRequest { revision })
        }
    })
}
