//! Which part of history is read next, and for whom.
//!
//! At most one scan for each power of two of lag: a scan that comes into a level where another is nearer to the head is
//! dissolved, and its members wait until the other has left the level or somebody picks them up. A scan picks up
//! everyone it passes, so the whole history is read about twice however many start anywhere in it: once by the scan
//! that started last in line, and once more in all by those that started before it at 1/2, 1/4, 1/8 … of its lag.
//! Scans take turns, a chunk each, so five revisions of lag do not wait for five million.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;
use watchful_revision::Revision;
use watchful_watcher_index::{GroupId, WatcherIndex};

use super::members::{Cursor, Standing};
use super::{Engine, READS_OUT_MAX, Work};
use crate::history::OptionsMap;
use crate::spec::{GroupOptions, LagPolicy};
use crate::{KeyRanges, Matcher, ReadRequest, ScanId};

/// How far ahead a scan's first read looks for members to pick up. Later ones look twice as far as the chunk before
/// came.
const WINDOW_FIRST: u64 = 256;

/// The least a scan looks ahead.
const WINDOW_MIN: u64 = 64;

/// A shared reader of the members at its position.
#[derive(Debug)]
pub(super) struct Scan {
    position: Revision,
    out: Option<ReadOut>,
    riders: Vec<u32>,
    groups: HashMap<u32, Riders, foldhash::fast::RandomState>,
    index: Arc<WatcherIndex>,
    options: Arc<OptionsMap>,
    window: u64,
    last_turn: u64,
}

/// What is known of a read that is out.
#[derive(Debug)]
pub(super) struct ReadOut {
    /// The head when it was asked for.
    pub(super) to: u64,
    /// The streams that keep room for it.
    pub(super) reserved: Vec<(u32, u64)>,
}

#[derive(Debug)]
struct Riders {
    ranges: KeyRanges,
    count: usize,
}

impl Scan {
    /// Its first turn comes after the first turns of those that wait already, so that many short scans one after the
    /// other do not keep a long one from its own.
    fn new(position: Revision, reads_asked: u64) -> Self {
        Self {
            position,
            out: None,
            riders: Vec::new(),
            groups: HashMap::default(),
            index: Arc::new(WatcherIndex::small()),
            options: Arc::default(),
            window: WINDOW_FIRST,
            last_turn: reads_asked,
        }
    }

    pub(super) fn position(&self) -> Revision {
        self.position
    }

    /// The groups of those who rode last, without those that are gone.
    pub(super) fn groups(&self) -> impl Iterator<Item = u32> + '_ {
        self.groups.keys().copied()
    }

    pub(super) fn conflates(&self) -> bool {
        self.options.values().any(|options| options.lag == LagPolicy::Conflate)
    }

    pub(super) fn riders(&self) -> &[u32] {
        &self.riders
    }

    pub(super) fn index(&self) -> Arc<WatcherIndex> {
        Arc::clone(&self.index)
    }

    /// The read is back: hands out what it was about, and who rode.
    pub(super) fn come_back(&mut self) -> Option<(ReadOut, Vec<u32>)> {
        Some((self.out.take()?, std::mem::take(&mut self.riders)))
    }

    /// The next read starts at `position`.
    pub(super) fn go_on_at(&mut self, position: Revision, revisions_max: u64) {
        let came = position.main - self.position.main + 1;
        self.window = came.saturating_mul(2).clamp(WINDOW_MIN, revisions_max.max(WINDOW_MIN));
        self.position = position;
    }

    pub(super) fn forget_group(&mut self, group: u32) {
        if let Some(gone) = self.groups.remove(&group) {
            self.unindex(group, &gone.ranges);
        }
    }

    fn unindex(&mut self, group: u32, ranges: &KeyRanges) {
        for range in ranges.as_slice() {
            self.index.remove(range, GroupId(group));
        }
        if self.options.contains_key(&GroupId(group)) {
            Arc::make_mut(&mut self.options).remove(&GroupId(group));
        }
    }

    fn count_rider(&mut self, group: u32, ranges: &KeyRanges, options: GroupOptions) {
        if let Some(riders) = self.groups.get_mut(&group) {
            riders.count += 1;
            return;
        }
        for range in ranges.as_slice() {
            self.index.insert(range, GroupId(group));
        }
        if options != GroupOptions::default() {
            Arc::make_mut(&mut self.options).insert(GroupId(group), options);
        }
        self.groups.insert(group, Riders { ranges: ranges.clone(), count: 1 });
    }

    fn forget_riderless(&mut self) {
        let gone: Vec<u32> =
            self.groups.iter().filter(|(_, riders)| riders.count == 0).map(|(group, _)| *group).collect();
        for group in gone {
            self.forget_group(group);
        }
    }
}

