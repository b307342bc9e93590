//! Who may call what: the table of `docs/PERMISSIONS.md`, and each of its cells tried.
//!
//! A call counts as permitted where it is not refused by auth: what else may be wrong with it comes after that question.

use std::collections::BTreeSet;

use prost::Message;
use prost_reflect::DescriptorPool;
use tonic::client::Grpc;
use tonic::{Request, Status};
use watchful_wire::authpb::{Permission, permission::Type};
use watchful_wire::etcdserverpb as pb;
use watchful_wire::etcdserverpb::request_op::Request as Op;
use watchful_wire::v3electionpb as election;
use watchful_wire::v3lockpb as lock;
use watchful_wire::watchers::WatchersRequest;
use watchful_wire::{WatchResponse, WireCodec};

use crate::support::{PATIENCE, TestServer};

const TABLE: &str = include_str!("../../../../docs/PERMISSIONS.md");

/// The columns of the table, in its order: who calls. The keys are those that begin with `k`.
const CALLERS: [Option<&str>; 6] =
    [None, Some("nobodys"), Some("reader"), Some("writer"), Some("both"), Some("root")];

/// A lease that is on a key which only `root` may touch.
const FOREIGN_LEASE: i64 = 99;

struct Table {
    server: TestServer,
    tokens: Vec<Option<String>>,
    /// The methods that were called.
    called: BTreeSet<&'static str>,
    /// The rows as they turned out.
    rows: Vec<String>,
}

impl Table {
    async fn new() -> Self {
        let server = TestServer::start_with(|mut settings| {
            settings.auth.bcrypt_cost = 4;
            settings
        })
        .await;
        let mut table = Self { server, tokens: vec![None], called: BTreeSet::new(), rows: Vec::new() };
        table.make_users().await;
        for name in CALLERS.into_iter().flatten() {
            let login = pb::AuthenticateRequest { name: name.into(), password: "pw".into() };
            let answer: pb::AuthenticateResponse =
                table.call(None, "/etcdserverpb.Auth/Authenticate", login).await.unwrap();
            table.tokens.push(Some(answer.token));
        }
        table
    }

    /// Auth is off until all are there.
    async fn make_users(&self) {
        for name in CALLERS.into_iter().flatten() {
            self.must(
                "UserAdd",
                pb::AuthUserAddRequest { name: name.into(), password: "pw".into(), ..Default::default() },
            )
            .await;
        }
        for (role, kind) in [("reader", Type::Read), ("writer", Type::Write), ("root", Type::Readwrite)] {
            self.must("RoleAdd", pb::AuthRoleAddRequest { name: role.into() }).await;
            let perm = Permission { perm_type: kind.into(), key: "k".into(), range_end: "l".into() };
            self.must(
                "RoleGrantPermission",
                pb::AuthRoleGrantPermissionRequest { name: role.into(), perm: Some(perm) },
            )
            .await;
        }
        let grants = [
            ("reader", "reader"),
            ("writer", "writer"),
            ("both", "reader"),
            ("both", "writer"),
            ("root", "root"),
        ];
        for (user, role) in grants {
            self.must("UserGrantRole", pb::AuthUserGrantRoleRequest { user: user.into(), role: role.into() })
                .await;
        }
        let mut lease = self.server.lease();
        lease.lease_grant(pb::LeaseGrantRequest { id: FOREIGN_LEASE, ttl: 600 }).await.unwrap();
        for (key, lease) in [("k", 0), ("z", FOREIGN_LEASE)] {
            let put = pb::PutRequest { key: key.into(), lease, ..Default::default() };
            self.server.kv().put(put).await.unwrap();
        }
        self.must("AuthEnable", pb::AuthEnableRequest {}).await;
    }

    async fn must(&self, method: &str, message: impl Message + 'static) {
        let path: &'static str = format!("/etcdserverpb.Auth/{method}").leak();
        let token = self.tokens.last().cloned().flatten();
        self.call::<_, ()>(token, path, message).await.unwrap();
    }

