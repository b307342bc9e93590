//! What can be saved of a damaged store, and a new store made of it.
//!
//! The data file is read as a file and never mapped. Each record counts only with its checksum, which covers its revision, so
//! what is taken is what was written. What a new store must not do is to show a state that never was:
//!
//! - A revision of which a change is missing, or may be, is **lost**. Above the last lost revision every revision is whole, and
//!   only those can be read in the new store: it is compacted to there. Where the newest revisions are lost, it ends before them.
//! - A key of the new store is **doubtful** when its last change came before a lost revision, in which it may have been changed
//!   or deleted without a trace. A change that is lost leaves a trace where the key was put again later: by its version that one
//!   says that a change came before it. When every change that is lost is known from such a trace, no key is doubtful.
//! - A record on a page that nothing leads to counts only when every other page of the file is accounted for, so that it cannot
//!   be an old page with what was compacted since, or was never committed.
//!
//! # A worked example
//!
//! `put a 1` (2), `put b 1` (3), `put c 1` (4), `put d 1` (5), and the record of revision 3 is damaged. The new store can be
//! read at 3, 4 and 5. `b` is not in it, and `a` is doubtful: revision 3 may have been one of `a`. Had there been a `put b 2` at
//! 6, whose version is 2, it would be known that revision 3 was one of `b`: the new store could be read at 6 only, and nothing
//! in it would be doubtful.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use hashbrown::HashMap;
use watchful_backend::{Piece, Place, SalvageFile};
use watchful_revision::{LeaseId, Put, RecordKind, RecordRef, Revision};

use crate::check::{check_error, data_file};
use crate::format::{
    FORMAT, FORMAT_WITHOUT_SUMS, META_COMPACT_SCHEDULED, META_EPOCH, META_FORMAT, META_STORE_ID, TABLE_LEASE,
    TABLE_LOG, TABLE_META, TABLE_NOTE, parse_lease, parse_lease_without_sum, parse_meta,
};
use crate::lives::{KeyMark, Life, Lives};
use crate::restore::load_store;
use crate::{LoadPlan, LoadRow, Loader, MvccError, MvccSettings, note};

/// The most lost revisions, doubtful keys and lost notes that are told one by one.
const TOLD_MAX: usize = 1000;

/// Main revisions of which changes are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostRevisions {
    /// The first.
    pub first: u64,
    /// The last; none when nobody can tell how far they went, because the end of the history is lost.
    pub last: Option<u64>,
}

/// What can be saved of a damaged store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvageReport {
    /// The oldest main revision that can be read in what is saved; 0 when all history is there.
    pub compact_revision: u64,
    /// The newest main revision that is saved.
    pub current_revision: u64,
    /// The oldest main revision that could be read before; none when that is not known any more.
    pub compact_revision_before: Option<u64>,
    /// How many changes are saved.
    pub changes: u64,
    /// How many leases are saved.
    pub leases: u64,
    /// How many notes are saved.
    pub notes: u64,
    /// The revisions of which changes are lost, in order, up to a bound.
    pub lost: Vec<LostRevisions>,
    /// How many keys may be older than they were, or may have been deleted.
    pub doubtful_keys: u64,
    /// The first of them, up to a bound, in the order of their last changes.
    pub doubtful: Vec<Vec<u8>>,
    /// What else is lost or not known, a sentence each.
    pub remarks: Vec<String>,
}

impl SalvageReport {
    /// Whether everything that the store held is saved.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.lost.is_empty()
            && self.doubtful_keys == 0
            && self.remarks.is_empty()
            && self.compact_revision_before == Some(self.compact_revision)
    }
}