impl Engine {
    /// Asks for as many reads as may be out, for those for whom nothing is kept.
    pub(super) fn start_reads(&mut self) {
        self.deal_kept();
        while self.reads_out < READS_OUT_MAX && !(self.waiting.nobody_is_in_line() && self.scans.len() == 0) {
            self.drop_idle_scans();
            self.found_scans();
            let Some(scan) = self.next_scan() else { return };
            self.start_read(scan);
        }
    }

    /// The power of two of the lag of somebody who is owed `main`, which the head has passed.
    fn level(&self, main: u64) -> u32 {
        (self.head + 1).saturating_sub(main).max(1).ilog2()
    }

    /// Removes scans that nobody waits for at their position, and those of a level where another is read for, or is
    /// nearer to the head.
    fn drop_idle_scans(&mut self) {
        let mut front = [None::<(bool, Revision)>; 64];
        for (_, scan) in self.scans.iter() {
            let best = &mut front[self.level(scan.position.main) as usize];
            *best = (*best).max(Some((scan.out.is_some(), scan.position)));
        }
        let idle = |(name, scan): (u32, &Scan)| {
            let waited_for = self.waiting.is_waited_for(scan.position);
            let is_front = front[self.level(scan.position.main) as usize] == Some((false, scan.position));
            (scan.out.is_none() && !(waited_for && is_front)).then_some(name)
        };
        let gone: Vec<u32> = self.scans.iter().filter_map(idle).collect();
        for scan in gone {
            self.scans.remove(scan);
        }
    }

    /// Starts a scan in each level that has members and no scan, at the one that is furthest behind.
    fn found_scans(&mut self) {
        let Some(rearmost) = self.waiting.rearmost(Revision::new(0, 0), u64::MAX) else { return };
        let taken: BTreeSet<u32> =
            self.scans.iter().map(|(_, scan)| self.level(scan.position.main)).collect();
        for level in (0..=self.level(rearmost.main)).filter(|level| !taken.contains(level)) {
            if let Some(position) = self.rearmost_of(level) {
                self.scans.insert(Scan::new(position, self.reads_asked));
            }
        }
    }

    fn rearmost_of(&self, level: u32) -> Option<Revision> {
        let lag_min = 1_u64 << level;
        let lag_max = lag_min.saturating_mul(2).saturating_sub(1);
        let first = (self.head + 1).saturating_sub(lag_max);
        let last = (self.head + 1).checked_sub(lag_min)?;
        self.waiting.rearmost(Revision::start_of(first), last)
    }

    /// The scan that waited longest. Those that are left after [`Engine::drop_idle_scans`] may all go.
    fn next_scan(&self) -> Option<u32> {
        let idle = self.scans.iter().filter(|(_, scan)| scan.out.is_none());
        idle.min_by_key(|(_, scan)| scan.last_turn).map(|(name, _)| name)
    }

    fn start_read(&mut self, name: u32) {
        let Some(scan) = self.scans.get(name) else { return };
        let (from, window) = (scan.position, scan.window);
        let last = from.main.saturating_add(window - 1).min(self.head);
        self.reads_asked += 1;
        let last = Revision::new(last, u32::MAX);
        let passed: Vec<u32> = self.waiting.in_line(from, last).map(|(_, member)| member).collect();
        let (riders, reserved) = self.let_all_ride(&passed, name);
        if !riders.is_empty() {
            self.ask(name, riders, ReadOut { to: self.head, reserved });
        }
    }

