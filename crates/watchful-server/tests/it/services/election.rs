//! The Election service: campaign, proclaim, leader, observe and resign, and how each of them fails.

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use watchful_wire::etcdserverpb::kv_client::KvClient;
use watchful_wire::etcdserverpb::lease_client::LeaseClient;
use watchful_wire::etcdserverpb::{LeaseRevokeRequest, RangeRequest};
use watchful_wire::v3electionpb::election_client::ElectionClient;
use watchful_wire::v3electionpb::{
    CampaignRequest, LeaderKey, LeaderRequest, LeaderResponse, ProclaimRequest, ResignRequest,
};

use crate::support::{DEADLINE, Server, connect, grant};

/// One who takes part in elections.
#[derive(Clone)]
struct Voter {
    channel: Channel,
    client: ElectionClient<Channel>,
}

impl Voter {
    async fn of(server: &Server) -> Self {
        let channel = connect(&server.endpoint()).await;
        Self { client: ElectionClient::new(channel.clone()), channel }
    }

    async fn lease(&self) -> i64 {
        grant(&self.channel, 600).await
    }

    async fn revoke(&self, id: i64) {
        LeaseClient::new(self.channel.clone()).lease_revoke(LeaseRevokeRequest { id }).await.unwrap();
    }

    async fn campaign(&mut self, lease: i64, value: &str) -> Result<LeaderKey, Status> {
        let request = CampaignRequest { name: "name".into(), lease, value: value.to_owned().into() };
        Ok(self.client.campaign(request).await?.into_inner().leader.unwrap())
    }

    fn campaigning(&self, lease: i64, value: &'static str) -> JoinHandle<Result<LeaderKey, Status>> {
        let mut voter = self.clone();
        tokio::spawn(async move { voter.campaign(lease, value).await })
    }

    async fn proclaim(&mut self, leader: Option<LeaderKey>, value: &str) -> Result<(), Status> {
        self.client.proclaim(ProclaimRequest { leader, value: value.to_owned().into() }).await.map(drop)
    }

    async fn resign(&mut self, leader: Option<LeaderKey>) -> Result<(), Status> {
        self.client.resign(ResignRequest { leader }).await.map(drop)
    }

    async fn leader(&mut self) -> Result<LeaderResponse, Status> {
        Ok(self.client.leader(LeaderRequest { name: "name".into() }).await?.into_inner())
    }

    async fn observe(&mut self) -> Streaming<LeaderResponse> {
        self.client.observe(LeaderRequest { name: "name".into() }).await.unwrap().into_inner()
    }

