//! Who is owed history and waits: in line for a read, or for room.
//!
//! Room is a stream's, and so is being blocked: all members of a stream that wait are in line, or none of them is. A
//! stream without room leaves the line whole, so no scan is founded at the place of each of its members only to find
//! that there is no room there either.

use std::collections::BTreeSet;

use watchful_revision::Revision;

/// Where a member waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) stream: u32,
    pub(super) next: Revision,
    pub(super) group: u32,
    pub(super) member: u32,
}

/// All members that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// All of them. Members of one group on one stream that are owed the same are neighbours, so that they find each
    /// other without a look at those that are owed something else.
    places: BTreeSet<Place>,
    /// Those whose stream is not blocked, by what they are owed: next, stream, member.
    line: BTreeSet<(Revision, u32, u32)>,
}

impl Waiting {
    pub(super) fn insert(&mut self, place: Place, in_line: bool) {
        self.places.insert(place);
        if in_line {
            self.line.insert(place.in_line());
        }
    }

    pub(super) fn remove(&mut self, place: Place) {
        self.places.remove(&place);
        self.line.remove(&place.in_line());
    }

    /// The stream has no room: none of its members is in line any more.
    pub(super) fn leave_line(&mut self, stream: u32) {
        for place in self.places.range(Place::all_of(stream)) {
            self.line.remove(&place.in_line());
        }
    }

    /// The stream has room again.
    pub(super) fn join_line(&mut self, stream: u32) {
        self.line.extend(self.places.range(Place::all_of(stream)).map(|place| place.in_line()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn nobody_is_in_line(&self) -> bool {
        self.line.is_empty()
    }

    /// How many wait for room.
    pub(super) fn blocked_len(&self) -> usize {
        self.places.len() - self.line.len()
    }

    /// Where the first in line is that is owed something from `from` up to and with revision `last`.
    pub(super) fn rearmost(&self, from: Revision, last: u64) -> Option<Revision> {
        self.in_line(from, Revision::new(last, u32::MAX)).next().map(|(next, _)| next)
    }

    pub(super) fn is_waited_for(&self, next: Revision) -> bool {
        self.in_line(next, next).next().is_some()
    }

    /// Next and member of all in line from `from` up to and with `last`.
    pub(super) fn in_line(
        &self,
        from: Revision,
        last: Revision,
    ) -> impl Iterator<Item = (Revision, u32)> + '_ {
        self.line.range((from, 0, 0)..=(last, u32::MAX, u32::MAX)).map(|(next, _, member)| (*next, *member))
    }

    /// Members of the group on the stream that wait for `next`: few, and only where one has been sent a part of it.
    pub(super) fn beside(&self, stream: u32, group: u32, next: Revision) -> impl Iterator<Item = u32> + '_ {
        let at = |member| Place { stream, next, group, member };
        self.places.range(at(0)..=at(u32::MAX)).map(|place| place.member)
    }

    /// All that are owed something below revision `main`.
    pub(super) fn below(&self, main: u64) -> impl Iterator<Item = u32> + '_ {
        self.places.iter().filter(move |place| place.next.main < main).map(|place| place.member)
    }
}

impl Place {
    fn all_of(stream: u32) -> std::ops::RangeInclusive<Self> {
        let first = Self { stream, next: Revision::new(0, 0), group: 0, member: 0 };
        let last =
            Self { stream, next: Revision::new(u64::MAX, u32::MAX), group: u32::MAX, member: u32::MAX };
        first..=last
    }

    fn in_line(self) -> (Revision, u32, u32) {
        (self.next, self.stream, self.member)
    }
}

#[cfg(test)]
mod tests {
    use watchful_revision::{Event, EventKind, KeyRange, Put, Record, Revision, encode_put};

    use crate::{Engine, EngineSettings, HistoryChunk, ReadRequest, WatchSpec, WatcherStanding, Work};

    const REVISIONS: u64 = 20_000;

    const WATCHES: u64 = 2_000;

    /// Every revision is one put of `k`.
    fn event(main: u64) -> Event {
        let (at, mut bytes) = (Revision::start_of(main), Vec::new());
        let put = Put { key: b"k", value: b"", create_revision: 2, version: main - 1, lease: 0 };
        encode_put(at, &put, &mut bytes).unwrap();
        Event::new(Record::parse(at, bytes.into()).unwrap(), None)
    }

    fn read(request: &ReadRequest) -> HistoryChunk {
        let mut chunk = HistoryChunk::empty(request.scan, Revision::start_of(request.to + 1));
        let matches = request.matcher.matches(b"k", EventKind::Put);
        let last = request.to.min(request.from.main + request.revisions_max - 1);
        let mut next = request.from.main;
        while next <= last && chunk.charge_bytes() + event(next).charge_bytes() <= request.bytes_max {
            chunk.push(event(next), false, &matches);
            next += 1;
        }
        chunk.end_at(Revision::start_of(next));
        chunk
    }

    /// Does all that is asked for; the receiver drains only when there is nothing else to do. Returns how many reads and
    /// how many drains that took.
    fn come_to_rest(engine: &mut Engine) -> (u64, u64) {
        let (mut reads, mut drains, mut queued, mut out) = (0, 0, Vec::new(), Vec::new());
        loop {
            for work in engine.turn() {
                match work {
                    Work::Read(request) => out.push(request),
                    Work::Deliver { stream, item } => queued.push((stream, item.charge_bytes())),
                    Work::Blocked { .. } => {}
                }
            }
            if let Some(request) = out.pop() {
                reads += 1;
                engine.history(Ok(read(&request)));
            } else if queued.is_empty() {
                return (reads, drains);
            } else {
                drains += 1;
                queued.drain(..).for_each(|(stream, bytes)| engine.drained(stream, bytes));
            }
        }
    }

    /// A client that resumes ten thousand watches on one connection, each from a revision of its own. Whenever its outbox
    /// had room, each of them looked through all the others for one that is owed the same, and whenever it had none, a
    /// scan was founded at the place of each, only to find it blocked. The driver did nothing else, and the catch-up did
    /// not come to its end.
    #[test]
    #[cfg_attr(
        miri,
        ignore = "it counts looks among thousands of watches, which Miri does not come to the end of"
    )]
    fn members_of_one_stream_do_not_look_at_each_other() {
        let settings = EngineSettings { chunk_bytes_max: 16 << 10, ..EngineSettings::default() };
        let mut engine = Engine::new(settings, REVISIONS, 0);
        let stream = engine.attach(0);
        for watch in 0..WATCHES {
            let start = 2 + watch * (REVISIONS / WATCHES);
            engine.watch(stream, i64::try_from(watch).unwrap(), WatchSpec::new(KeyRange::key("k"), start));
        }
        let (reads, drains) = come_to_rest(&mut engine);
        assert!(engine.watchers().all(|watch| watch.standing == WatcherStanding::Synced));
        let (looks, tries) = (engine.looks.get(), engine.reads_asked);
        println!("{reads} reads, {tries} tries, {drains} drains, {looks} looks for {WATCHES} watches");
        assert!(drains > 50, "it is blocked often, or this shows nothing: {drains}");
        assert!(looks <= 10 * WATCHES + 10 * reads, "{looks} looks");
        assert!(tries <= 3 * (reads + drains), "{tries} tries for {reads} reads");
    }
}