/// Makes a store in the folder `dir`, which is made or must be empty, of what can be saved of the damaged one in `from`, a
/// folder or a data file, which stays as it is and must not be open.
///
/// The new store has an id of its own and a higher epoch. Nothing is in it that the damaged store did not hold; what it can
/// no longer tell for sure, the report names.
///
/// Memory holds about 100 bytes a change, and what a load needs.
///
/// # Errors
///
/// `DamagedStore` when no change can be saved, `NotAStore` when both pages that begin the file are damaged, `FormatVersion`,
/// `TargetExists`, or what the system said. There is no new store then.
pub fn salvage(from: &Path, dir: &Path, settings: &MvccSettings) -> Result<SalvageReport, MvccError> {
    let file = SalvageFile::open(&data_file(from)).map_err(check_error)?;
    let plan = Plan::best(&file)?;
    let load = LoadPlan {
        compact_revision: (plan.report.compact_revision > 0).then_some(plan.report.compact_revision),
        current_revision: plan.report.current_revision,
    };
    let epoch = plan.epoch.unwrap_or(1).saturating_add(1);
    load_store(dir, settings, load, epoch, |loader| plan.fill(&file, loader))?;
    Ok(plan.report)
}

/// What can be saved of the store in a data file.
pub(crate) fn savable(data_file: &Path) -> Result<SalvageReport, MvccError> {
    let file = SalvageFile::open(data_file).map_err(check_error)?;
    Ok(Plan::best(&file)?.report)
}

/// A row that is whole, and where it is.
#[derive(Clone, Copy)]
struct Row {
    revision: Revision,
    place: Place,
    key: KeyMark,
    life: Life,
    lease: LeaseId,
}

impl Row {
    fn parse(key: &[u8], value: &[u8], place: Place) -> Option<Self> {
        let revision = Revision::from_bytes(key).ok()?;
        let record = RecordRef::parse(revision, value).ok()?;
        let fields = record.key_value().ok()?;
        let (key, life) = (KeyMark::of(fields.key), Life::of_record(record.kind(), &fields));
        Some(Self { revision, place, key, life, lease: record.lease() })
    }
}

/// Where something is missing between two rows that are next to each other.
#[derive(Default)]
struct Gap {
    /// Records that are damaged, by their revisions.
    damaged: Vec<Revision>,
    /// Whether more than those is missing.
    is_wide: bool,
    /// Whether a branch is, so that what is missing may have come loose.
    may_be_loose: bool,
}

/// Revisions of which something is missing; the last is none at the end of the log.
#[derive(Clone, Copy)]
struct Hole {
    first: u64,
    last: Option<u64>,
    /// How many changes are missing, where that is known.
    count: Option<u64>,
}

/// What a table but the log gave.
#[derive(Default)]
struct Found {
    /// Its rows, by key.
    rows: BTreeMap<Vec<u8>, Place>,
    damaged: Vec<Vec<u8>>,
    /// How many rows it is said to have; none when it is not in the list of tables.
    entries: Option<u64>,
    /// Whether rows are missing, or may be.
    is_cut: bool,
    /// Whether those may have come loose.
    may_be_loose: bool,
}

/// A row of another table than the log, that came loose.
struct Fact {
    table: &'static str,
    key: Vec<u8>,
    value: Vec<u8>,
    place: Place,
}

/// Everything that one walk found.
#[derive(Default)]
struct Finds {
    rows: Vec<Row>,
    /// By how many rows come before.
    gaps: BTreeMap<usize, Gap>,
    leases: BTreeMap<LeaseId, i64>,
    lease: Found,
    note: Found,
    meta: Found,
    format: Option<u32>,
    epoch: Option<u64>,
    compact_revision: Option<u64>,
    has_store_id: bool,
    /// Whether the list of tables is damaged.
    is_list_cut: bool,
    /// How many rows the log is said to have.
    log_entries: Option<u64>,
    loose: Vec<Row>,
    loose_facts: Vec<Fact>,
    loose_damaged: Vec<Revision>,
    problems: u64,
    is_complete: bool,
    is_torn: bool,
}

