//! The whole store against the testkit's model, at every revision that can be read: through groups that are committed
//! and groups that are dropped, transactions that fail, compaction in slices that are broken off, and reopening.

use proptest::collection::vec;
use proptest::prelude::*;
use watchful_mvcc_twin::{Action, Twin};
use watchful_testkit::script::Step;
use watchful_testkit::strategies;

fn action() -> impl Strategy<Value = Action> {
    let slice = proptest::option::weighted(0.2, 0..4_usize);
    let group = (vec(strategies::step(), 1..5), proptest::bool::weighted(0.85), slice)
        .prop_map(|(steps, is_committed, slice)| Action::Group { steps, is_committed, slice });
    let read = (strategies::key_range(), strategies::range_options(), strategies::revision())
        .prop_map(|(range, options, revision)| Action::Read { range, options, revision });
    let compaction = strategies::revision().prop_map(|revision| Action::Group {
        steps: vec![Step::Compact(revision)],
        is_committed: true,
        slice: None,
    });
    prop_oneof![
        8 => group,
        2 => compaction,
        3 => (0..5_usize).prop_map(Action::Slice),
        1 => Just(Action::Reopen),
        4 => read,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_the_model(actions in vec(action(), 1..16), chunk_bytes in 1..400_usize) {
        let mut twin = Twin::default();
        for action in &actions {
            twin.run(action);
            twin.check(chunk_bytes);
        }
        twin.check_closed();
    }
}
