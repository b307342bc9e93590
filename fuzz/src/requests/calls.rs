//! A call: which method, in which form, by whom, and what is sent.

use std::sync::LazyLock;

use arbitrary::{Result, Unstructured};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor};

use super::messages::{self, Seen};
use crate::input::weighted;

/// The methods of every service, by the descriptors.
static METHODS: LazyLock<Vec<MethodDescriptor>> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(watchful_wire::DESCRIPTORS).unwrap();
    pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
});

/// Calls that may wait for somebody else, or go on for ever.
const WAITING: [&str; 3] = ["Lock", "Campaign", "Observe"];

/// Where the gateway has a method under another path than `service/method`.
const PATHS: &[(&str, &str)] = &[
    ("Range", "kv/range"),
    ("Put", "kv/put"),
    ("DeleteRange", "kv/deleterange"),
    ("Txn", "kv/txn"),
    ("Compact", "kv/compaction"),
    ("Watch", "watch"),
    ("LeaseGrant", "lease/grant"),
    ("LeaseRevoke", "kv/lease/revoke"),
    ("LeaseKeepAlive", "lease/keepalive"),
    ("LeaseTimeToLive", "lease/timetolive"),
    ("LeaseLeases", "lease/leases"),
    ("MemberAdd", "cluster/member/add"),
    ("MemberRemove", "cluster/member/remove"),
    ("MemberUpdate", "cluster/member/update"),
    ("MemberList", "cluster/member/list"),
    ("MemberPromote", "cluster/member/promote"),
    ("Alarm", "maintenance/alarm"),
    ("Status", "maintenance/status"),
    ("Defragment", "maintenance/defragment"),
    ("Hash", "maintenance/hash"),
    ("HashKV", "maintenance/hashkv"),
    ("Snapshot", "maintenance/snapshot"),
    ("MoveLeader", "maintenance/transfer-leadership"),
    ("Downgrade", "maintenance/downgrade"),
    ("AuthEnable", "auth/enable"),
    ("AuthDisable", "auth/disable"),
    ("AuthStatus", "auth/status"),
    ("Authenticate", "auth/authenticate"),
    ("UserAdd", "auth/user/add"),
    ("UserGet", "auth/user/get"),
    ("UserList", "auth/user/list"),
    ("UserDelete", "auth/user/delete"),
    ("UserChangePassword", "auth/user/changepw"),
    ("UserGrantRole", "auth/user/grant"),
    ("UserRevokeRole", "auth/user/revoke"),
    ("RoleAdd", "auth/role/add"),
    ("RoleGet", "auth/role/get"),
    ("RoleList", "auth/role/list"),
    ("RoleDelete", "auth/role/delete"),
    ("RoleGrantPermission", "auth/role/grant"),
    ("RoleRevokePermission", "auth/role/revoke"),
    ("Lock", "lock/lock"),
    ("Unlock", "lock/unlock"),
    ("Campaign", "election/campaign"),
    ("Proclaim", "election/proclaim"),
    ("Leader", "election/leader"),
    ("Observe", "election/observe"),
    ("Resign", "election/resign"),
];

#[derive(Debug)]
pub(super) struct Call {
    method: MethodDescriptor,
    pub(super) form: Form,
    /// With one of the tokens there are, which this number chooses; with none where it is even.
    pub(super) token: u8,
}

#[derive(Debug)]
pub(super) enum Form {
    /// Messages that can be read, over gRPC.
    Grpc(Vec<DynamicMessage>),
    /// The same as JSON.
    Json(Vec<DynamicMessage>),
    /// Nearly a message, over gRPC.
    LooseGrpc(Vec<u8>),
    /// Nearly JSON.
    LooseJson(Vec<u8>),
}