impl Finds {
    fn of(file: &SalvageFile, commit: usize) -> Result<Self, MvccError> {
        let mut finds = Self::default();
        let walked = file.walk(commit, |piece| finds.take(piece)).map_err(check_error)?;
        finds.problems = walked.problems;
        finds.is_complete = walked.is_complete;
        finds.is_torn = walked.is_torn;
        for (name, entries) in &walked.entries {
            match finds.table(name) {
                Some(found) => found.entries = Some(*entries),
                None if name == TABLE_LOG => finds.log_entries = Some(*entries),
                None => {}
            }
        }
        if finds.log_entries.is_none() {
            finds.gap().may_be_loose = true;
        }
        finds.take_loose();
        let (is_list_cut, is_complete) = (finds.is_list_cut, finds.is_complete);
        for (found, is_needed) in
            [(&mut finds.lease, true), (&mut finds.meta, true), (&mut finds.note, false)]
        {
            found.is_cut |= match found.entries {
                Some(entries) => entries != (found.rows.len() + found.damaged.len()) as u64,
                // A table that is not in the list has been lost with a part of the list.
                None => (is_needed || is_list_cut) && !(is_list_cut && is_complete),
            };
            found.is_cut |= found.may_be_loose && !is_complete;
        }
        Ok(finds)
    }

    fn gap(&mut self) -> &mut Gap {
        self.gaps.entry(self.rows.len()).or_default()
    }

