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
//! - What was compacted leaves gaps of its own. A row that is missing there without a trace, because a second thing is damaged,
//!   shows in the number of rows alone: a tombstone that is gone brings its key back. Where it is not known how many rows are
//!   missing elsewhere that number does not help, and the report says so.
//! - A record on a page that nothing leads to counts only when every other page of the file is accounted for, so that it cannot
//!   be an old page with what was compacted since, or was never committed.
//!
//! # A worked example
//!
//! `put a 1` (2), `put b 1` (3), `put c 1` (4), `put d 1` (5), and the record of revision 3 is damaged. The new store can be
//! read at 3, 4 and 5. `b` is not in it, and `a` is doubtful: revision 3 may have been one of `a`. Had there been a `put b 2` at
//! 6, whose version is 2, it would be known that revision 3 was one of `b`: the new store could be read at 6 only, and nothing
//! in it would be doubtful.

use std::collections::HashSet;
use std::path::Path;

use hashbrown::HashMap;
use watchful_backend::{Place, SalvageFile};
use watchful_revision::{LeaseId, RecordKind, RecordRef, Revision};

use crate::check::{check_error, data_file};
use crate::format::FORMAT;
use crate::lives::{KeyMark, Lives};
use crate::restore::load_store;
use crate::{LoadPlan, LoadRow, Loader, MvccError, MvccSettings, note};

mod finds;

use finds::{Finds, Found, Hole, Row};

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
    /// The revisions of which changes are lost, in order, up to a bound. The last of them is always there.
    pub lost: Vec<LostRevisions>,
    /// How many more of those there are, before the last.
    pub lost_left_out: u64,
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
/// Memory holds 80 to 160 bytes a change, twice as much where it also looks at the commit before the newest, 50 to 100 a key, and
/// what a load needs.
///
/// # Errors
///
/// `DamagedStore` when no change can be saved, `NotAStore` when both pages that begin the file are damaged, `FormatVersion` when
/// it says that it has a format that is not known and nothing in it looks like one that is, `TargetExists`, or what the
/// system said. There is no new store then.
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

