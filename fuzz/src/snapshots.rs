//! An etcd's snapshot with any rows in it: what is moved in is a whole store, which a server starts with; anything else is an
//! error, and leaves no store.

use std::collections::BTreeMap;

use arbitrary::{Arbitrary, Unstructured};
use prost::Message;
use watchful_revision::{EtcdRow, KeyValue, Revision};
use watchful_server::{EtcdSnapshot, Server, ServerSettings};
use watchful_wire::authpb::{Permission, Role, User};

use crate::bbolt::{file_of, write};

#[derive(Arbitrary, Debug)]
enum Row {
    /// A change, as etcd writes one, or nearly so.
    Put {
        main: u8,
        sub: u8,
        key: u8,
        value: Vec<u8>,
        create_back: u8,
        version: u8,
        lease: i8,
        other_main: bool,
    },
    Tombstone {
        main: u8,
        sub: u8,
        key: u8,
    },
    Compacted {
        revision: u8,
        is_finished: bool,
    },
    Term(u64),
    Lease {
        id: i64,
        ttl: i64,
    },
    AuthEnabled(bool),
    AuthRevision(u64),
    User {
        name: u8,
        password: Vec<u8>,
        roles: Vec<u8>,
    },
    Role {
        name: u8,
        kind: i32,
        key: Vec<u8>,
        range_end: Vec<u8>,
    },
    /// Anything in any bucket.
    Loose {
        bucket: u8,
        key: Vec<u8>,
        value: Vec<u8>,
    },
}

const BUCKETS: [&str; 10] = [
    "alarm",
    "auth",
    "authRoles",
    "authUsers",
    "cluster",
    "key",
    "lease",
    "members",
    "members_removed",
    "meta",
];
/// More rows say nothing that fewer do not.
const ROWS_MAX: usize = 60;

type Content = BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Vec<u8>>>;

pub(crate) fn run(input: &[u8]) {
    let Ok(rows) = Vec::<Row>::arbitrary_take_rest(Unstructured::new(input)) else { return };
    let mut content: Content =
        BUCKETS.iter().map(|name| (name.as_bytes().to_vec(), BTreeMap::new())).collect();
    rows.iter().take(ROWS_MAX).for_each(|row| add(&mut content, row));
    let Ok(snapshot) = EtcdSnapshot::open(file_of(&write(&content))) else { return };
    let _ = snapshot.status();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    if snapshot.restore(&dir).is_err() {
        assert!(!dir.join("data.mdb").exists(), "what could not be moved in has left a store");
        return;
    }
    let report = watchful::check(&dir).unwrap();
    assert!(report.is_ok(), "{:?}", report.problems);
    let server = Server::open(ServerSettings::new(&dir)).expect("a server starts with what was moved in");
    assert_eq!(server.shared().store.current_revision(), snapshot.revision());
    server.close().unwrap();
}

fn add(content: &mut Content, row: &Row) {
    let (bucket, key, value) = match row {
        Row::Put { main, sub, key, value, create_back, version, lease, other_main } => {
            let revision = Revision::new(u64::from(*main), u32::from(*sub));
            let message = KeyValue {
                key: name(*key).into(),
                create_revision: revision.main.saturating_sub(u64::from(*create_back)),
                mod_revision: revision.main + u64::from(*other_main),
                version: u64::from(*version),
                value: value.clone().into(),
                lease: i64::from(*lease),
            };
            ("key", EtcdRow::put_key(revision).to_vec(), message.encode_to_vec())
        }
        Row::Tombstone { main, sub, key } => {
            let revision = Revision::new(u64::from(*main), u32::from(*sub));
            let message = KeyValue { key: name(*key).into(), ..KeyValue::default() };
            ("key", [&EtcdRow::put_key(revision)[..], b"t"].concat(), message.encode_to_vec())
        }
        Row::Compacted { revision, is_finished } => {
            let key = if *is_finished { "finishedCompactRev" } else { "scheduledCompactRev" };
            let revision = Revision::start_of(u64::from(*revision));
            ("meta", key.into(), EtcdRow::put_key(revision).to_vec())
        }
        Row::Term(term) => ("meta", b"term".to_vec(), term.to_be_bytes().to_vec()),
        Row::Lease { id, ttl } => {
            let message = LeaseRow { id: *id, ttl: *ttl };
            ("lease", id.to_be_bytes().to_vec(), message.encode_to_vec())
        }
        Row::AuthEnabled(is_on) => ("auth", b"authEnabled".to_vec(), vec![u8::from(*is_on)]),
        Row::AuthRevision(revision) => ("auth", b"authRevision".to_vec(), revision.to_be_bytes().to_vec()),
        Row::User { name: user, password, roles } => {
            let message = User {
                name: name(*user).into(),
                password: password.clone().into(),
                roles: roles.iter().map(|role| name(*role)).collect(),
                options: None,
            };
            ("authUsers", name(*user).into(), message.encode_to_vec())
        }
        Row::Role { name: role, kind, key, range_end } => {
            let (key, range_end) = (key.clone().into(), range_end.clone().into());
            let permission = Permission { perm_type: *kind, key, range_end };
            let message = Role { name: name(*role).into(), key_permission: vec![permission] };
            ("authRoles", name(*role).into(), message.encode_to_vec())
        }
        Row::Loose { bucket, key, value } => {
            (BUCKETS[usize::from(*bucket) % BUCKETS.len()], key.clone(), value.clone())
        }
    };
    // bbolt has no empty keys.
    if !key.is_empty() {
        content.get_mut(bucket.as_bytes()).expect("all are there").insert(key, value);
    }
}

/// One of a few names, the empty one among them.
fn name(number: u8) -> String {
    ["", "root", "a", "b", "c"][usize::from(number) % 5].to_owned()
}

/// `leasepb.Lease`, of which the server has no type.
#[derive(Clone, PartialEq, Message)]
struct LeaseRow {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(int64, tag = "2")]
    ttl: i64,
}