    fn take(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Entry { table: TABLE_LOG, key, value, place } => self.row(key, value.ok(), place),
            Piece::Entry { table, key, value, place } => {
                self.fact(table, key, value.ok(), place);
            }
            Piece::Lost { table: Some(TABLE_LOG), may_be_loose: true } => self.gap().may_be_loose = true,
            Piece::Lost { table: Some(TABLE_LOG), may_be_loose: false } => self.gap().is_wide = true,
            Piece::Lost { table: Some(table), may_be_loose } => {
                if let Some(found) = self.table(table) {
                    found.may_be_loose |= may_be_loose;
                    found.is_cut |= !may_be_loose;
                }
            }
            Piece::Lost { table: None, .. } => self.is_list_cut = true,
            Piece::Loose { key, value, place } => self.loose(key, value.ok(), place),
        }
    }

    fn table(&mut self, name: &str) -> Option<&mut Found> {
        match name {
            TABLE_LEASE => Some(&mut self.lease),
            TABLE_NOTE => Some(&mut self.note),
            TABLE_META => Some(&mut self.meta),
            _ => None,
        }
    }

    fn row(&mut self, key: &[u8], value: Option<&[u8]>, place: Place) {
        let last = self.rows.last().map_or(Revision::default(), |row| row.revision);
        match value.and_then(|value| Row::parse(key, value, place)) {
            Some(row) if row.revision > last => self.rows.push(row),
            // It is whole, and in the wrong place: its page is one of another time.
            Some(_) => self.gap().is_wide = true,
            None => match Revision::from_bytes(key) {
                Ok(revision) => self.gap().damaged.push(revision),
                Err(_) => self.gap().is_wide = true,
            },
        }
    }

    /// A row of another table. Tells whether it is one.
    fn fact(&mut self, table: &str, key: &[u8], value: Option<&[u8]>, place: Place) -> bool {
        let is_whole = value.is_some_and(|value| match table {
            TABLE_LEASE => {
                let lease = parse_lease(key, value).or_else(|| parse_lease_without_sum(key, value));
                lease.filter(|(id, _)| *id != 0).map(|(id, ttl)| self.leases.insert(id, ttl)).is_some()
            }
            TABLE_NOTE => note::decode(key, value).is_ok_and(|value| note::check(key, value).is_ok()),
            TABLE_META => self.meta(key, value),
            _ => true,
        });
        let Some(found) = self.table(table) else { return false };
        if is_whole {
            found.rows.insert(key.to_owned(), place);
        } else {
            found.damaged.push(key.to_owned());
        }
        is_whole
    }

    fn meta(&mut self, key: &[u8], row: &[u8]) -> bool {
        let name = std::str::from_utf8(key).unwrap_or_default();
        if name == META_FORMAT {
            self.format = row.try_into().map(u32::from_be_bytes).ok();
            return self.format.is_some();
        }
        // In format 1 there are no sums.
        let len = if name == META_STORE_ID { 16 } else { 8 };
        let value = if row.len() == len { Some(row) } else { parse_meta(name, row) };
        let Some(value) = value.filter(|value| value.len() == len) else { return false };
        let number = value.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        match name {
            META_STORE_ID => self.has_store_id = true,
            META_EPOCH => self.epoch = number,
            META_COMPACT_SCHEDULED => self.compact_revision = number,
            _ => {}
        }
        true
    }

    /// Whatever its table was, its sum tells what it is.
    fn loose(&mut self, key: &[u8], value: Option<&[u8]>, place: Place) {
        if let Some(row) = value.and_then(|value| Row::parse(key, value, place)) {
            return self.loose.push(row);
        }
        match value.and_then(|value| Some((table_of(key, value)?, value))) {
            // The values of notes may be large, and are read again.
            Some((table, value)) => {
                let value = if table == TABLE_NOTE { Vec::new() } else { value.to_owned() };
                self.loose_facts.push(Fact { table, key: key.to_owned(), value, place });
            }
            None => match Revision::from_bytes(key) {
                Ok(revision) => self.loose_damaged.push(revision),
                Err(_) => {
                    for found in [&mut self.lease, &mut self.note, &mut self.meta] {
                        found.is_cut = true;
                    }
                }
            },
        }
    }

    /// Puts the rows that came loose where they belong, if they can be trusted.
    fn take_loose(&mut self) {
        let mut loose = std::mem::take(&mut self.loose);
        loose.sort_unstable_by_key(|row| row.revision);
        let fits = |revision: Revision| {
            let at = self.rows.partition_point(|row| row.revision < revision);
            let is_new = self.rows.get(at).is_none_or(|row| row.revision != revision);
            is_new && self.gaps.get(&at).is_some_and(|gap| gap.may_be_loose)
        };
        let damaged = std::mem::take(&mut self.loose_damaged);
        self.is_complete = self.is_complete
            && loose.is_sorted_by(|left, right| left.revision < right.revision)
            && loose.iter().all(|row| fits(row.revision))
            && damaged.iter().all(|revision| fits(*revision));
        let facts = std::mem::take(&mut self.loose_facts);
        if !self.is_complete {
            return;
        }
        for Fact { table, key, value, place } in facts {
            match table {
                TABLE_NOTE => _ = self.note.rows.insert(key, place),
                _ => _ = self.fact(table, &key, Some(&value), place),
            }
        }
        let (rows, mut gaps) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.gaps));
        let mut loose = loose.into_iter().peekable();
        for index in 0..=rows.len() {
            let next = rows.get(index).copied();
            let is_before = |row: &Row| next.is_none_or(|next: Row| row.revision < next.revision);
            let gap = gaps.remove(&index);
            let is_wide = gap.as_ref().is_some_and(|gap| gap.is_wide);
            self.gaps.extend(gap.map(|gap| (self.rows.len(), gap)));
            while let Some(row) = loose.next_if(is_before) {
                self.rows.push(row);
                self.gap().is_wide |= is_wide;
            }
            self.rows.extend(next);
        }
        for revision in damaged {
            let at = self.rows.partition_point(|row| row.revision < revision);
            self.gaps.entry(at).or_default().damaged.push(revision);
        }
    }

    /// The revisions of which something is missing, above and below the compact revision.
    fn holes(&self) -> Vec<Hole> {
        let mut holes = Vec::new();
        for index in 0..=self.rows.len() {
            let before = index.checked_sub(1).map(|before| self.rows[before].revision);
            let after = self.rows.get(index).map(|row| row.revision);
            let gap = self.gaps.get(&index);
            let is_wide = gap.is_some_and(|gap| gap.is_wide || gap.may_be_loose && !self.is_complete);
            let damaged = gap.map_or(&[][..], |gap| &gap.damaged);
            if !is_wide && self.is_one_run(before, damaged, after) {
                let hole = |revision: &Revision| Hole {
                    first: revision.main,
                    last: Some(revision.main),
                    count: Some(1),
                };
                holes.extend(damaged.iter().map(hole));
            } else {
                holes.push(wide(before, after));
            }
        }
        holes
    }

    /// Whether these revisions follow each other with nothing missing in between, and no damage in their names.
    fn is_one_run(&self, before: Option<Revision>, damaged: &[Revision], after: Option<Revision>) -> bool {
        let mut last = before;
        for revision in damaged.iter().copied().chain(after) {
            if !self.follows(last, revision) {
                return false;
            }
            last = Some(revision);
        }
        true
    }

    fn follows(&self, last: Option<Revision>, revision: Revision) -> bool {
        if last.is_some_and(|last| revision <= last) || revision.main < 2 {
            return false;
        }
        // Where it is not known what was compacted, anything may have been.
        let Some(compact_revision) = self.known_compact_revision() else { return true };
        let next = last.map_or(1, |last| last.main).max(compact_revision) + 1;
        revision.main <= compact_revision
            || last.is_some_and(|last| revision == last.next())
            || revision == Revision::start_of(next)
    }

    /// None when it cannot be known.
    fn known_compact_revision(&self) -> Option<u64> {
        let is_meta_whole = !self.meta.is_cut && self.meta.damaged.is_empty();
        self.compact_revision.or_else(|| is_meta_whole.then_some(0))
    }
}

