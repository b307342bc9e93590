//! An etcd's snapshot with any rows in it: what an etcd could have written is moved in; what is moved in is a whole store with
//! that history, those leases and users, which a server starts with; anything else is an error, and leaves no store.

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use prost::Message;
use watchful::{KeyRange, RangeOptions, Store};
use watchful_revision::{EtcdRow, KeyValue, RecordKind, Revision};
use watchful_server::{EtcdSnapshot, Server, ServerSettings};
use watchful_wire::authpb::{Permission, Role, User};

use crate::bbolt::{file_of, write};

#[derive(Arbitrary, Debug)]
enum Row {
    /// What comes next in a history.
    Change {
        key: u8,
        value: Vec<u8>,
        lease: i8,
        is_delete: bool,
        /// In the transaction of the change before.
        joins: bool,
        off: u8,
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

/// How a change is not what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Off {
    No,
    Revision,
    Sub,
    ModRevision,
    CreateRevision,
    Version,
    NoKey,
}

impl Off {
    /// One change in six.
    fn of(byte: u8) -> Self {
        match byte % 36 {
            1 => Self::Revision,
            2 => Self::Sub,
            3 => Self::ModRevision,
            4 => Self::CreateRevision,
            5 => Self::Version,
            6 => Self::NoKey,
            _ => Self::No,
        }
    }
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

/// A lease of a minute is still there when a store of 60 rows has been looked at.
const LONG_TTL_SECONDS: i64 = 60;

/// Leases of etcd have no longer time.
const TTL_MAX_SECONDS: i64 = 9_000_000_000;

type Content = BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Vec<u8>>>;

/// What an etcd would hold after its changes, as it is written.
#[derive(Debug)]
struct Story {
    content: Content,
    last: Revision,
    /// Created at, and how many times put since.
    lives: BTreeMap<String, (u64, u64)>,
    /// The keys that the last transaction has changed: each once.
    in_last: BTreeSet<String>,
    compacted_to: u64,
    /// Whether there is nothing that an etcd does not write.
    is_true: bool,
}

pub(crate) fn run(input: &[u8]) {
    let Ok(rows) = Vec::<Row>::arbitrary_take_rest(Unstructured::new(input)) else { return };
    let mut story = Story::new();
    rows.iter().take(ROWS_MAX).for_each(|row| story.add(row));
    story.is_true &= story.compacted_to <= story.last.main;
    let snapshot = match EtcdSnapshot::open(file_of(&write(&story.content))) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            assert!(!story.is_true, "what an etcd writes cannot be read: {error}");
            return;
        }
    };
    let _ = snapshot.status();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    if let Err(error) = snapshot.restore(&dir) {
        assert!(!story.is_true, "what an etcd writes cannot be moved in: {error}");
        assert!(!dir.join("data.mdb").exists(), "what could not be moved in has left a store");
        return;
    }
    let report = watchful::check(&dir).unwrap();
    assert!(report.is_ok(), "{:?}", report.problems);
    let server = Server::open(ServerSettings::new(&dir)).expect("a server starts with what was moved in");
    let store = &server.shared().store;
    check_leases(&story.content, store, snapshot.revision());
    check_history(&story.content, store, snapshot.revision());
    check_notes(&story.content, store);
    server.close().unwrap();
}

/// At each revision that can be read, the keys are those of the rows.
fn check_history(content: &Content, store: &Store, last: u64) {
    let rows: Vec<_> = content[&b"key"[..]].iter().map(|(key, message)| parse_row(key, message)).collect();
    let compacted_to = store.compact_revision();
    let mains = rows.iter().map(|(revision, _)| revision.main).chain([compacted_to, last]);
    let mains: BTreeSet<_> = mains.filter(|main| (compacted_to.max(1)..=last).contains(main)).collect();
    for main in mains {
        let mut expected = BTreeMap::new();
        for (_, row) in rows.iter().take_while(|(revision, _)| revision.main <= main) {
            match row {
                History::Put(put) => expected.insert(&put.key, put),
                History::Tombstone(key) => expected.remove(key),
            };
        }
        // What has no key was not moved in.
        expected.remove(&Bytes::new());
        let view = store.view_at(main).unwrap();
        let found = view.range(&KeyRange::everything(), &RangeOptions::default()).unwrap().records;
        let found: Vec<_> = found.iter().map(watchful::Record::to_key_value).collect();
        assert!(found.iter().eq(expected.into_values()), "revision {main}: {found:?}");
    }
}

/// What a row of the bucket `key` says.
enum History {
    Put(KeyValue),
    Tombstone(Bytes),
}

fn parse_row(key: &[u8], message: &[u8]) -> (Revision, History) {
    let (revision, kind) = EtcdRow::parse_key(key).expect("another key was moved in");
    let message = KeyValue::decode(message).expect("another message was moved in");
    let row = match kind {
        RecordKind::Put => History::Put(message),
        RecordKind::Tombstone => History::Tombstone(message.key),
    };
    (revision, row)
}

/// Leases are there, with their time, and nothing has been written since.
fn check_leases(content: &Content, store: &Store, last: u64) {
    let leases = content[&b"lease"[..]].values().map(|lease| LeaseRow::decode(&lease[..]).unwrap());
    let (long, brief): (Vec<_>, Vec<_>) = leases.partition(|lease| lease.ttl >= LONG_TTL_SECONDS);
    let brief: Vec<_> = brief.iter().map(|lease| lease.id).collect();
    for lease in &long {
        assert_eq!(store.lease(lease.id).expect("a lease is there").ttl_seconds, lease.ttl);
    }
    let mut found = store.leases();
    found.retain(|id| !brief.contains(id));
    found.sort_unstable();
    let mut expected: Vec<_> = long.iter().map(|lease| lease.id).collect();
    expected.sort_unstable();
    assert_eq!(found, expected, "other leases than those that were moved in");
    if brief.is_empty() {
        assert_eq!(store.current_revision(), last);
    }
}

