//! What one walk through a damaged file found: the rows that are whole, and where something is missing between them.

use std::collections::{BTreeMap, HashSet};

use watchful_backend::{Piece, Place, SalvageFile};
use watchful_revision::{KeyValueRef, LeaseId, RECORD_HEADER_LEN, RecordRef, Revision};

use crate::MvccError;
use crate::check::check_error;
use crate::format::{
    FORMAT, FORMAT_WITHOUT_SUMS, META_COMPACT_SCHEDULED, META_EPOCH, META_FORMAT, META_NAMES, META_STORE_ID,
    TABLE_LEASE, TABLE_LOG, TABLE_META, TABLE_NOTE, is_possible, parse_lease, parse_lease_without_sum,
    parse_meta,
};
use crate::lives::{KeyMark, Life};
use crate::note;

/// A row that is whole, and where it is.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) revision: Revision,
    pub(super) place: Place,
    pub(super) key: KeyMark,
    pub(super) life: Life,
    pub(super) lease: LeaseId,
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
pub(super) struct Gap {
    /// Records that are damaged, by their revisions.
    pub(super) damaged: Vec<Revision>,
    /// Whether more than those is missing.
    pub(super) is_wide: bool,
    /// The lowest revision of the rows that are whole and out of place here, after rows of higher ones: what they stand between
    /// is not known.
    pub(super) lowest: Option<Revision>,
    /// Whether a branch is, so that what is missing may have come loose.
    pub(super) may_be_loose: bool,
}

/// Revisions of which something is missing; the last is none at the end of the log.
#[derive(Clone, Copy)]
pub(super) struct Hole {
    pub(super) first: u64,
    pub(super) last: Option<u64>,
    /// How many changes are missing, where that is known.
    pub(super) count: Option<u64>,
}

/// What a table but the log gave.
#[derive(Default)]
pub(super) struct Found {
    /// Its rows, by key.
    pub(super) rows: BTreeMap<Vec<u8>, Place>,
    pub(super) damaged: Vec<Vec<u8>>,
    /// How many rows it is said to have; none when it is not in the list of tables.
    pub(super) entries: Option<u64>,
    /// Whether rows are missing, or may be.
    pub(super) is_cut: bool,
    /// Whether those may have come loose.
    pub(super) may_be_loose: bool,
}

impl Found {
    /// Whether any of its rows may be among those that came loose.
    fn has_loose(&self) -> bool {
        self.may_be_loose || self.entries.is_none()
    }
}

/// A row of another table than the log, that came loose.
pub(super) struct Fact {
    pub(super) table: &'static str,
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) place: Place,
}

/// Everything that one walk found.
#[derive(Default)]
pub(super) struct Finds {
    pub(super) rows: Vec<Row>,
    /// By how many rows come before.
    pub(super) gaps: BTreeMap<usize, Gap>,
    pub(super) leases: BTreeMap<LeaseId, i64>,
    pub(super) lease: Found,
    pub(super) note: Found,
    pub(super) meta: Found,
    pub(super) format: Option<u32>,
    pub(super) epoch: Option<u64>,
    pub(super) compact_revision: Option<u64>,
    pub(super) has_store_id: bool,
    /// Whether what it keeps about itself has the sums of this program's format.
    pub(super) has_sums: bool,
    /// Whether the list of tables is damaged.
    pub(super) is_list_cut: bool,
    /// The tables in it that no store has.
    pub(super) unknown_tables: Vec<String>,
    /// How many rows the log is said to have.
    pub(super) log_entries: Option<u64>,
    pub(super) loose: Vec<Row>,
    pub(super) loose_facts: Vec<Fact>,
    pub(super) loose_damaged: Vec<Revision>,
    /// Whether a row came loose that nobody can tell the table of.
    has_loose_unknown: bool,
    /// The leaf that was found to be of another time: what else is on it does not count.
    astray: Option<u64>,
    pub(super) problems: u64,
    pub(super) is_complete: bool,
    pub(super) is_torn: bool,
}