/// The table that a row must be of, by its sum; none when it has none that fits.
fn table_of(key: &[u8], value: &[u8]) -> Option<&'static str> {
    let name = std::str::from_utf8(key).unwrap_or_default();
    if note::decode(key, value).is_ok() {
        Some(TABLE_NOTE)
    } else if parse_lease(key, value).is_some() {
        Some(TABLE_LEASE)
    } else if name == META_FORMAT || parse_meta(name, value).is_some() {
        Some(TABLE_META)
    } else {
        None
    }
}

fn wide(before: Option<Revision>, after: Option<Revision>) -> Hole {
    let first = before.map_or(1, |before| before.main);
    let last = after.map(|after| if after.sub > 0 { after.main } else { after.main - 1 }.max(first));
    Hole { first, last, count: None }
}

/// What is saved, and how.
struct Plan {
    report: SalvageReport,
    finds: Finds,
    epoch: Option<u64>,
}

impl Plan {
    /// The plan for the newest commit; or for the one before, where that is whole and has as many changes as can be read of
    /// the newest.
    fn best(file: &SalvageFile) -> Result<Self, MvccError> {
        let newest = Self::of(file, 0)?;
        let mut plan = match newest.report.is_whole() || file.commits() == 1 {
            true => newest,
            false => match Self::of(file, 1) {
                Ok(older) if older.replaces(&newest) => older.into_older(),
                _ => newest,
            },
        };
        if let Some(misfit) = file.misfit() {
            plan.report.remarks.push(format!("{misfit}; so the newest changes may be missing"));
        }
        if plan.finds.rows.is_empty() && !plan.report.is_whole() {
            return Err(MvccError::DamagedStore { what: "no change in it can be saved".to_owned() });
        }
        Ok(plan)
    }

    fn of(file: &SalvageFile, commit: usize) -> Result<Self, MvccError> {
        let finds = Finds::of(file, commit)?;
        if let Some(found) = finds.format.filter(|format| ![FORMAT, FORMAT_WITHOUT_SUMS].contains(format)) {
            return Err(MvccError::FormatVersion { found, supported: FORMAT });
        }
        let mut plan = Self { report: SalvageReport::default(), epoch: finds.epoch, finds };
        plan.decide(file)?;
        plan.remark();
        Ok(plan)
    }

    fn replaces(&self, newest: &Self) -> bool {
        self.report.is_whole()
            && self.finds.problems == 0
            && self.finds.rows.len() >= newest.finds.rows.len()
            && !self.finds.rows.is_empty()
    }

    fn into_older(mut self) -> Self {
        self.report.lost.push(LostRevisions { first: self.report.current_revision + 1, last: None });
        let told = "the newest commit is damaged; this is the one before it, which is whole";
        self.report.remarks.push(told.to_owned());
        self
    }