/// Users and roles are the same bytes.
fn check_notes(content: &Content, store: &Store) {
    for (bucket, prefix) in [("authUsers", "auth/user/"), ("authRoles", "auth/role/")] {
        let found = store.notes(prefix).unwrap();
        let found = found.iter().map(|(name, message)| (&name[prefix.len()..], &message[..]));
        let expected = content[bucket.as_bytes()].iter().map(|(name, message)| (&name[..], &message[..]));
        assert!(found.eq(expected), "other users or roles than those that were moved in");
    }
}

impl Story {
    fn new() -> Self {
        Self {
            content: BUCKETS.iter().map(|name| (name.as_bytes().to_vec(), BTreeMap::new())).collect(),
            last: Revision::new(1, 0),
            lives: BTreeMap::new(),
            in_last: BTreeSet::new(),
            compacted_to: 0,
            is_true: true,
        }
    }

    fn add(&mut self, row: &Row) {
        match row {
            Row::Change { key, value, lease, is_delete, joins, off } => {
                let key = name(key % 4 + 1);
                let put = (!is_delete).then_some((&value[..], i64::from(*lease).max(0)));
                self.change(&key, put, *joins, Off::of(*off));
            }
            Row::Compacted { revision, is_finished } => {
                let to = u64::from(*revision);
                let row = if *is_finished { "finishedCompactRev" } else { "scheduledCompactRev" };
                // How the two are to each other is not looked at here.
                self.is_true &= !is_finished && to > 0;
                self.compacted_to = to;
                self.insert("meta", row.into(), EtcdRow::put_key(Revision::start_of(to)).to_vec());
            }
            Row::Term(term) => {
                self.is_true &= i64::try_from(*term).is_ok();
                self.insert("meta", b"term".to_vec(), term.to_be_bytes().to_vec());
            }
            Row::Lease { id, ttl } => {
                self.is_true &= *id != 0 && *ttl <= TTL_MAX_SECONDS;
                let message = LeaseRow { id: *id, ttl: *ttl };
                self.insert("lease", id.to_be_bytes().to_vec(), message.encode_to_vec());
            }
            Row::AuthEnabled(is_on) => {
                self.insert("auth", b"authEnabled".to_vec(), vec![u8::from(*is_on)]);
            }
            Row::AuthRevision(revision) => {
                self.insert("auth", b"authRevision".to_vec(), revision.to_be_bytes().to_vec());
            }
            Row::User { name: user, password, roles } => {
                let message = User {
                    name: name(*user).into(),
                    password: password.clone().into(),
                    roles: roles.iter().map(|role| name(*role)).collect(),
                    options: None,
                };
                self.insert("authUsers", name(*user).into(), message.encode_to_vec());
            }
            Row::Role { name: role, kind, key, range_end } => {
                let (key, range_end) = (key.clone().into(), range_end.clone().into());
                let permission = Permission { perm_type: *kind, key, range_end };
                let message = Role { name: name(*role).into(), key_permission: vec![permission] };
                self.is_true &= (0..=2).contains(kind);
                self.insert("authRoles", name(*role).into(), message.encode_to_vec());
            }
            Row::Loose { bucket, key, value } => {
                self.is_true = false;
                self.insert(BUCKETS[usize::from(*bucket) % BUCKETS.len()], key.clone(), value.clone());
            }
        }
    }

    fn change(&mut self, key: &str, put: Option<(&[u8], i64)>, joins: bool, off: Off) {
        if put.is_none() && !self.lives.contains_key(key) {
            return;
        }
        self.is_true &= off == Off::No;
        let joins = joins && self.last.main > 1 && !self.in_last.contains(key);
        if !joins {
            self.in_last.clear();
        }
        self.in_last.insert(key.to_owned());
        let (main, sub) = if joins { (self.last.main, self.last.sub + 1) } else { (self.last.main + 1, 0) };
        self.last = Revision::new(main + u64::from(off == Off::Revision), sub + u32::from(off == Off::Sub));
        let mut row = EtcdRow::put_key(self.last).to_vec();
        let message_key = if off == Off::NoKey { Bytes::new() } else { key.to_owned().into() };
        let Some((value, lease)) = put else {
            self.lives.remove(key);
            row.push(b't');
            let message = KeyValue { key: message_key, ..KeyValue::default() };
            return self.insert("key", row, message.encode_to_vec());
        };
        let (create_revision, version) = self.lives.entry(key.to_owned()).or_insert((self.last.main, 0));
        *version += 1;
        let message = KeyValue {
            key: message_key,
            create_revision: *create_revision + u64::from(off == Off::CreateRevision),
            mod_revision: self.last.main + u64::from(off == Off::ModRevision),
            version: *version + u64::from(off == Off::Version),
            value: value.to_vec().into(),
            lease,
        };
        self.insert("key", row, message.encode_to_vec());
    }

    fn insert(&mut self, bucket: &str, key: Vec<u8>, value: Vec<u8>) {
        // bbolt has no empty keys.
        if !key.is_empty() {
            self.content.get_mut(bucket.as_bytes()).expect("all are there").insert(key, value);
        }
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