    /// The first answer, or why there is none.
    async fn call<M, D>(&self, token: Option<String>, path: &'static str, message: M) -> Result<D, Status>
    where
        M: Message + Send + 'static,
        D: Message + Default + Send + 'static,
    {
        let mut request = Request::new(tokio_stream::once(message));
        if let Some(token) = token {
            request.metadata_mut().insert("token", token.parse().unwrap());
        }
        let mut grpc = Grpc::new(self.server.channel.clone()).max_decoding_message_size(usize::MAX);
        grpc.ready().await.unwrap();
        let answers = grpc.streaming(request, path.parse().unwrap(), WireCodec::<M, D>::default());
        let mut answers = tokio::time::timeout(PATIENCE, answers).await.expect("an answer")?.into_inner();
        let answer = tokio::time::timeout(PATIENCE, answers.message()).await.expect("an answer")?;
        Ok(answer.unwrap_or_default())
    }

    /// One row: the call as each caller, who is told by a number.
    async fn row<M>(&mut self, what: &str, path: &'static str, message: impl Fn(usize) -> M)
    where
        M: Message + Send + 'static,
    {
        let mut cells = Vec::new();
        for (caller, token) in self.tokens.clone().into_iter().enumerate() {
            let answer = self.call::<M, ()>(token, path, message(caller)).await;
            cells.push(if is_refused(answer.err().as_ref()) { "–" } else { "yes" });
        }
        self.note(what, path, &cells);
    }

    fn note(&mut self, what: &str, path: &'static str, cells: &[&str]) {
        self.called.insert(path);
        let name = path.rsplit_once('.').unwrap().1;
        let what = if what.is_empty() { String::new() } else { format!(" {what}") };
        self.rows.push(format!("| `{name}`{what} | {} |", cells.join(" | ")));
    }

    async fn watch_row(&mut self, what: &str, key: &str, range_end: &str) {
        let mut cells = Vec::new();
        for token in self.tokens.clone() {
            let (key, range_end) = (key.to_owned().into(), range_end.to_owned().into());
            let create = pb::WatchCreateRequest { key, range_end, ..Default::default() };
            let request_union = Some(pb::watch_request::RequestUnion::CreateRequest(create));
            let request = pb::WatchRequest { request_union };
            let answer: WatchResponse = self.call(token, "/etcdserverpb.Watch/Watch", request).await.unwrap();
            assert!(answer.created);
            assert_eq!(answer.canceled, answer.cancel_reason.contains("desc = etcdserver: "));
            cells.push(if answer.canceled { "–" } else { "yes" });
        }
        self.note(what, "/etcdserverpb.Watch/Watch", &cells);
    }
}

fn is_refused(status: Option<&Status>) -> bool {
    const REFUSALS: [&str; 3] =
        ["etcdserver: permission denied", "etcdserver: user name is empty", "etcdserver: invalid auth token"];
    status.is_some_and(|status| REFUSALS.contains(&status.message()))
}

fn range(key: &str, range_end: &str) -> pb::RangeRequest {
    pb::RangeRequest {
        key: key.to_owned().into(),
        range_end: range_end.to_owned().into(),
        ..Default::default()
    }
}

fn put(key: &str) -> pb::PutRequest {
    pb::PutRequest { key: key.to_owned().into(), ..Default::default() }
}

fn delete(key: &str, range_end: &str) -> pb::DeleteRangeRequest {
    let (key, range_end) = (key.to_owned().into(), range_end.to_owned().into());
    pb::DeleteRangeRequest { key, range_end, ..Default::default() }
}

fn txn(success: Op) -> pb::TxnRequest {
    pb::TxnRequest { success: vec![pb::RequestOp { request: Some(success) }], ..Default::default() }
}

impl Table {
    async fn keys(&mut self) {
        const RANGE: &str = "/etcdserverpb.KV/Range";
        self.row("of the keys", RANGE, |_| range("k", "l")).await;
        self.row("of one of them", RANGE, |_| range("k1", "")).await;
        self.row("of more than them", RANGE, |_| range("k", "m")).await;
        self.row("with an open end", RANGE, |_| range("k", "\0")).await;
        self.row("", "/etcdserverpb.KV/RangeStream", |_| range("k", "l")).await;
        const PUT: &str = "/etcdserverpb.KV/Put";
        self.row("", PUT, |_| put("k")).await;
        self.row("that wants the record before", PUT, |_| pb::PutRequest { prev_kv: true, ..put("k") }).await;
        self.row("onto a lease with others' keys", PUT, |_| pb::PutRequest {
            lease: FOREIGN_LEASE,
            ..put("k")
        })
        .await;
        self.row("of another key", PUT, |_| put("z1")).await;
        const DELETE: &str = "/etcdserverpb.KV/DeleteRange";
        self.row("", DELETE, |_| delete("k5", "k6")).await;
        self.row("that wants the records", DELETE, |_| pb::DeleteRangeRequest {
            prev_kv: true,
            ..delete("k5", "k6")
        })
        .await;
        self.row("with an open end", DELETE, |_| delete("zz", "\0")).await;
        self.row("", "/etcdserverpb.KV/Compact", |_| pb::CompactionRequest { revision: 2, physical: false })
            .await;
        self.watch_row("of the keys", "k", "l").await;
        self.watch_row("of more than them", "j", "l").await;
        self.watch_row("with an open end", "k", "\0").await;
    }

    async fn transactions(&mut self) {
        const TXN: &str = "/etcdserverpb.KV/Txn";
        let compare = |key: &'static str| pb::Compare { key: key.into(), ..Default::default() };
        self.row("of nothing", TXN, |_| pb::TxnRequest::default()).await;
        self.row("that compares", TXN, |_| pb::TxnRequest {
            compare: vec![compare("k")],
            ..Default::default()
        })
        .await;
        self.row("that compares another key", TXN, |_| pb::TxnRequest {
            compare: vec![compare("z")],
            ..Default::default()
        })
        .await;
        self.row("that reads", TXN, |_| txn(Op::RequestRange(range("k", "l")))).await;
        self.row("that puts", TXN, |_| txn(Op::RequestPut(put("k")))).await;
        self.row("that deletes", TXN, |_| txn(Op::RequestDeleteRange(delete("k5", "")))).await;
        self.row("that puts in the branch not taken", TXN, |_| {
            let put = txn(Op::RequestPut(put("k")));
            pb::TxnRequest { failure: put.success, ..Default::default() }
        })
        .await;
        self.row("that puts in a nested one", TXN, |_| txn(Op::RequestTxn(txn(Op::RequestPut(put("k"))))))
            .await;
        self.row("that compares in a nested one", TXN, |_| {
            txn(Op::RequestTxn(pb::TxnRequest { compare: vec![compare("k")], ..Default::default() }))
        })
        .await;
        self.row("that puts onto a lease with others' keys", TXN, |_| {
            txn(Op::RequestTxn(txn(Op::RequestPut(pb::PutRequest { lease: FOREIGN_LEASE, ..put("k") }))))
        })
        .await;
        self.row("that reads with an open end", TXN, |_| txn(Op::RequestRange(range("k", "\0")))).await;
    }

    async fn leases(&mut self) {
        self.row("", "/etcdserverpb.Lease/LeaseGrant", |caller| pb::LeaseGrantRequest {
            id: 10 + caller as i64,
            ttl: 600,
        })
        .await;
        let root = self.tokens.last().cloned().flatten();
        for lease in 20..26 {
            let grant = pb::LeaseGrantRequest { id: lease, ttl: 600 };
            self.call::<_, ()>(root.clone(), "/etcdserverpb.Lease/LeaseGrant", grant).await.unwrap();
            let put = pb::PutRequest { lease, ..put(&format!("k{lease}")) };
            self.call::<_, ()>(root.clone(), "/etcdserverpb.KV/Put", put).await.unwrap();
        }
        const ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
        self.row("with the keys on it", ALIVE, |caller| pb::LeaseKeepAliveRequest { id: 20 + caller as i64 })
            .await;
        self.row("with others' keys on it", ALIVE, |_| pb::LeaseKeepAliveRequest { id: FOREIGN_LEASE }).await;
        self.row("with no key on it", ALIVE, |_| pb::LeaseKeepAliveRequest { id: 15 }).await;
        const TIME: &str = "/etcdserverpb.Lease/LeaseTimeToLive";
        self.row("", TIME, |_| pb::LeaseTimeToLiveRequest { id: FOREIGN_LEASE, keys: false }).await;
        self.row("that wants the keys", TIME, |caller| pb::LeaseTimeToLiveRequest {
            id: 20 + caller as i64,
            keys: true,
        })
        .await;
        self.row("that wants others' keys", TIME, |_| pb::LeaseTimeToLiveRequest {
            id: FOREIGN_LEASE,
            keys: true,
        })
        .await;
        const LEASES: &str = "/etcdserverpb.Lease/LeaseLeases";
        self.row("with others' keys on one", LEASES, |_| pb::LeaseLeasesRequest {}).await;
        const REVOKE: &str = "/etcdserverpb.Lease/LeaseRevoke";
        self.row("with the keys on it", REVOKE, |caller| pb::LeaseRevokeRequest { id: 20 + caller as i64 })
            .await;
        self.row("with others' keys on it", REVOKE, |_| pb::LeaseRevokeRequest { id: FOREIGN_LEASE }).await;
        // That was the one with a foreign key.
        self.row("with the keys on them", LEASES, |_| pb::LeaseLeasesRequest {}).await;
    }

    async fn queues(&mut self) {
        let root = self.tokens.last().cloned().flatten();
        for lease in 30..48 {
            let grant = pb::LeaseGrantRequest { id: lease, ttl: 600 };
            self.call::<_, ()>(root.clone(), "/etcdserverpb.Lease/LeaseGrant", grant).await.unwrap();
        }
        self.row("", "/v3lockpb.Lock/Lock", |caller| lock::LockRequest {
            name: format!("k/lock-{caller}").into(),
            lease: 30 + caller as i64,
        })
        .await;
        self.row("", "/v3lockpb.Lock/Unlock", |_| lock::UnlockRequest { key: "k/nothing".into() }).await;
        self.row("", "/v3electionpb.Election/Campaign", |caller| election::CampaignRequest {
            name: format!("k/vote-{caller}").into(),
            lease: 40 + caller as i64,
            value: "me".into(),
        })
        .await;
        let leader =
            |key: &str| election::LeaderKey { key: key.to_owned().into(), rev: 7, ..Default::default() };
        self.row("", "/v3electionpb.Election/Proclaim", |_| election::ProclaimRequest {
            leader: Some(leader("k/nothing")),
            value: "me".into(),
        })
        .await;
        // That of root, who was permitted to be one.
        let asked = || election::LeaderRequest { name: "k/vote-5".into() };
        self.row("", "/v3electionpb.Election/Leader", |_| asked()).await;
        self.row("", "/v3electionpb.Election/Observe", |_| asked()).await;
        self.row("", "/v3electionpb.Election/Resign", |_| election::ResignRequest {
            leader: Some(leader("k/nothing")),
        })
        .await;
    }

    async fn upkeep(&mut self) {
        let alarm = |action: pb::alarm_request::AlarmAction| pb::AlarmRequest {
            action: action.into(),
            member_id: 0,
            alarm: pb::AlarmType::Corrupt.into(),
        };
        const ALARM: &str = "/etcdserverpb.Maintenance/Alarm";
        self.row("that looks", ALARM, |_| alarm(pb::alarm_request::AlarmAction::Get)).await;
        self.row("that disarms", ALARM, |_| alarm(pb::alarm_request::AlarmAction::Deactivate)).await;
        self.row("", "/etcdserverpb.Maintenance/Status", |_| pb::StatusRequest {}).await;
        self.row("", "/etcdserverpb.Maintenance/Defragment", |_| pb::DefragmentRequest {}).await;
        self.row("", "/etcdserverpb.Maintenance/Hash", |_| pb::HashRequest {}).await;
        self.row("", "/etcdserverpb.Maintenance/HashKV", |_| pb::HashKvRequest { revision: 0 }).await;
        self.row("", "/etcdserverpb.Maintenance/Snapshot", |_| pb::SnapshotRequest {}).await;
        self.row("", "/etcdserverpb.Maintenance/MoveLeader", |_| pb::MoveLeaderRequest { target_id: 1 })
            .await;
        self.row("", "/etcdserverpb.Maintenance/Downgrade", |_| pb::DowngradeRequest::default()).await;
        self.row("", "/etcdserverpb.Cluster/MemberAdd", |_| pb::MemberAddRequest::default()).await;
        self.row("", "/etcdserverpb.Cluster/MemberRemove", |_| pb::MemberRemoveRequest::default()).await;
        self.row("", "/etcdserverpb.Cluster/MemberUpdate", |_| pb::MemberUpdateRequest::default()).await;
        self.row("", "/etcdserverpb.Cluster/MemberPromote", |_| pb::MemberPromoteRequest::default()).await;
        self.row("", "/etcdserverpb.Cluster/MemberList", |_| pb::MemberListRequest::default()).await;
        self.row("", "/watchful.Watchers/List", |_| WatchersRequest::default()).await;
    }

    async fn users(&mut self) {
        const AUTH: &str = "/etcdserverpb.Auth";
        let path = |method: &str| -> &'static str { format!("{AUTH}/{method}").leak() };
        let name = |caller: usize| format!("new-{caller}");
        let password = || "pw".to_owned();
        self.row("", path("AuthStatus"), |_| pb::AuthStatusRequest {}).await;
        self.row("", path("Authenticate"), |_| pb::AuthenticateRequest {
            name: "reader".into(),
            password: password(),
        })
        .await;
        self.row("", path("UserAdd"), |caller| pb::AuthUserAddRequest {
            name: name(caller),
            password: password(),
            ..Default::default()
        })
        .await;
        self.row("", path("RoleAdd"), |caller| pb::AuthRoleAddRequest { name: name(caller) }).await;
        // Those that root made.
        let (new, other) = (|| "new-5".to_owned(), || "reader".to_owned());
        self.row("", path("UserList"), |_| pb::AuthUserListRequest {}).await;
        self.row("", path("RoleList"), |_| pb::AuthRoleListRequest {}).await;
        self.row("of another", path("UserGet"), |_| pb::AuthUserGetRequest { name: new() }).await;
        let own = |caller: usize| CALLERS[caller].unwrap_or("nobodys").to_owned();
        self.row("of oneself", path("UserGet"), |caller| pb::AuthUserGetRequest { name: own(caller) }).await;
        self.row("of a role one lacks", path("RoleGet"), |_| pb::AuthRoleGetRequest { role: new() }).await;
        self.row("of the role that reads", path("RoleGet"), |_| pb::AuthRoleGetRequest { role: other() })
            .await;
        self.row("", path("UserChangePassword"), |_| pb::AuthUserChangePasswordRequest {
            name: new(),
            password: password(),
            ..Default::default()
        })
        .await;
        self.row("", path("UserGrantRole"), |_| pb::AuthUserGrantRoleRequest { user: new(), role: new() })
            .await;
        self.row("", path("UserRevokeRole"), |_| pb::AuthUserRevokeRoleRequest { name: new(), role: new() })
            .await;
        let perm = || Permission { perm_type: Type::Read.into(), key: "x".into(), ..Default::default() };
        self.row("", path("RoleGrantPermission"), |_| pb::AuthRoleGrantPermissionRequest {
            name: new(),
            perm: Some(perm()),
        })
        .await;
        self.row("", path("RoleRevokePermission"), |_| pb::AuthRoleRevokePermissionRequest {
            role: new(),
            key: "x".into(),
            ..Default::default()
        })
        .await;
        self.row("", path("UserDelete"), |_| pb::AuthUserDeleteRequest { name: new() }).await;
        self.row("", path("RoleDelete"), |_| pb::AuthRoleDeleteRequest { role: new() }).await;
        self.row("", path("AuthEnable"), |_| pb::AuthEnableRequest {}).await;
        self.row("", path("AuthDisable"), |_| pb::AuthDisableRequest {}).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_of_the_table_is_as_the_document_says_and_no_method_is_missing() {
    let mut table = Table::new().await;
    table.keys().await;
    table.transactions().await;
    table.leases().await;
    table.queues().await;
    table.upkeep().await;
    table.users().await;
    let tried = table.rows.join("\n");
    let told: Vec<&str> = TABLE.lines().filter(|line| line.starts_with("| `")).collect();
    assert!(told.join("\n") == tried, "docs/PERMISSIONS.md should have these rows:\n{tried}\n");

    let methods: BTreeSet<String> = DescriptorPool::decode(watchful_wire::DESCRIPTORS)
        .unwrap()
        .services()
        .flat_map(|service| {
            let methods: Vec<_> = service.methods().map(|method| method.name().to_owned()).collect();
            methods.into_iter().map(move |method| format!("/{}/{method}", service.full_name()))
        })
        .collect();
    assert_eq!(table.called.iter().map(ToString::to_string).collect::<BTreeSet<_>>(), methods);
    table.server.stop().await;
}