/// Tells what [`salvage`] would save of the store in `from`, a folder or a data file, and makes nothing.
///
/// Memory is needed as for that, but for the load.
///
/// # Errors
///
/// As [`salvage`], but for `TargetExists`.
pub fn savable(from: &Path) -> Result<SalvageReport, MvccError> {
    let file = SalvageFile::open(&data_file(from)).map_err(check_error)?;
    Ok(Plan::best(&file)?.report)
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
        let mut plan = match newest.has_all() || file.commits() == 1 {
            true => newest,
            false => match Self::of(file, 1) {
                Ok(older) if older.replaces(&newest) => older.into_older(),
                _ => newest,
            },
        };
        if let Some(misfit) = file.misfit() {
            plan.report.remarks.push(format!("{misfit}; so the newest changes may be missing"));
        }
        if plan.finds.rows.is_empty() && !plan.report.is_whole() && !plan.finds.has_only_facts() {
            return Err(MvccError::DamagedStore { what: "no change in it can be saved".to_owned() });
        }
        Ok(plan)
    }

    fn of(file: &SalvageFile, commit: usize) -> Result<Self, MvccError> {
        let finds = Finds::of(file, commit)?;
        if let Some(found) = finds.unknown_format()
            && !finds.has_sums
        {
            return Err(MvccError::FormatVersion { found, supported: FORMAT });
        }
        let mut plan = Self { report: SalvageReport::default(), epoch: finds.epoch, finds };
        plan.decide(file)?;
        plan.remark();
        Ok(plan)
    }

    /// Whether nothing is missing of what the store held, whatever had to be remarked.
    fn has_all(&self) -> bool {
        let Finds { lease, meta, note, .. } = &self.finds;
        let is_whole = |found: &Found| !found.is_cut && found.damaged.is_empty();
        self.report.lost.is_empty()
            && self.report.doubtful_keys == 0
            && [lease, meta, note].into_iter().all(is_whole)
            && self.report.compact_revision_before == Some(self.report.compact_revision)
            && !self.finds.is_torn
    }

    fn replaces(&self, newest: &Self) -> bool {
        // Compaction deletes rows from one commit to the next, so those that it leaves alone are counted by themselves too.
        let compacted = self.report.compact_revision_before.max(newest.report.compact_revision_before);
        let is_above = |row: &&Row| Some(row.revision.main) > compacted;
        let above = |plan: &Self| plan.finds.rows.iter().filter(is_above).count();
        self.report.is_whole()
            && above(self) >= above(newest)
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
        self.remark_on_counts(&holes);

        let end = leave_off_the_end(&mut holes, &mut current, compact_before.unwrap_or(0).max(1));
        let is_end_lost = end.is_some();
        let mut lost: Vec<LostRevisions> = end.into_iter().collect();
        self.finds.rows.retain(|row| row.revision.main <= current);

        let links = self.links(compact_before.unwrap_or(u64::MAX));
        // A change whose one before is missing, and no place where that one could have been.
        let unplaced = unplaced || holes.is_empty() && !links.is_empty();
        let all_counted = holes.iter().map(|hole| hole.count).sum::<Option<u64>>();
        let missing = match (self.finds.log_entries, is_end_lost) {
            (Some(entries), false) if !unplaced || holes.is_empty() => {
                entries.checked_sub(self.finds.rows.len() as u64)
            }
            _ if !unplaced => all_counted,
            _ => None,
        };
        let is_traced = missing == Some(links.len() as u64);
        let end = |hole: &Hole| hole.last.unwrap_or(current).min(current);
        let holes_end = holes.iter().map(end).max();
        let compact = match compact_before.is_none() || unplaced {
            true => current,
            false => holes_end.into_iter().chain(links).chain(compact_before).max().unwrap_or(0),
        };
        // What is lost at the end may have been compacted to: then keys are missing in the state before it that were there.
        let is_end_unsure = is_end_lost && compact_before.is_none();
        if is_end_unsure || !is_traced && (unplaced || holes_end.is_some()) {
            let until = if unplaced || is_end_unsure { current } else { holes_end.unwrap_or(0) };
            self.find_doubtful(file, compact, until)?;
        }
        lost.splice(0..0, holes.iter().map(|hole| LostRevisions { first: hole.first, last: hole.last }));
        if unplaced || is_end_unsure {
            lost.push(LostRevisions { first: 1, last: (!unplaced).then_some(current) });
        }
        if is_end_unsure {
            let told = "the end is lost, and nobody can tell whether a compaction went beyond it: what such a one deleted is missing too";
            self.report.remarks.push(told.to_owned());
        }
        if unplaced {
            let told = "the number of changes is not the one that it should be, and nobody can tell of which revisions any are missing";
            self.report.remarks.push(told.to_owned());
        }
        (self.report.lost, self.report.lost_left_out) = bounded(merged(lost), TOLD_MAX);
        self.report.compact_revision = compact;
        self.report.compact_revision_before = compact_before;
        self.report.current_revision = current;
        self.report.changes = self.finds.rows.len() as u64;
        Ok(())
    }

    /// Compaction leaves gaps, so there only the number of rows tells of one that is missing without a trace; and where it is not
    /// known how many others are missing, that number tells nothing.
    fn remark_on_counts(&mut self, holes: &[Hole]) {
        let compacted = self.finds.known_compact_revision().filter(|compact| *compact > 0);
        if let Some(compact) = compacted
            && holes.iter().any(|hole| hole.count.is_none())
        {
            self.report.remarks.push(format!(
                "nobody can tell how many changes are missing; if some of before revision {compact} are too, a key that was deleted \
                 then may be back"
            ));
        }
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
        for name in self.finds.unknown_tables.iter().take(TOLD_MAX) {
            remarks.push(format!(
                "the table `{}` is none that a store has: what is on it was taken for what it is",
                name.escape_debug()
            ));
        }
        if self.finds.is_list_cut {
            remarks.push("the list of tables is damaged, and a table may be missing".to_owned());
        }
        if let Some(format) = self.finds.unknown_format() {
            remarks.push(format!(
                "it says that it has format {format}, and what it keeps about itself is as in format {FORMAT}: it was read as one"
            ));
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
        if let Some(more) = note.damaged.len().checked_sub(TOLD_MAX).filter(|more| *more > 0) {
            remarks.push(format!("{more} notes more are lost"));
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

/// What is lost at the end is left off, and what is before it is as it was then: takes the holes there, of which the last need
/// not be the one that begins last, and moves `current` before all of them. Nothing at `oldest` or before it is left off.
fn leave_off_the_end(holes: &mut Vec<Hole>, current: &mut u64, oldest: u64) -> Option<LostRevisions> {
    let mut end = None;
    while let Some(hole) =
        holes.pop_if(|hole| hole.last.is_none_or(|last| last >= *current) && hole.first > oldest)
    {
        *current = (*current).min(hole.first - 1);
        let last = end.map_or(hole.last, |end: LostRevisions| end.last);
        end = Some(LostRevisions { first: *current + 1, last });
    }
    end
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
            RecordKind::Put => LoadRow::Put(fields.into()),
        },
    )
}

fn key_of(key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let revision = Revision::from_bytes(key).ok()?;
    RecordRef::parse(revision, value).ok().map(|record| record.key().to_owned())
}

/// Those that overlap or touch, as one.
fn merged(mut lost: Vec<LostRevisions>) -> Vec<LostRevisions> {
    lost.sort_by_key(|lost| lost.first);
    let mut merged: Vec<LostRevisions> = Vec::new();
    for next in lost {
        match merged.last_mut() {
            Some(last) if last.last.is_none_or(|last| next.first <= last.saturating_add(1)) => {
                last.last = last.last.zip(next.last).map(|(last, next)| last.max(next));
            }
            _ => merged.push(next),
        }
    }
    merged
}

/// So many of them, the last one among them: it tells where the history ends. And how many are left out.
fn bounded(mut lost: Vec<LostRevisions>, told_max: usize) -> (Vec<LostRevisions>, u64) {
    let left_out = lost.len().saturating_sub(told_max);
    let last = lost.len().saturating_sub(1);
    lost.drain(last - left_out..last);
    (lost, left_out as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With more than a thousand damaged records the report ended before the last ones, and did not say so: whoever read it took
    /// the newest revisions for whole.
    #[test]
    fn the_last_loss_is_always_told() {
        let lost = |first, last| LostRevisions { first, last };
        let all = merged(vec![
            lost(9, None),
            lost(2, Some(2)),
            lost(4, Some(4)),
            lost(5, Some(6)),
            lost(7, Some(7)),
        ]);
        assert_eq!(all, [lost(2, Some(2)), lost(4, Some(7)), lost(9, None)]);
        assert_eq!(bounded(all.clone(), 3), (all.clone(), 0));
        assert_eq!(bounded(all.clone(), 2), (vec![all[0], all[2]], 1));
        assert_eq!(bounded(all.clone(), 1), (vec![all[2]], 2));
        assert_eq!(bounded(Vec::new(), 1), (Vec::new(), 0));
    }

    /// Rows that lie where they do not belong make a hole that begins before those in front of it. Where such a one was the last,
    /// what the one in front of it did not span was called whole.
    #[test]
    fn the_end_that_is_left_off_begins_with_the_first_of_its_holes() {
        let hole = |first, last| Hole { first, last, count: None };
        let end = |mut holes: Vec<Hole>, oldest| {
            let mut current = 100;
            let end = leave_off_the_end(&mut holes, &mut current, oldest);
            (current, end.map(|end| (end.first, end.last)), holes.len())
        };
        assert_eq!(end(vec![hole(80, Some(80)), hole(50, None)], 1), (49, Some((50, None)), 0));
        assert_eq!(end(vec![hole(20, Some(20)), hole(100, Some(100))], 1), (99, Some((100, Some(100))), 1));
        assert_eq!(end(vec![hole(20, Some(20))], 1), (100, None, 1));
        assert_eq!(end(vec![hole(50, None)], 50), (100, None, 1), "what was compacted is not left off");
    }
}
