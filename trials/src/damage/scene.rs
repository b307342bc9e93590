//! A small store by seed, what it must answer, and what its file was at earlier moments.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use bytes::Bytes;
use watchful_mvcc::{Durability, Group, Mvcc, MvccSettings, PutOptions};
use watchful_revision::{KeyRange, LeaseId};
use watchful_testkit::{Model, Op, Row, SplitMix64};

use super::copies::Copy;
use super::reader::Read;
use crate::trials::Outcome;

pub(super) const PAGE_BYTES: usize = 4096;

/// What a store says beside its revisions, as of a commit.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) current_revision: u64,
    pub(super) compact_revision: u64,
    pub(super) leases: BTreeMap<LeaseId, i64>,
    pub(super) notes: BTreeMap<Bytes, Bytes>,
}

/// Of notes their lengths: some are of several pages.
impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let notes: BTreeMap<_, _> = self.notes.iter().map(|(name, value)| (name, value.len())).collect();
        let Self { current_revision, compact_revision, leases, .. } = self;
        write!(f, "revisions {compact_revision} to {current_revision}, leases {leases:?}, notes {notes:?}")
    }
}

pub(super) struct Scene {
    /// The files that lie beside the data file: what remembers that a store was made, and how it was left.
    beside: Vec<(OsString, Vec<u8>)>,
    /// The file as it is.
    pub(super) file: Vec<u8>,
    /// The same as it was after some of the commits before; none of a backup.
    pub(super) older_files: Vec<Vec<u8>>,
    /// After each commit, the newest last.
    pub(super) facts: Vec<Facts>,
    /// How many rows the log has.
    pub(super) rows: u64,
    /// What is read at each revision, and a hash of it.
    states: Vec<(Vec<Row>, u64)>,
}

pub(super) fn settings() -> MvccSettings {
    MvccSettings::default().with_durability(Durability::Unsynced).with_quota_bytes(64 << 20)
}

/// A hash of all that is read at a revision.
pub(super) fn hash_of(rows: &[Row]) -> u64 {
    let mut hasher = DefaultHasher::new();
    rows.hash(&mut hasher);
    hasher.finish()
}

impl Scene {
    pub(super) fn new(rng: &mut SplitMix64, dir: &Path) -> Outcome<Self> {
        let (mvcc, _) = Mvcc::open(dir, &settings())?;
        let mut writer =
            Writer { mvcc: &mvcc, model: Model::new(), notes: BTreeMap::new(), facts: Vec::new() };
        let mut older_files = Vec::new();
        let commits = 10 + rng.below(50);
        // Few keys have long lives, and many keys have none; large values have pages of their own.
        let (keys, large_in) = (3 + rng.below(60), 2 + rng.below(20));
        for commit in 0..commits {
            writer.commit(rng, keys, large_in)?;
            if rng.chance(6) || commit + 3 >= commits {
                older_files.push(fs::read(dir.join("data.mdb"))?);
            }
        }
        let Writer { model, facts, .. } = writer;
        // A backup has no commit before the newest, and no old pages.
        let backup = dir.with_extension("backup");
        let is_backup = rng.chance(4);
        if is_backup {
            mvcc.backup(&backup)?;
        }
        drop(mvcc);
        if is_backup {
            fs::rename(&backup, dir.join("data.mdb"))?;
            older_files.clear();
        }
        let states = (0..=model.current_revision()).map(|revision| {
            let rows = model.state_at(revision);
            let hash = hash_of(&rows);
            (rows, hash)
        });
        let states = states.collect();
        let mut beside = Vec::new();
        for name in ["LOCK", "MARK"] {
            beside.push((name.into(), fs::read(dir.join(name))?));
        }
        let (file, rows) = (fs::read(dir.join("data.mdb"))?, watchful_mvcc::check(dir)?.rows);
        Ok(Self { beside, file, older_files, facts, rows, states })
    }

    /// Makes the folder anew, with this data file.
    pub(super) fn lay_out(&self, dir: &Path, bytes: &[u8]) -> Outcome {
        let _ = fs::remove_dir_all(dir);
        fs::create_dir_all(dir)?;
        for (name, content) in &self.beside {
            fs::write(dir.join(name), content)?;
        }
        Ok(fs::write(dir.join("data.mdb"), bytes)?)
    }

    /// Whether an open looks at every page of the log before it maps the file: it does up to 4 MiB.
    pub(super) fn is_looked_at_whole(&self) -> bool {
        self.file.len() <= 4 << 20
    }

    pub(super) fn pages(&self) -> usize {
        self.file.len() / PAGE_BYTES
    }

    /// What was read at a revision.
    pub(super) fn rows_at(&self, revision: u64) -> &[Row] {
        usize::try_from(revision).ok().and_then(|at| self.states.get(at)).map_or(&[], |(rows, _)| rows)
    }

    /// As the commit before the newest left it: of those that differ, as a commit may change nothing of this.
    pub(super) fn before(&self) -> &Facts {
        self.facts.iter().rfind(|facts| *facts != self.newest()).unwrap_or(self.newest())
    }

    pub(super) fn newest(&self) -> &Facts {
        &self.facts[self.facts.len() - 1]
    }