    async fn until_candidates(&self, count: i64) {
        let mut kv = KvClient::new(self.channel.clone());
        let range = RangeRequest {
            key: "name/".into(),
            range_end: "name0".into(),
            count_only: true,
            ..Default::default()
        };
        let there = async {
            while kv.range(range.clone()).await.unwrap().into_inner().count != count {
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, there).await.expect("the candidates should be there");
    }
}

/// The next leader's value that an observer is told.
async fn next_value(observer: &mut Streaming<LeaderResponse>) -> String {
    let answer = timeout(DEADLINE, observer.message()).await.expect("a leader should be told");
    let answer = answer.unwrap().expect("an observer is told until it leaves");
    String::from_utf8(answer.kv.unwrap().value().to_vec()).unwrap()
}

#[tokio::test]
async fn a_leader_is_a_key_under_the_name_on_its_lease() {
    let server = Server::start();
    let mut voter = Voter::of(&server).await;
    let lease = voter.lease().await;
    let leader = voter.campaign(lease, "first").await.unwrap();
    assert_eq!(leader.name, "name");
    assert_eq!((leader.key.clone(), leader.rev, leader.lease), (format!("name/{lease:x}").into(), 2, lease));
    let told = voter.leader().await.unwrap();
    assert_eq!(told.header.unwrap().revision, 2);
    let kv = told.kv.unwrap();
    assert_eq!((kv.key(), kv.value(), kv.lease()), (&leader.key[..], &b"first"[..], lease));
}

#[tokio::test]
async fn campaigning_again_changes_what_the_leader_says() {
    let server = Server::start();
    let mut voter = Voter::of(&server).await;
    let lease = voter.lease().await;
    let leader = voter.campaign(lease, "first").await.unwrap();
    let again = voter.campaign(lease, "again").await.unwrap();
    assert_eq!((again.key, again.rev), (leader.key, leader.rev));
    assert_eq!(voter.leader().await.unwrap().kv.unwrap().value(), b"again");
}

#[tokio::test]
async fn leaders_follow_each_other_in_the_order_they_stood() {
    let server = Server::start();
    let mut voter = Voter::of(&server).await;
    let leases = [voter.lease().await, voter.lease().await, voter.lease().await];
    let first = voter.campaign(leases[0], "first").await.unwrap();
    let mut observer = voter.observe().await;
    assert_eq!(next_value(&mut observer).await, "first");
    let second = voter.campaigning(leases[1], "second");
    voter.until_candidates(2).await;
    let third = voter.campaigning(leases[2], "third");
    voter.until_candidates(3).await;
    assert_eq!(voter.leader().await.unwrap().kv.unwrap().value(), b"first");

    voter.resign(Some(first)).await.unwrap();
    let second = timeout(DEADLINE, second).await.expect("the second should lead").unwrap().unwrap();
    assert_eq!(next_value(&mut observer).await, "second");
    voter.proclaim(Some(second), "second again").await.unwrap();
    assert_eq!(next_value(&mut observer).await, "second again");
    assert!(!third.is_finished(), "the third should still wait");

    voter.revoke(leases[1]).await;
    timeout(DEADLINE, third).await.expect("the third should lead").unwrap().unwrap();
    assert_eq!(next_value(&mut observer).await, "third");
}

#[tokio::test]
async fn an_observer_waits_for_the_first_leader() {
    let server = Server::start();
    let mut voter = Voter::of(&server).await;
    let lease = voter.lease().await;
    // The stream's headers may come with its first answer only.
    let mut other = voter.clone();
    let observing = tokio::spawn(async move { next_value(&mut other.observe().await).await });
    voter.campaign(lease, "first").await.unwrap();
    assert_eq!(timeout(DEADLINE, observing).await.expect("a leader should be told").unwrap(), "first");
}

#[tokio::test]
async fn a_name_without_a_leader_has_none() {
    let server = Server::start();
    let mut voter = Voter::of(&server).await;
    let refused = voter.leader().await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unknown, "election: no leader"));
}

#[tokio::test]
async fn who_does_not_lead_proclaims_nothing() {
    let server = Server::start();
    let mut voter = Voter::of(&server).await;
    let lease = voter.lease().await;
    let leader = voter.campaign(lease, "first").await.unwrap();
    voter.resign(Some(leader.clone())).await.unwrap();
    voter.until_candidates(0).await;
    let refused = voter.proclaim(Some(leader.clone()), "late").await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unknown, "election: not leader"));
    // To resign from what one does not hold is no mistake.
    voter.resign(Some(leader)).await.unwrap();
}

#[tokio::test]
async fn a_key_that_was_taken_by_another_campaign_is_not_the_old_leaders() {
    let server = Server::start();
    let mut voter = Voter::of(&server).await;
    let lease = voter.lease().await;
    let old = voter.campaign(lease, "old").await.unwrap();
    voter.resign(Some(old.clone())).await.unwrap();
    let new = voter.campaign(lease, "new").await.unwrap();
    assert_eq!(new.key, old.key);
    assert!(new.rev > old.rev);
    let refused = voter.proclaim(Some(old.clone()), "late").await.unwrap_err();
    assert_eq!(refused.message(), "election: not leader");
    voter.resign(Some(old)).await.unwrap();
    assert_eq!(voter.leader().await.unwrap().kv.unwrap().value(), b"new");
}

#[tokio::test]
async fn proclaiming_and_resigning_need_a_leader_key() {
    let server = Server::start();
    let mut voter = Voter::of(&server).await;
    let expected = (Code::Unknown, "\"leader\" field must be provided");
    let refused = voter.proclaim(None, "x").await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), expected);
    let refused = voter.resign(None).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), expected);
}

#[tokio::test]
async fn a_lease_that_does_not_exist_elects_nobody() {
    let server = Server::start();
    let mut voter = Voter::of(&server).await;
    let refused = voter.campaign(77, "x").await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unknown, "etcdserver: requested lease not found"));
    voter.until_candidates(0).await;
}

#[tokio::test]
async fn who_stops_campaigning_is_no_candidate() {
    let server = Server::start();
    let mut voter = Voter::of(&server).await;
    let leases = [voter.lease().await, voter.lease().await];
    voter.campaign(leases[0], "first").await.unwrap();
    let second = voter.campaigning(leases[1], "second");
    voter.until_candidates(2).await;
    second.abort();
    voter.until_candidates(1).await;
}
