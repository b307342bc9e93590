//! What the parent learns: from the child's lines, and from the store's history.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use watchful::{EventKind, KeyRange, LeaseId, Store};
use watchful_testkit::WatchSpec;

use super::{Moment, let_pass, plan};
use crate::Receiver;
use crate::child::{Program, Working};

/// A child that does not die where it was to is killed after so many writes.
const WRITES_MAX: usize = 300;

/// What one child told before it was killed.
#[derive(Default)]
pub(super) struct Told {
    /// By revision: the writer, and its number.
    pub(super) wrote: BTreeMap<u64, (u64, u64)>,
    pub(super) granted: Vec<LeaseId>,
    /// Those that were revoked, or not kept alive: they may end.
    pub(super) ending: BTreeSet<LeaseId>,
    /// By revision: the lease that ended, which took its keys along.
    pub(super) ended: BTreeMap<u64, LeaseId>,
    pub(super) compacted: u64,
    /// The newest revision that the child's own watch had.
    pub(super) seen: u64,
    pub(super) token: Option<String>,
    /// The last copy that was made.
    pub(super) backup: Option<String>,
    pub(super) died_there: bool,
}

impl Told {
    /// Lets a child work until the moment comes, and kills it.
    pub(super) fn of_child(program: Program, folder: &Path, seed: u64, moment: Moment) -> Self {
        let mut told = Self::default();
        let dies_at = if let Moment::At(place) = moment { Some(place) } else { None };
        let mut child = Working::spawn_to_die(program, folder, seed, dies_at);
        let writes = match moment {
            Moment::Writes(writes) => usize::try_from(writes).unwrap(),
            Moment::After(time) => {
                let_pass(time);
                0
            }
            Moment::At(_) => WRITES_MAX,
        };
        while told.wrote.len() < writes {
            match child.next_line() {
                Some(line) => told.hear(&line),
                None if dies_at.is_some() => break,
                None => panic!("the child ended without a word"),
            }
        }
        told.died_there = dies_at.is_some() && told.wrote.len() < WRITES_MAX;
        child.kill().iter().for_each(|line| told.hear(line));
        told
    }

    fn hear(&mut self, line: &str) {
        let (what, rest) = line.split_once(' ').unwrap();
        let numbers: Vec<u64> = rest.split(' ').filter_map(|number| number.parse().ok()).collect();
        let lease = || i64::try_from(numbers[0]).unwrap();
        match (what, &numbers[..]) {
            ("wrote", &[revision, writer, number]) => {
                assert_eq!(self.wrote.insert(revision, (writer, number)), None, "{line}: given out twice");
            }
            ("granted", [_]) => self.granted.push(lease()),
            ("ending", [_]) => {
                self.ending.insert(lease());
            }
            ("ended", [_, revision]) => {
                let before = self.ended.insert(*revision, lease());
                assert!(before.is_none_or(|before| before == lease()), "{line}: given out twice");
            }
            ("compacted", [revision]) => self.compacted = *revision,
            ("seen", [revision, ..]) => {
                self.seen = *revision;
                self.token = rest.split_once(' ').map(|(_, token)| token.to_owned());
            }
            ("backup", []) => self.backup = Some(rest.to_owned()),
            _ => panic!("{line}"),
        }
    }

    /// The newest revision that was told of.
    pub(super) fn newest(&self) -> u64 {
        let wrote = self.wrote.keys().next_back().copied();
        wrote.max(self.ended.keys().next_back().copied()).unwrap_or(0)
    }
}

/// What the store's history tells of, by revision.
#[derive(Default)]
pub(super) struct Found {
    /// The writes: their writer and number.
    pub(super) writes: BTreeMap<u64, (u64, u64)>,
    /// The keys that were deleted by nobody's write, in order: the end of a lease.
    pub(super) deletes: BTreeMap<u64, Vec<Bytes>>,
}

/// Reads the history from the revision `first` on.
pub(super) fn find(store: &Store, first: u64) -> Found {
    let mut found = Found::default();
    if first > store.current_revision() {
        return found;
    }
    let mut seen = Receiver::open(store, WatchSpec::new(KeyRange::everything(), first));
    seen.read_to(store.current_revision());
    let writer = |key: &[u8]| (0..=plan::WRITERS).find(|writer| plan::writer_key(*writer).as_bytes() == key);
    let number = |value: &[u8]| std::str::from_utf8(value).unwrap().parse().unwrap();
    for event in seen.observed.events() {
        let revision = event.revision();
        match (event.kind(), writer(event.key())) {
            (EventKind::Put, Some(writer)) if revision.sub == 0 => {
                found.writes.insert(revision.main, (writer, number(event.value())));
            }
            (EventKind::Delete, None) if !found.writes.contains_key(&revision.main) => {
                found.deletes.entry(revision.main).or_default().push(Bytes::copy_from_slice(event.key()));
            }
            _ => {}
        }
    }
    found
}