    /// Decides which revisions are saved, and which keys are doubtful then.
    fn decide(&mut self, file: &SalvageFile) -> Result<(), MvccError> {
        let compact_before = self.finds.known_compact_revision();
        let newest = self.finds.rows.last().map_or(1, |row| row.revision.main);
        let mut current = newest.max(compact_before.unwrap_or(0)).max(1);
        let mut holes = self.finds.holes();
        let unplaced = self.unplaced(&holes);

        // What is lost at the end is left off, and what is before it is as it was then.
        let mut lost = Vec::new();
        while let (Some(hole), Some(compact)) = (holes.last().copied(), compact_before)
            && hole.last.is_none_or(|last| last >= current)
            && hole.first > compact.max(1)
        {
            current = hole.first - 1;
            lost = vec![LostRevisions { first: hole.first, last: hole.last }];
            holes.pop();
        }
        let is_end_lost = !lost.is_empty();
        self.finds.rows.retain(|row| row.revision.main <= current);

        let links = self.links(compact_before.unwrap_or(u64::MAX));
        let all_counted = holes.iter().map(|hole| hole.count).sum::<Option<u64>>();
        let missing = match (self.finds.log_entries, is_end_lost) {
            (Some(entries), false) => entries.checked_sub(self.finds.rows.len() as u64),
            _ if !unplaced => all_counted,
            _ => None,
        };
        let is_traced = missing == Some(links.len() as u64);
        let end = |hole: &Hole| hole.last.unwrap_or(current).min(current);
        let holes_end = holes.iter().map(end).max();
        let is_history_unsure = compact_before.is_none() || unplaced || !links.is_empty() && holes.is_empty();
        let compact = match is_history_unsure {
            true => current,
            false => holes_end.into_iter().chain(links).chain(compact_before).max().unwrap_or(0),
        };
        if !is_traced && (unplaced || holes_end.is_some()) {
            let until = if unplaced { current } else { holes_end.unwrap_or(0) };
            self.find_doubtful(file, compact, until)?;
        }
        lost.splice(0..0, holes.iter().map(|hole| LostRevisions { first: hole.first, last: hole.last }));
        if unplaced {
            lost.insert(0, LostRevisions { first: 1, last: Some(current) });
            self.report
                .remarks
                .push("changes are missing, and nobody can tell of which revisions".to_owned());
        }
        self.report.lost = merged(lost);
        self.report.compact_revision = compact;
        self.report.compact_revision_before = compact_before;
        self.report.current_revision = current;
        self.report.changes = self.finds.rows.len() as u64;
        Ok(())
    }

    /// Whether the log is said to have another number of rows than were found, and nothing tells where they are missing.
    fn unplaced(&self, holes: &[Hole]) -> bool {
        let Some(entries) = self.finds.log_entries else { return false };
        let counted = holes.iter().map(|hole| hole.count).sum::<Option<u64>>();
        counted.is_some_and(|missing| entries != self.finds.rows.len() as u64 + missing)
    }

    /// The main revisions of the rows whose key's row before is missing although it was not compacted.
    fn links(&self, compact_revision: u64) -> Vec<u64> {
        let mut lives = Lives::default();
        let mut links = Vec::new();
        for row in &self.finds.rows {
            if !lives.follow(row.key, row.life) && row.revision.main > compact_revision {
                links.push(row.revision.main);
            }
        }
        links
    }

    /// Finds the keys that are there at the revision `compact`, whose last change before was at `until` or earlier, and of
    /// which no later put says that nothing came in between.
    fn find_doubtful(&mut self, file: &SalvageFile, compact: u64, until: u64) -> Result<(), MvccError> {
        let split = self.finds.rows.partition_point(|row| row.revision.main <= compact);
        let (before, after) = self.finds.rows.split_at(split);
        let mut last: HashMap<KeyMark, &Row, foldhash::fast::RandomState> = HashMap::default();
        for row in before {
            last.insert(row.key, row);
        }
        let mut followed = HashSet::new();
        for row in after {
            if followed.insert(row.key) && row.life.is_live() {
                last.remove(&row.key);
            }
        }
        let mut doubtful: Vec<_> =
            last.into_values().filter(|row| row.life.is_live() && row.revision.main <= until).collect();
        doubtful.sort_unstable_by_key(|row| row.revision);
        self.report.doubtful_keys = doubtful.len() as u64;
        for row in doubtful.iter().take(TOLD_MAX) {
            let key = file.read(row.place, key_of).map_err(check_error)?;
            self.report.doubtful.extend(key.flatten());
        }
        Ok(())
    }