impl Call {
    pub(super) fn arbitrary(u: &mut Unstructured<'_>, seen: &Seen) -> Result<Self> {
        let method = &METHODS[usize::from(u.arbitrary::<u8>()?) % METHODS.len()];
        let token = u.arbitrary()?;
        let form = match weighted(u, &[8, 6, 1, 1])? {
            0 => Form::Grpc(some(u, method, seen)?),
            1 => Form::Json(some(u, method, seen)?),
            2 => {
                let message = messages::message(u, &method.input(), seen)?.encode_to_vec();
                Form::LooseGrpc(changed(u, message)?)
            }
            _ => {
                let message = serde_json::to_vec(&messages::message(u, &method.input(), seen)?).unwrap();
                Form::LooseJson(changed(u, message)?)
            }
        };
        Ok(Self { method: method.clone(), form, token })
    }

    /// A call of this method with this message.
    pub(super) fn of(method: &str, message: &[u8], token: u8) -> Self {
        let method = METHODS.iter().find(|known| known.name() == method).unwrap();
        let message = messages::read(&method.input(), message);
        Self { method: method.clone(), form: Form::Grpc(vec![message]), token }
    }

    /// A read that can be asked for in both forms, with the same answer.
    pub(super) fn is_read(&self) -> bool {
        self.method.name() == "Range"
    }

    /// Whether its answer is a stream of them, or may be long in coming.
    pub(super) fn may_wait(&self) -> bool {
        self.method.is_client_streaming()
            || self.method.is_server_streaming()
            || WAITING.contains(&self.method.name())
    }

    pub(super) fn output(&self) -> MessageDescriptor {
        self.method.output()
    }

    pub(super) fn is_loose(&self) -> bool {
        matches!(self.form, Form::LooseGrpc(_) | Form::LooseJson(_))
    }

    pub(super) fn is_json(&self) -> bool {
        matches!(self.form, Form::Json(_) | Form::LooseJson(_))
    }

    pub(super) fn path(&self) -> String {
        let name = self.method.name();
        match PATHS.iter().find(|(method, _)| *method == name) {
            Some((_, path)) if self.is_json() => format!("/v3/{path}"),
            // One that has no path in the gateway is not found there, which has to be said too.
            _ if self.is_json() => format!("/v3/{name}"),
            _ => format!("/{}/{name}", self.method.parent_service().full_name()),
        }
    }

    pub(super) fn body(&self) -> Vec<u8> {
        match &self.form {
            Form::Grpc(messages) => messages.iter().flat_map(|one| framed(&one.encode_to_vec())).collect(),
            Form::Json(messages) => {
                messages.iter().flat_map(|one| serde_json::to_vec(one).unwrap()).collect()
            }
            Form::LooseGrpc(bytes) => framed(bytes),
            Form::LooseJson(bytes) => bytes.clone(),
        }
    }
}

/// The same with some of it changed, cut, and anything behind it.
fn changed(u: &mut Unstructured<'_>, mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    for _ in 0..u.int_in_range(0..=4)? {
        let (at, byte) = (usize::from(u.arbitrary::<u8>()?), u.arbitrary()?);
        match bytes.len() {
            0 => bytes.push(byte),
            len => bytes[at % len] = byte,
        }
    }
    if u.ratio(1, 4)? {
        bytes.truncate(usize::from(u.arbitrary::<u8>()?));
    }
    bytes.extend_from_slice(u.bytes(u.len())?);
    Ok(bytes)
}

/// As many messages as the method takes: one, or up to three.
fn some(u: &mut Unstructured<'_>, method: &MethodDescriptor, seen: &Seen) -> Result<Vec<DynamicMessage>> {
    let count = if method.is_client_streaming() { u.int_in_range(1..=3)? } else { 1 };
    (0..count).map(|_| messages::message(u, &method.input(), seen)).collect()
}

/// As gRPC sends a message: not compressed, its length, the message.
fn framed(message: &[u8]) -> Vec<u8> {
    let len = u32::try_from(message.len()).unwrap();
    [&[0][..], &len.to_be_bytes(), message].concat()
}