    /// Whether what was read is what the store held. After a write to a first page was lost, the commit before is.
    pub(super) fn judge(&self, read: &Read, copy: &Copy) -> Result<(), String> {
        let Read::Opened { facts, states } = read else { return Ok(()) };
        let newest = self.newest();
        if facts.current_revision != newest.current_revision && !copy.may_be_older(self) {
            return Err(format!(
                "it is at revision {} of {}",
                facts.current_revision, newest.current_revision
            ));
        }
        if facts.compact_revision != newest.compact_revision && !copy.may_be_older(self) {
            return Err(format!(
                "it is compacted to {}, and was to {}",
                facts.compact_revision, newest.compact_revision
            ));
        }
        for (revision, state) in (facts.compact_revision.max(1)..).zip(states) {
            let owed = usize::try_from(revision).ok().and_then(|at| self.states.get(at));
            if owed.map(|(_, hash)| hash) != Some(state) {
                return Err(format!("revision {revision} reads otherwise"));
            }
        }
        let known: &[Facts] =
            if copy.may_be_older(self) { &self.facts } else { std::slice::from_ref(newest) };
        if known.iter().all(|known| known.leases != facts.leases) {
            return Err(format!("the leases are {:?}, and were {:?}", facts.leases, newest.leases));
        }
        if known.iter().all(|known| known.notes != facts.notes) {
            return Err(format!("the notes are {:?}, and were {:?}", facts.notes, newest.notes));
        }
        Ok(())
    }
}

struct Writer<'m> {
    mvcc: &'m Mvcc,
    model: Model,
    notes: BTreeMap<Bytes, Bytes>,
    facts: Vec<Facts>,
}

impl Writer<'_> {
    fn commit(&mut self, rng: &mut SplitMix64, keys: u64, large_in: u64) -> Outcome {
        let mut group = self.mvcc.begin_group()?;
        for _ in 0..=rng.below(6) {
            self.transaction(rng, &mut group, keys, large_in)?;
        }
        if rng.chance(3) {
            group.compact_slice(usize::try_from(rng.below(40))?)?;
        }
        group.commit()?;
        let (current_revision, compact_revision) =
            (self.model.current_revision(), self.model.compact_revision());
        let (leases, notes) = (self.model.leases().collect(), self.notes.clone());
        self.facts.push(Facts { current_revision, compact_revision, leases, notes });
        Ok(())
    }

    fn transaction(
        &mut self,
        rng: &mut SplitMix64,
        group: &mut Group<'_>,
        keys: u64,
        large_in: u64,
    ) -> Outcome {
        let key = format!("key/{:03}", rng.below(keys));
        match rng.below(20) {
            0 => {
                let id = i64::try_from(1 + rng.below(20))? - 10;
                if id != 0 && self.model.lease_grant(id, 60).is_ok() {
                    group.txn(|txn| txn.lease_grant(id, 60))?;
                }
            }
            1 => {
                let first = self.model.leases().next();
                if let Some((id, _)) = first {
                    self.model.lease_revoke(id)?;
                    group.txn(|txn| txn.lease_revoke(id))?;
                }
            }
            2 | 3 => {
                let name = Bytes::from(format!("note/{}", rng.below(12)));
                let value = Bytes::from(vec![b'n'; usize::try_from(rng.below(200))?]);
                let value = if rng.chance(20) { Bytes::from(vec![b'N'; 9000]) } else { value };
                group.txn(|txn| txn.set_note(&name, &value))?;
                self.notes.insert(name, value);
            }
            4 => {
                let compact = self.model.compact_revision();
                let revision = compact + rng.below(self.model.current_revision() - compact + 1);
                if rng.chance(3) && self.model.compact(revision).is_ok() {
                    group.schedule_compaction(revision)?;
                }
            }
            5..8 => {
                self.model.apply(&[Op::delete(&key)])?;
                group.txn(|txn| txn.delete_range(&KeyRange::key(&key), false).map(drop))?;
            }
            _ => self.put(rng, group, keys, large_in)?,
        }
        Ok(())
    }

    fn put(&mut self, rng: &mut SplitMix64, group: &mut Group<'_>, keys: u64, large_in: u64) -> Outcome {
        let leases: Vec<_> = self.model.leases().map(|(id, _)| id).chain([0]).collect();
        let mut ops: BTreeMap<String, (Vec<u8>, LeaseId)> = BTreeMap::new();
        for at in 0..=rng.below(4) {
            let len = if rng.chance(large_in) { 2000 + rng.below(9000) } else { rng.below(200) };
            // No two values are the same, so that no record can pass for another.
            let mut value = format!("{}+{at} ", self.model.current_revision()).into_bytes();
            value.extend((0..len).map(|_| rng.next_u64().to_be_bytes()[0]));
            ops.insert(format!("key/{:03}", rng.below(keys)), (value, *rng.pick(&leases)));
        }
        let kit: Vec<_> =
            ops.iter().map(|(key, (value, lease))| Op::put_with_lease(key, value, *lease)).collect();
        self.model.apply(&kit)?;
        group.txn(|txn| {
            ops.iter().try_for_each(|(key, (value, lease))| {
                txn.put(key.as_bytes(), value, PutOptions { lease: *lease, ..PutOptions::default() })
                    .map(drop)
            })
        })?;
        Ok(())
    }
}
