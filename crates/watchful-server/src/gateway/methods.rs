//! Which path is which method.

use std::sync::LazyLock;

use http::uri::PathAndQuery;
use prost_reflect::{DescriptorPool, MessageDescriptor};

/// Paths below `/v3/`, and the methods that they are for.
pub(super) const PATHS: &[(&str, &str)] = &[
    ("kv/range", "/etcdserverpb.KV/Range"),
    ("kv/put", "/etcdserverpb.KV/Put"),
    ("kv/deleterange", "/etcdserverpb.KV/DeleteRange"),
    ("kv/txn", "/etcdserverpb.KV/Txn"),
    ("kv/compaction", "/etcdserverpb.KV/Compact"),
    ("watch", "/etcdserverpb.Watch/Watch"),
    ("lease/grant", "/etcdserverpb.Lease/LeaseGrant"),
    ("lease/revoke", "/etcdserverpb.Lease/LeaseRevoke"),
    ("lease/keepalive", "/etcdserverpb.Lease/LeaseKeepAlive"),
    ("lease/timetolive", "/etcdserverpb.Lease/LeaseTimeToLive"),
    ("lease/leases", "/etcdserverpb.Lease/LeaseLeases"),
    // Where they were first, and where etcd still has them.
    ("kv/lease/revoke", "/etcdserverpb.Lease/LeaseRevoke"),
    ("kv/lease/timetolive", "/etcdserverpb.Lease/LeaseTimeToLive"),
    ("kv/lease/leases", "/etcdserverpb.Lease/LeaseLeases"),
    ("cluster/member/add", "/etcdserverpb.Cluster/MemberAdd"),
    ("cluster/member/remove", "/etcdserverpb.Cluster/MemberRemove"),
    ("cluster/member/update", "/etcdserverpb.Cluster/MemberUpdate"),
    ("cluster/member/list", "/etcdserverpb.Cluster/MemberList"),
    ("cluster/member/promote", "/etcdserverpb.Cluster/MemberPromote"),
    ("maintenance/alarm", "/etcdserverpb.Maintenance/Alarm"),
    ("maintenance/status", "/etcdserverpb.Maintenance/Status"),
    ("maintenance/defragment", "/etcdserverpb.Maintenance/Defragment"),
    ("maintenance/hash", "/etcdserverpb.Maintenance/Hash"),
    ("maintenance/hashkv", "/etcdserverpb.Maintenance/HashKV"),
    ("maintenance/snapshot", "/etcdserverpb.Maintenance/Snapshot"),
    ("maintenance/transfer-leadership", "/etcdserverpb.Maintenance/MoveLeader"),
    ("maintenance/downgrade", "/etcdserverpb.Maintenance/Downgrade"),
    ("auth/enable", "/etcdserverpb.Auth/AuthEnable"),
    ("auth/disable", "/etcdserverpb.Auth/AuthDisable"),
    ("auth/status", "/etcdserverpb.Auth/AuthStatus"),
    ("auth/authenticate", "/etcdserverpb.Auth/Authenticate"),
    ("auth/user/add", "/etcdserverpb.Auth/UserAdd"),
    ("auth/user/get", "/etcdserverpb.Auth/UserGet"),
    ("auth/user/list", "/etcdserverpb.Auth/UserList"),
    ("auth/user/delete", "/etcdserverpb.Auth/UserDelete"),
    ("auth/user/changepw", "/etcdserverpb.Auth/UserChangePassword"),
    ("auth/user/grant", "/etcdserverpb.Auth/UserGrantRole"),
    ("auth/user/revoke", "/etcdserverpb.Auth/UserRevokeRole"),
    ("auth/role/add", "/etcdserverpb.Auth/RoleAdd"),
    ("auth/role/get", "/etcdserverpb.Auth/RoleGet"),
    ("auth/role/list", "/etcdserverpb.Auth/RoleList"),
    ("auth/role/delete", "/etcdserverpb.Auth/RoleDelete"),
    ("auth/role/grant", "/etcdserverpb.Auth/RoleGrantPermission"),
    ("auth/role/revoke", "/etcdserverpb.Auth/RoleRevokePermission"),
    ("lock/lock", "/v3lockpb.Lock/Lock"),
    ("lock/unlock", "/v3lockpb.Lock/Unlock"),
    ("election/campaign", "/v3electionpb.Election/Campaign"),
    ("election/proclaim", "/v3electionpb.Election/Proclaim"),
    ("election/leader", "/v3electionpb.Election/Leader"),
    ("election/observe", "/v3electionpb.Election/Observe"),
    ("election/resign", "/v3electionpb.Election/Resign"),
];

/// A method, as the gateway needs to know it.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) path: PathAndQuery,
    pub(super) input: MessageDescriptor,
    pub(super) output: MessageDescriptor,
    pub(super) is_client_streaming: bool,
    pub(super) is_server_streaming: bool,
}

impl Method {
    /// The method with this gRPC path; none where there is none.
    pub(super) fn named(path: &'static str) -> Option<Self> {
        let (service, name) = path.strip_prefix('/')?.split_once('/')?;
        let service = descriptors().get_service_by_name(service)?;
        let method = service.methods().find(|method| method.name() == name)?;
        Some(Self {
            path: PathAndQuery::from_static(path),
            input: method.input(),
            output: method.output(),
            is_client_streaming: method.is_client_streaming(),
            is_server_streaming: method.is_server_streaming(),
        })
    }
}

/// The messages and services, described.
pub(crate) fn descriptors() -> &'static DescriptorPool {
    static DESCRIPTORS: LazyLock<DescriptorPool> = LazyLock::new(|| {
        DescriptorPool::decode(watchful_wire::DESCRIPTORS).expect("they were compiled with the program")
    });
    &DESCRIPTORS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A method that is new in the descriptors has to get a path here, or be named here as one that has none in etcd.
    #[test]
    fn every_method_of_etcd_has_a_path_and_every_path_a_method() {
        const WITHOUT: [&str; 1] = ["/etcdserverpb.KV/RangeStream"];
        let named: BTreeSet<&str> = PATHS.iter().map(|(_, grpc)| *grpc).chain(WITHOUT).collect();
        assert!(PATHS.iter().all(|(_, grpc)| Method::named(grpc).is_some()), "a path leads nowhere");
        let etcds =
            descriptors().services().filter(|service| service.parent_file().name() != "watchers.proto");
        let methods: BTreeSet<String> = etcds
            .flat_map(|service| {
                let names: Vec<_> = service.methods().map(|method| method.name().to_owned()).collect();
                names.into_iter().map(move |name| format!("/{}/{name}", service.full_name()))
            })
            .collect();
        assert_eq!(named, methods.iter().map(String::as_str).collect());
    }
}