    /// Tells what is lost beside the log.
    fn remark(&mut self) {
        let Finds { lease, note, meta, leases, rows, .. } = &self.finds;
        let remarks = &mut self.report.remarks;
        if self.finds.is_torn {
            let told = "pages are in use and free at once: some are of an earlier moment, and the newest changes may be missing";
            remarks.push(told.to_owned());
        }
        if self.report.compact_revision_before.is_none() {
            remarks.push("the compact revision is lost, so only the newest revision can be read".to_owned());
        }
        if meta.is_cut || !meta.damaged.is_empty() || !self.finds.has_store_id || self.epoch.is_none() {
            remarks.push(
                "what the store kept about itself is damaged; the new one has an epoch of its own".to_owned(),
            );
        }
        if lease.is_cut || !lease.damaged.is_empty() {
            let mut live: HashMap<KeyMark, LeaseId, foldhash::fast::RandomState> = HashMap::default();
            for row in rows {
                live.insert(row.key, if row.life.is_live() { row.lease } else { 0 });
            }
            let keys = live.values().filter(|lease| **lease != 0 && !leases.contains_key(*lease)).count();
            remarks.push(format!(
                "leases are lost; {keys} keys hung on them and now stay until they are deleted"
            ));
        }
        for name in note.damaged.iter().take(TOLD_MAX) {
            remarks.push(format!("the note `{}` is lost", name.escape_ascii()));
        }
        if note.is_cut {
            remarks.push("notes are lost (users, roles and alarms of a server are notes)".to_owned());
        }
        self.report.leases = leases.len() as u64;
        self.report.notes = note.rows.len() as u64;
    }

    /// Loads everything that is saved.
    fn fill(&self, file: &SalvageFile, loader: &mut Loader<'_>) -> Result<(), MvccError> {
        for (id, ttl_seconds) in &self.finds.leases {
            loader.lease(*id, *ttl_seconds)?;
        }
        for (name, place) in &self.finds.note.rows {
            read(file, *place, |_, value| loader.note(name, note::decode(name, value)?))?;
        }
        for row in &self.finds.rows {
            read(file, row.place, |key, value| load_row(loader, key, value))?;
        }
        Ok(())
    }
}

fn read(
    file: &SalvageFile,
    place: Place,
    load: impl FnOnce(&[u8], &[u8]) -> Result<(), MvccError>,
) -> Result<(), MvccError> {
    let changed = || MvccError::DamagedStore { what: "its file was changed while it was read".to_owned() };
    file.read(place, load).map_err(check_error)?.ok_or_else(changed)?
}

fn load_row(loader: &mut Loader<'_>, key: &[u8], value: &[u8]) -> Result<(), MvccError> {
    let malformed = |_| MvccError::DamagedStore { what: "its file was changed while it was read".to_owned() };
    let revision = Revision::from_bytes(key).map_err(malformed)?;
    let record = RecordRef::parse(revision, value)?;
    let fields = record.key_value()?;
    loader.row(
        revision,
        &match record.kind() {
            RecordKind::Tombstone => LoadRow::Tombstone { key: fields.key },
            RecordKind::Put => LoadRow::Put(Put {
                key: fields.key,
                value: fields.value,
                create_revision: fields.create_revision,
                version: fields.version,
                lease: fields.lease,
            }),
        },
    )
}

fn key_of(key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let revision = Revision::from_bytes(key).ok()?;
    RecordRef::parse(revision, value).ok().map(|record| record.key().to_owned())
}

/// Those that overlap or touch, as one; up to a bound.
fn merged(lost: Vec<LostRevisions>) -> Vec<LostRevisions> {
    let mut merged: Vec<LostRevisions> = Vec::new();
    for next in lost {
        match merged.last_mut() {
            Some(last) if last.last.is_none_or(|last| next.first <= last.saturating_add(1)) => {
                last.last = last.last.zip(next.last).map(|(last, next)| last.max(next));
            }
            _ => merged.push(next),
        }
    }
    merged.truncate(TOLD_MAX);
    merged
}