    /// Who of them rides, and which streams keep room for that.
    pub(super) fn let_all_ride(&mut self, passed: &[u32], scan: u32) -> (Vec<u32>, Vec<(u32, u64)>) {
        let mut reserved = Vec::new();
        let rides = |member: &u32| self.let_ride(*member, scan, &mut reserved);
        let riders = passed.iter().copied().filter(rides).collect();
        (riders, reserved)
    }

    /// Lets the member ride if its stream has room for a whole chunk; it is reserved once a stream and read, because a
    /// chunk's charge is bounded over all its members.
    fn let_ride(&mut self, member: u32, scan: u32, reserved: &mut Vec<(u32, u64)>) -> bool {
        let chunk_bytes_max = self.settings.chunk_bytes_max;
        let Some(this) = self.members.get(member) else { return false };
        let (stream, Standing::Waiting(cursor)) = (this.stream, this.standing) else { return false };
        let Some(to) = self.streams.get_mut(stream).filter(|to| !to.blocked) else { return false };
        if to.reserved_by != self.reads_asked {
            if !to.has_room(chunk_bytes_max) {
                self.block(stream);
                return false;
            }
            to.reserved_bytes += chunk_bytes_max;
            to.reserved_by = self.reads_asked;
            reserved.push((stream, to.serial));
        }
        self.set_standing(member, Standing::Riding { scan, cursor });
        true
    }

    fn ask(&mut self, name: u32, riders: Vec<u32>, out: ReadOut) {
        let Some(scan) = self.scans.get_mut(name) else { return };
        scan.groups.values_mut().for_each(|riders| riders.count = 0);
        for member in &riders {
            let group = self.members.get(*member).map_or(u32::MAX, |member| member.group);
            if let Some(found) = self.groups.get(group) {
                scan.count_rider(group, &found.ranges, found.options);
            }
        }
        scan.forget_riderless();
        let (from, to) = (scan.position, out.to);
        // No further than it looked for members to pick up: those beyond would be passed and left behind.
        let revisions_max = self.settings.chunk_revisions_max.min(scan.window);
        (scan.riders, scan.out, scan.last_turn) = (riders, Some(out), self.reads_asked);
        let matcher = Matcher { index: Arc::clone(&scan.index), options: Arc::clone(&scan.options) };
        self.reads_out += 1;
        self.work.push(Work::Read(ReadRequest {
            scan: ScanId::Shared(name),
            from,
            to,
            bytes_max: self.settings.chunk_bytes_max,
            revisions_max,
            matcher,
        }));
    }

    /// Gives the room back that was kept for a read.
    pub(super) fn release(&mut self, reserved: &[(u32, u64)]) {
        let chunk_bytes_max = self.settings.chunk_bytes_max;
        for (stream, serial) in reserved {
            if let Some(to) = self.streams.get_mut(*stream).filter(|to| to.serial == *serial) {
                to.reserved_bytes = to.reserved_bytes.saturating_sub(chunk_bytes_max);
            }
        }
    }

    /// What was kept for a read has been given back and, as far as it was needed, been taken. Those who were blocked by
    /// that alone may ride now: their outbox may be empty already, and then nobody drains it any more.
    pub(super) fn room_is_back(&mut self, reserved: &[(u32, u64)]) {
        for (stream, serial) in reserved {
            if self.streams.get(*stream).is_some_and(|to| to.serial == *serial) {
                self.room_came(*stream);
            }
        }
    }

    /// The cursor of a member that still rides this scan; none if it was cancelled or ended meanwhile.
    pub(super) fn riding_cursor(&self, member: u32, scan: u32) -> Option<Cursor> {
        match self.members.get(member)?.standing {
            Standing::Riding { scan: on, cursor } if on == scan => Some(cursor),
            _ => None,
        }
    }
}