impl Finds {
    pub(super) fn of(file: &SalvageFile, commit: usize) -> Result<Self, MvccError> {
        let mut finds = Self::default();
        let walked = file.walk(commit, |piece| finds.take(piece)).map_err(check_error)?;
        finds.problems = walked.problems;
        finds.is_complete = walked.is_complete;
        finds.is_torn = !walked.torn.is_empty();
        for (name, entries) in &walked.entries {
            match finds.table(name) {
                Some(found) => found.entries = Some(*entries),
                None if name == TABLE_LOG => finds.log_entries = Some(*entries),
                None => finds.unknown_tables.push(name.clone()),
            }
        }
        finds.is_list_cut |= !finds.unknown_tables.is_empty();
        if finds.log_entries.is_none() || !finds.unknown_tables.is_empty() {
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
        // A page that is in use and free may be of an earlier moment.
        for found in [&mut finds.lease, &mut finds.meta, &mut finds.note] {
            found.is_cut |= found.rows.values().any(|place| walked.torn.contains(&place.page()));
        }
        if finds.meta.rows.values().any(|place| walked.torn.contains(&place.page())) {
            finds.compact_revision = None;
        }
        // A name that is damaged may be that of another, which is there too.
        let (note, mut names) = (&mut finds.note, HashSet::new());
        note.is_cut |= note.damaged.iter().any(|name| note.rows.contains_key(name) || !names.insert(name));
        Ok(finds)
    }

    fn gap(&mut self) -> &mut Gap {
        self.gaps.entry(self.rows.len()).or_default()
    }

    fn take(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Entry { place, .. } if self.astray == Some(place.page()) => {}
            Piece::Entry { table: TABLE_LOG, key, value, place, is_inside } => {
                match value.ok().and_then(|value| Row::parse(key, value, place)) {
                    Some(_) if !is_inside => self.leave_log_page(place.page()),
                    row => self.row(key, value.ok(), row),
                }
            }
            Piece::Entry { table, key, value, place, is_inside } => match self.table(table) {
                Some(_) => self.fact(table, key, value.ok(), place, is_inside),
                // It is one of ours that lost its name. What a row is, its sum tells.
                None => self.loose(key, value.ok(), place),
            },
            Piece::Lost { table: Some(table), may_be_loose, may_be_gone } => {
                if let Some(found) = self.table(table) {
                    found.may_be_loose |= may_be_loose;
                    found.is_cut |= may_be_gone;
                } else {
                    let gap = self.gap();
                    gap.may_be_loose |= may_be_loose;
                    gap.is_wide |= may_be_gone || table != TABLE_LOG;
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

    /// A row of the log, where it is whole.
    fn row(&mut self, key: &[u8], value: Option<&[u8]>, row: Option<Row>) {
        let last = self.rows.last().map_or(Revision::default(), |row| row.revision);
        match row {
            Some(row) if row.revision > last => self.rows.push(row),
            // It is whole, and in the wrong place: its page is one of another time, or that of the rows before it. Of two that are
            // the same, either may stand where another should.
            Some(row) => {
                let at = self.rows.partition_point(|other| other.revision < row.revision);
                let is_twice = self.rows.get(at).is_some_and(|other| other.revision == row.revision);
                let before =
                    at.checked_sub(1).map_or(Revision::default(), |before| self.rows[before].revision);
                let from = if is_twice { before } else { row.revision };
                let gap = self.gap();
                gap.is_wide = true;
                gap.lowest = Some(gap.lowest.map_or(from, |lowest| lowest.min(from)));
            }
            None => match damaged_revision(key, value) {
                Some(revision) => self.gap().damaged.push(revision),
                None => self.gap().is_wide = true,
            },
        }
    }

    /// A leaf with a whole row outside of the revisions that lead to it is one of another time: its rows may have been compacted
    /// since, or were never committed. Those of it that were taken are given back.
    fn leave_log_page(&mut self, page: u64) {
        self.astray = Some(page);
        while self.rows.pop_if(|row| row.place.page() == page).is_some() {}
        let rows = self.rows.len();
        self.gaps.retain(|at, _| *at <= rows);
        let gap = self.gap();
        // Or what leads to it should lead to another.
        (gap.is_wide, gap.may_be_loose) = (true, true);
    }

    /// The same for another table.
    fn leave_page(&mut self, table: &str, page: u64) {
        self.astray = Some(page);
        let Some(found) = self.table(table) else { return };
        found.is_cut = true;
        let left: Vec<_> = found.rows.extract_if(.., |_, place| place.page() == page).collect();
        for id in left.iter().filter(|_| table == TABLE_LEASE).filter_map(|(key, _)| lease_id(key)) {
            self.leases.remove(&id);
        }
    }

    /// A row of another table. A whole one that is not inside leaves its page before it takes the place of another.
    fn fact(&mut self, table: &str, key: &[u8], value: Option<&[u8]>, place: Place, is_inside: bool) {
        let lease = value.filter(|_| table == TABLE_LEASE).and_then(|value| parse_any_lease(key, value));
        let is_whole = value.is_some_and(|value| match table {
            TABLE_LEASE => lease.is_some(),
            TABLE_NOTE => note::decode(key, value).is_ok_and(|value| note::check(key, value).is_ok()),
            TABLE_META => self.meta(key, value),
            _ => true,
        });
        if is_whole && !is_inside {
            return self.leave_page(table, place.page());
        }
        self.leases.extend(lease);
        let is_of_another = |value: &[u8]| {
            Row::parse(key, value, place).is_some()
                || table_of(key, value).is_some_and(|other| other != table)
        };
        let is_elsewhere = !is_whole && value.is_some_and(is_of_another);
        let Some(found) = self.table(table) else { return };
        if is_whole {
            found.rows.insert(key.to_owned(), place);
        } else if is_elsewhere {
            found.may_be_loose = true;
            self.loose(key, value, place);
        } else {
            found.damaged.push(key.to_owned());
        }
    }

    fn meta(&mut self, key: &[u8], row: &[u8]) -> bool {
        let name = std::str::from_utf8(key).unwrap_or_default();
        if name == META_FORMAT {
            self.format = row.try_into().map(u32::from_be_bytes).ok();
            return self.format.is_some();
        }
        if !META_NAMES.contains(&name) {
            return false;
        }
        // In format 1 there are no sums.
        let len = if name == META_STORE_ID { 16 } else { 8 };
        let summed = parse_meta(name, row).filter(|value| value.len() == len);
        self.has_sums |= summed.is_some() && [META_STORE_ID, META_EPOCH].contains(&name);
        let value = if row.len() == len { Some(row) } else { summed };
        let Some(value) = value.filter(|value| value.len() == len) else { return false };
        let number = value.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        if number.is_some_and(|number| !is_possible(name, number)) {
            return false;
        }
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
            None => match damaged_revision(key, value) {
                Some(revision) => self.loose_damaged.push(revision),
                None => self.has_loose_unknown = true,
            },
        }
    }

    /// Puts the rows that came loose where they belong, if they can be trusted: if each of them is new, and something is missing
    /// where it belongs. One that nothing misses is an old one, whatever the lists of free pages say.
    fn take_loose(&mut self) {
        let facts = std::mem::take(&mut self.loose_facts);
        let mut met = HashSet::new();
        let are_facts_new = facts.iter().all(|Fact { table, key, .. }| {
            let is_missed = |found: &mut Found| found.has_loose() && !found.rows.contains_key(key);
            met.insert((table, key)) && self.table(table).is_some_and(is_missed)
        });
        let mut loose = std::mem::take(&mut self.loose);
        loose.sort_unstable_by_key(|row| row.revision);
        let fits = |revision: Revision| {
            let at = self.rows.partition_point(|row| row.revision < revision);
            let is_new = self.rows.get(at).is_none_or(|row| row.revision != revision);
            is_new && self.gaps.get(&at).is_some_and(|gap| gap.may_be_loose)
        };
        let damaged = std::mem::take(&mut self.loose_damaged);
        self.is_complete = self.is_complete
            && are_facts_new
            && loose.is_sorted_by(|left, right| left.revision < right.revision)
            && loose.iter().all(|row| fits(row.revision))
            && damaged.iter().all(|revision| fits(*revision));
        if !self.is_complete {
            return;
        }
        for found in [&mut self.lease, &mut self.note, &mut self.meta] {
            found.is_cut |= self.has_loose_unknown && found.has_loose();
        }
        for Fact { table, key, value, place } in facts {
            match table {
                TABLE_NOTE => _ = self.note.rows.insert(key, place),
                _ => self.fact(table, &key, Some(&value), place, true),
            }
        }
        let (rows, mut gaps) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.gaps));
        let mut loose = loose.into_iter().peekable();
        for index in 0..=rows.len() {
            let next = rows.get(index).copied();
            let is_before = |row: &Row| next.is_none_or(|next: Row| row.revision < next.revision);
            let gap = gaps.remove(&index);
            let (start, is_wide) = (self.rows.len(), gap.as_ref().is_some_and(|gap| gap.is_wide));
            let mut damaged = Vec::new();
            self.gaps.extend(gap.map(|mut gap| {
                damaged = std::mem::take(&mut gap.damaged);
                (start, gap)
            }));
            while let Some(row) = loose.next_if(is_before) {
                self.rows.push(row);
                self.gap().is_wide |= is_wide;
            }
            // Each has its place among the rows that were between.
            for revision in damaged {
                let at = start + self.rows[start..].partition_point(|row| row.revision < revision);
                self.gaps.entry(at).or_default().damaged.push(revision);
            }
            self.rows.extend(next);
        }
        for revision in damaged {
            let at = self.rows.partition_point(|row| row.revision < revision);
            self.gaps.entry(at).or_default().damaged.push(revision);
        }
    }

    /// The revisions of which something is missing, above and below the compact revision.
    pub(super) fn holes(&self) -> Vec<Hole> {
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
                // Those that were dropped here are lower than the row before.
                holes.push(wide(gap.and_then(|gap| gap.lowest).or(before), after));
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
        let next = last.map_or(1, |last| last.main).max(compact_revision).saturating_add(1);
        revision.main <= compact_revision
            || last.is_some_and(|last| revision == last.next())
            || revision == Revision::start_of(next)
    }

    /// Whether the log never had a row, or has none any more, and there are leases or notes.
    pub(super) fn has_only_facts(&self) -> bool {
        self.log_entries == Some(0) && !(self.leases.is_empty() && self.note.rows.is_empty())
    }

    /// The format, where it is none that this program knows.
    pub(super) fn unknown_format(&self) -> Option<u32> {
        self.format.filter(|format| ![FORMAT, FORMAT_WITHOUT_SUMS].contains(format))
    }

    /// None when it cannot be known.
    pub(super) fn known_compact_revision(&self) -> Option<u64> {
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

/// The revision of a record that is damaged; none where the damage may be in that.
fn damaged_revision(key: &[u8], value: Option<&[u8]>) -> Option<Revision> {
    let revision = Revision::from_bytes(key).ok()?;
    let message = value.and_then(|value| KeyValueRef::parse(value.get(RECORD_HEADER_LEN..)?).ok());
    message.is_none_or(|message| message.mod_revision == revision.main).then_some(revision)
}

fn lease_id(key: &[u8]) -> Option<LeaseId> {
    key.try_into().map(LeaseId::from_be_bytes).ok()
}

fn wide(before: Option<Revision>, after: Option<Revision>) -> Hole {
    let first = before.map_or(1, |before| before.main);
    let last =
        after.map(|after| if after.sub > 0 { after.main } else { after.main.saturating_sub(1) }.max(first));
    Hole { first, last, count: None }
}

/// A lease, of either format. No lease has the id 0.
fn parse_any_lease(key: &[u8], value: &[u8]) -> Option<(LeaseId, i64)> {
    parse_lease(key, value).or_else(|| parse_lease_without_sum(key, value)).filter(|(id, _)| *id != 0)
}
