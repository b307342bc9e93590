//! Users, roles and permissions: made, changed, used and deleted, in every right and wrong way.

use bytes::Bytes;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use watchful_wire::authpb::{Permission, UserAddOptions, permission};
use watchful_wire::etcdserverpb as pb;

use crate::auth::AuthCall;
use crate::caller::{Caller, ROOT};
use crate::keys::{self, REGISTRY};
use crate::request::{Request, Upkeep};
use crate::step::Step;

/// Users that log in with a password.
const USERS: &[&str] = &["alice", "bob", "carol"];

/// A user without a password: nobody can log in as it.
const NO_PASSWORD: &str = "machine";

const ROLES: &[&str] = &["reader", "writer", "both"];

/// Ranges that permissions are for, few, so that they are revoked again and lie side by side.
const RANGES: &[(&[u8], &[u8])] = &[
    (b"a", b""),
    (b"a", b"b"),
    (b"b", b"d"),
    (b"b/1", b""),
    (b"c\0", b""),
    (b"d", b"g"),
    (b"a", b"g"),
    (b"f", b"\0"),
    (b"\0", b"\0"),
    (b"\0", b"b"),
];

/// Whoever asks for a step while users are asked for.
pub(super) fn caller(random: &mut StdRng) -> Caller {
    match random.random_range(0..100) {
        0..25 => Caller::User(ROOT),
        25..55 => Caller::User(USERS[0]),
        55..80 => Caller::User(USERS[1]),
        80..90 => Caller::User(USERS[2]),
        90..97 => Caller::Nobody,
        _ => Caller::Stranger,
    }
}

/// What has to be there before users are asked for, and then that they are.
pub(super) fn begin(random: &mut StdRng) -> Vec<Step> {
    let mut steps = vec![call(AuthCall::UserAdd(user_add(ROOT, "root's"))), call(grant_role(ROOT, ROOT))];
    for user in USERS {
        steps.push(call(AuthCall::UserAdd(user_add(user, user))));
    }
    for role in ROLES {
        steps.push(call(AuthCall::RoleAdd(pb::AuthRoleAddRequest { name: (*role).to_owned() })));
        for _ in 0..3 {
            steps.push(call(grant_permission(random, role)));
        }
    }
    for (user, role) in USERS.iter().zip(ROLES.iter().rev()) {
        steps.push(call(grant_role(user, role)));
    }
    steps.extend(enable());
    steps
}

/// Lets users be asked for, and logs them in.
fn enable() -> Vec<Step> {
    let log_in = |user: &&'static str| Step::LogIn { user, right: true };
    [call(AuthCall::Enable)].into_iter().chain(USERS.iter().map(log_in)).collect()
}

/// A step about users, while they are asked for or before.
pub(super) fn steps(random: &mut StdRng) -> Vec<Step> {
    let caller = match random.random_range(0..100) {
        0..75 => Caller::User(ROOT),
        75..90 => Caller::User(USERS.choose(random).copied().unwrap_or("alice")),
        90..96 => Caller::Nobody,
        _ => Caller::Stranger,
    };
    let by = |step: Step| Step::As { caller, step: Box::new(step) };
    let steps = match random.random_range(0..100) {
        0..22 => vec![Step::LogIn { user: any_user(random), right: random.random_bool(0.8) }],
        22..26 => enable(),
        26 => vec![call(AuthCall::Disable)],
        27..30 => vec![Step::WatchUntilRevoked],
        30..61 => {
            let change = of_users(random);
            let again = come_back(random, &change);
            [call(change)].into_iter().chain(again).collect()
        }
        61..92 => vec![call(of_roles(random))],
        92..97 => vec![Step::Ask(Request::Upkeep(upkeep(random)))],
        _ => vec![call(AuthCall::Status { enabled: false })],
    };
    steps.into_iter().map(by).collect()
}

/// What lets a user ask again whose token a change ends: mostly, for else nobody would be left soon.
fn come_back(random: &mut StdRng, change: &AuthCall) -> Vec<Step> {
    let Some(user) = USERS.iter().find(|user| change.ends_tokens_of(user)) else { return Vec::new() };
    let mut steps = Vec::new();
    if matches!(change, AuthCall::UserDelete(_)) {
        steps.push(call(AuthCall::UserAdd(user_add(user, user))));
        steps.push(call(grant_role(user, ROLES.choose(random).copied().unwrap_or("both"))));
    }
    steps.push(Step::LogIn { user, right: true });
    if random.random_bool(0.2) { Vec::new() } else { steps }
}

fn call(call: AuthCall) -> Step {
    Step::Ask(Request::Auth(call))
}

