//! What a person or a test may ask.

use super::members::{Member, Standing};
use super::{Engine, Stream};
use crate::{KeyRanges, StreamId, WatchId};

/// Where a watch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WatcherStanding {
    /// It waits for a revision that is still to come.
    Future,
    /// It has everything, and awaits the next commit.
    Synced,
    /// It is owed history.
    Unsynced,
    /// It is owed history, and its outbox is full: it goes on when its receiver reads.
    Blocked,
}

/// One watch, as the engine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatcherStatus {
    /// Its stream.
    pub stream: StreamId,
    /// Its id on that stream.
    pub watch: WatchId,
    /// What it watches.
    pub ranges: KeyRanges,
    /// Where it stands.
    pub standing: WatcherStanding,
    /// The first main revision that has not been put into its outbox.
    pub next_revision: u64,
    /// How many published revisions it has not been given.
    pub lag_revisions: u64,
    /// What its stream's outbox holds, for all watches of the stream.
    pub queued_bytes: usize,
}

/// How many watches stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standings {
    /// They wait for a revision that is still to come.
    pub future: usize,
    /// They have everything.
    pub synced: usize,
    /// They are owed history.
    pub unsynced: usize,
    /// They are owed history, and their outbox is full.
    pub blocked: usize,
}

/// How much of everything there is. All but the revisions are 0 when everybody has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Receivers.
    pub streams: usize,
    /// Watches.
    pub watches: usize,
    /// Watches by where they stand.
    pub standings: Standings,
    /// Groups of watches with the same ranges and options.
    pub groups: usize,
    /// Groups on streams, by standing: the engine's unit of work.
    pub members: usize,
    /// Members that are synced.
    pub synced_members: usize,
    /// Members that wait for room in their outbox.
    pub blocked_members: usize,
    /// Scans of history under way.
    pub scans: usize,
    /// Reads that have not been answered.
    pub reads_out: usize,
    /// Ranges in the watcher index.
    pub indexed_ranges: usize,
    /// What the outboxes hold, as counted.
    pub queued_bytes: usize,
    /// What outboxes keep free for reads that are out.
    pub reserved_bytes: usize,
    /// What is kept of published batches while reads are out.
    pub recent_bytes: usize,
    /// What is kept of chunks that have been dealt, for those who had no room then.
    pub kept_bytes: usize,
    /// The most published revisions that any watch has not been given.
    pub lag_revisions_max: u64,
}

impl Standings {
    fn of(&mut self, standing: WatcherStanding) -> &mut usize {
        match standing {
            WatcherStanding::Future => &mut self.future,
            WatcherStanding::Synced => &mut self.synced,
            WatcherStanding::Unsynced => &mut self.unsynced,
            WatcherStanding::Blocked => &mut self.blocked,
        }
    }
}

impl Engine {
    /// How much of everything there is. Costs a look at each member and stream.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        let streams = || self.streams.iter().map(|(_, stream)| stream).filter(|stream| !stream.gone);
        let (standings, lag_revisions_max) = self.look_at_members();
        Gauges {
            streams: streams().count(),
            watches: streams().map(|stream| stream.watches.len()).sum(),
            standings,
            groups: self.groups.len(),
            members: self.members.len(),
            synced_members: self.synced,
            blocked_members: self.waiting.blocked_len(),
            scans: self.scans.len(),
            reads_out: self.reads_out,
            indexed_ranges: self.index.len(),
            queued_bytes: streams().map(|stream| stream.queued_bytes).sum(),
            reserved_bytes: streams().map(|stream| stream.reserved_bytes).sum(),
            recent_bytes: self.recent.bytes,
            kept_bytes: self.kept.bytes,
            lag_revisions_max,
        }
    }

    /// Where the watches stand, and the largest lag, in one pass.
    fn look_at_members(&self) -> (Standings, u64) {
        let (mut standings, mut lag_max) = (Standings::default(), 0);
        for (_, member) in self.members.iter() {
            *standings.of(self.standing_of(member)) += member.ids.len();
            lag_max = lag_max.max(self.lag(member));
        }
        (standings, lag_max)
    }

    /// One watch; none when there is no such watch any more.
    #[must_use]
    pub fn status(&self, stream: StreamId, watch: WatchId) -> Option<WatcherStatus> {
        let of = self.streams.get(stream.0)?;
        self.status_of(stream, of, watch, of.member_of(watch)?)
    }

    /// Every watch, by stream and id.
    pub fn watchers(&self) -> impl Iterator<Item = WatcherStatus> + '_ {
        self.streams.iter().flat_map(move |(name, stream)| {
            let status = move |(watch, member)| self.status_of(StreamId(name), stream, watch, member);
            stream.watches().filter_map(status)
        })
    }

    fn status_of(&self, stream: StreamId, of: &Stream, watch: WatchId, member: u32) -> Option<WatcherStatus> {
        let member = self.members.get(member)?;
        Some(WatcherStatus {
            stream,
            watch,
            ranges: self.groups.get(member.group)?.ranges.clone(),
            standing: self.standing_of(member),
            next_revision: self.next_revision(member),
            lag_revisions: self.lag(member),
            queued_bytes: of.queued_bytes,
        })
    }

    fn next_revision(&self, member: &Member) -> u64 {
        match member.standing {
            Standing::Future { start } => start,
            Standing::Synced { .. } => self.head + 1,
            Standing::Waiting(cursor) | Standing::Riding { cursor, .. } => cursor.next.main,
        }
    }

    fn lag(&self, member: &Member) -> u64 {
        (self.published + 1).saturating_sub(self.next_revision(member))
    }

    fn standing_of(&self, member: &Member) -> WatcherStanding {
        let is_blocked = || self.streams.get(member.stream).is_some_and(|to| to.blocked);
        match member.standing {
            Standing::Future { .. } => WatcherStanding::Future,
            Standing::Synced { .. } => WatcherStanding::Synced,
            Standing::Waiting(_) if is_blocked() => WatcherStanding::Blocked,
            Standing::Waiting(_) | Standing::Riding { .. } => WatcherStanding::Unsynced,
        }
    }
}