fn upkeep(random: &mut StdRng) -> Upkeep {
    use Upkeep::{Defragment, Disarm, Hash, Snapshot, Status};
    *[Status, Hash, Defragment, Snapshot, Disarm].choose(random).unwrap_or(&Status)
}

fn of_users(random: &mut StdRng) -> AuthCall {
    let name = any_user(random).to_owned();
    match random.random_range(0..100) {
        0..20 => AuthCall::UserAdd(any_user_add(random)),
        20..36 => AuthCall::UserGet(pb::AuthUserGetRequest { name }),
        36..46 => AuthCall::UserList,
        46..54 => AuthCall::UserDelete(pb::AuthUserDeleteRequest { name }),
        54..64 => {
            // An empty one is kept otherwise by etcd 3.4.23.
            let password = format!("{name}{}", random.random_range(0..3));
            let hashed_password = String::new();
            AuthCall::UserChangePassword(pb::AuthUserChangePasswordRequest {
                name,
                password,
                hashed_password,
            })
        }
        64..86 => grant_role(&name, any_role(random)),
        _ => {
            let role = any_role(random).to_owned();
            AuthCall::UserRevokeRole(pb::AuthUserRevokeRoleRequest { name, role })
        }
    }
}

fn of_roles(random: &mut StdRng) -> AuthCall {
    let name = any_role(random).to_owned();
    match random.random_range(0..100) {
        0..10 => AuthCall::RoleAdd(pb::AuthRoleAddRequest { name }),
        10..26 => AuthCall::RoleGet(pb::AuthRoleGetRequest { role: name }),
        26..34 => AuthCall::RoleList,
        34..38 => AuthCall::RoleDelete(pb::AuthRoleDeleteRequest { role: name }),
        38..75 => grant_permission(random, &name),
        75..77 => AuthCall::RoleGrantPermission(pb::AuthRoleGrantPermissionRequest { name, perm: None }),
        _ => {
            let (key, range_end) = any_range(random);
            AuthCall::RoleRevokePermission(pb::AuthRoleRevokePermissionRequest { role: name, key, range_end })
        }
    }
}

fn user_add(name: &str, password: &str) -> pb::AuthUserAddRequest {
    pb::AuthUserAddRequest { name: name.to_owned(), password: password.to_owned(), ..Default::default() }
}

fn any_user_add(random: &mut StdRng) -> pb::AuthUserAddRequest {
    let name = any_user(random);
    // Root always has a password: without one, nobody could go on.
    if name == NO_PASSWORD || (name != ROOT && random.random_bool(0.1)) {
        let options = Some(UserAddOptions { no_password: true });
        return pb::AuthUserAddRequest { options, ..user_add(name, "") };
    }
    let options = random.random_bool(0.3).then_some(UserAddOptions { no_password: false });
    pb::AuthUserAddRequest { options, ..user_add(name, name) }
}

fn grant_role(user: &str, role: &str) -> AuthCall {
    AuthCall::UserGrantRole(pb::AuthUserGrantRoleRequest { user: user.to_owned(), role: role.to_owned() })
}

fn grant_permission(random: &mut StdRng, role: &str) -> AuthCall {
    let (key, range_end) = any_range(random);
    let read_write = permission::Type::Readwrite as i32;
    let perm_type = match random.random_range(0..50) {
        0 => 7,
        1..20 => read_write,
        _ => random.random_range(0..read_write),
    };
    let perm = Some(Permission { perm_type, key, range_end });
    AuthCall::RoleGrantPermission(pb::AuthRoleGrantPermissionRequest { name: role.to_owned(), perm })
}

fn any_range(random: &mut StdRng) -> (Bytes, Bytes) {
    match random.random_range(0..20) {
        0..15 => {
            let (key, range_end) = RANGES.choose(random).copied().unwrap_or((b"a", b""));
            (Bytes::from_static(key), Bytes::from_static(range_end))
        }
        15..17 => (REGISTRY.into(), keys::prefix_end(REGISTRY.as_bytes())),
        _ => keys::range(random),
    }
}

fn any_user(random: &mut StdRng) -> &'static str {
    match random.random_range(0..40) {
        0..32 => USERS.choose(random).copied().unwrap_or("alice"),
        32..35 => ROOT,
        35..38 => NO_PASSWORD,
        38 => "stranger",
        _ => "",
    }
}

fn any_role(random: &mut StdRng) -> &'static str {
    match random.random_range(0..40) {
        0..36 => ROLES.choose(random).copied().unwrap_or("both"),
        36..38 => ROOT,
        38 => "nothing",
        _ => "",
    }
}
