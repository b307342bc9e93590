//! What becomes of a file: one kind of damage a copy, at a place by seed.

use watchful_revision::Revision;
use watchful_testkit::SplitMix64;

use super::scene::{PAGE_BYTES, Scene};

const SECTOR_BYTES: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Byte,
    Bit,
    Number,
    Zeros,
    Noise,
    Swap,
    Stale,
    Cut,
    Header,
    Garbage,
    Record,
    Tree,
}

/// A damaged copy of a scene's file.
pub(super) struct Copy {
    pub(super) kind: Kind,
    pub(super) bytes: Vec<u8>,
    /// What was done, for who reads a failure.
    pub(super) story: String,
    /// The record that was damaged, where nothing else was.
    pub(super) revision: Option<Revision>,
}

/// How often each kind is tried.
const KINDS: [Kind; 17] = [
    Kind::Byte,
    Kind::Byte,
    Kind::Bit,
    Kind::Bit,
    Kind::Bit,
    Kind::Number,
    Kind::Number,
    Kind::Zeros,
    Kind::Noise,
    Kind::Swap,
    Kind::Stale,
    Kind::Stale,
    Kind::Cut,
    Kind::Header,
    Kind::Garbage,
    Kind::Record,
    Kind::Tree,
];

impl Copy {
    pub(super) fn any(rng: &mut SplitMix64, scene: &Scene) -> Self {
        let kind = *rng.pick(&KINDS);
        let mut copy = Self { kind, bytes: scene.file.clone(), story: String::new(), revision: None };
        let times = if rng.chance(4) { 2 + rng.below(4) } else { 1 };
        match kind {
            Kind::Byte => (0..times).for_each(|_| copy.byte(rng)),
            Kind::Bit => (0..times).for_each(|_| copy.bit(rng)),
            Kind::Number => (0..times).for_each(|_| copy.number(rng)),
            Kind::Zeros => (0..times).for_each(|_| copy.fill(rng, false)),
            Kind::Noise => (0..times).for_each(|_| copy.fill(rng, true)),
            Kind::Swap => (0..times).for_each(|_| copy.swap(rng)),
            // One write that was lost. With several of one moment, the file is what it was, and nothing could tell.
            Kind::Stale => copy.put_back(rng, scene),
            Kind::Cut => copy.cut_at(below(rng, scene.file.len())),
            Kind::Header => copy.header(rng),
            Kind::Garbage => copy.append(rng),
            Kind::Record => copy.record(rng, scene),
            Kind::Tree => copy.tree(rng),
        }
        copy
    }

    pub(super) fn cut(scene: &Scene, len: usize) -> Self {
        let mut copy =
            Self { kind: Kind::Cut, bytes: scene.file.clone(), story: String::new(), revision: None };
        copy.cut_at(len);
        copy
    }

    /// Whether a page of LMDB's own may be damaged in it; to map such a file may end a process.
    pub(super) fn may_crash(&self) -> bool {
        !matches!(self.kind, Kind::Cut | Kind::Garbage | Kind::Record | Kind::Header)
    }

    /// Whether it may be a file as it was: a whole page of another time is nothing that a checksum in it could tell.
    pub(super) fn is_stale(&self) -> bool {
        self.kind == Kind::Stale
    }

    /// Whether it may be the file as it was before the last commit: by a write that was lost, or a number of a commit that is
    /// another, in the one bit that makes the commit before follow the last one.
    pub(super) fn may_be_older(&self, scene: &Scene) -> bool {
        const COMMIT: usize = 144;
        let number = |page: usize| page * PAGE_BYTES + COMMIT..page * PAGE_BYTES + COMMIT + 8;
        self.is_stale() || (0..2).any(|page| self.bytes.get(number(page)) != scene.file.get(number(page)))
    }

    fn tell(&mut self, what: String) {
        if !self.story.is_empty() {
            self.story.push_str("; ");
        }
        self.story.push_str(&what);
    }

    /// A place: half of them at the start of a page, where its head and its nodes' places are.
    fn place(&self, rng: &mut SplitMix64) -> usize {
        match rng.chance(2) {
            true => below(rng, self.bytes.len() / PAGE_BYTES) * PAGE_BYTES + below(rng, 200),
            false => below(rng, self.bytes.len()),
        }
    }

    fn byte(&mut self, rng: &mut SplitMix64) {
        let (at, byte) = (self.place(rng), rng.next_u64().to_be_bytes()[0]);
        self.bytes[at] = byte;
        self.tell(format!("byte {at} is {byte}"));
    }

    fn bit(&mut self, rng: &mut SplitMix64) {
        let (at, bit) = (self.place(rng), rng.below(8));
        self.bytes[at] ^= 1 << bit;
        self.tell(format!("bit {bit} of byte {at} is flipped"));
    }

    fn number(&mut self, rng: &mut SplitMix64) {
        let at = self.place(rng) & !1;
        let number = match rng.below(3) {
            0 => rng.below(self.bytes.len() as u64 / 2000),
            1 => rng.next_u64(),
            _ => 1 << rng.below(64),
        };
        let len = *rng.pick(&[2, 4, 8]);
        for (byte, new) in self.bytes[at..].iter_mut().zip(in_file(number)).take(len) {
            *byte = new;
        }
        self.tell(format!("{len} bytes from {at} on are of {number}"));
    }

    /// A stretch of whole sectors.
    fn stretch(&self, rng: &mut SplitMix64) -> (usize, usize) {
        let len = if rng.chance(2) { SECTOR_BYTES } else { PAGE_BYTES };
        (below(rng, self.bytes.len() / len) * len, len)
    }

    fn fill(&mut self, rng: &mut SplitMix64, is_noise: bool) {
        let (at, len) = self.stretch(rng);
        for byte in &mut self.bytes[at..at + len] {
            *byte = if is_noise { rng.next_u64().to_be_bytes()[0] } else { 0 };
        }
        self.tell(format!("{len} bytes from {at} on are {}", if is_noise { "random" } else { "zeros" }));
    }

    fn swap(&mut self, rng: &mut SplitMix64) {
        let (from, len) = self.stretch(rng);
        let to = below(rng, self.bytes.len() / len) * len;
        let (old, is_swap) = (self.bytes[to..to + len].to_vec(), rng.chance(2));
        self.bytes.copy_within(from..from + len, to);
        if is_swap {
            self.bytes[from..from + len].copy_from_slice(&old);
        }
        self.tell(format!(
            "{len} bytes from {from} on are at {to}{}",
            if is_swap { " and the other way" } else { "" }
        ));
    }

    fn put_back(&mut self, rng: &mut SplitMix64, scene: &Scene) {
        let older = below(rng, scene.older_files.len());
        let (file, (at, len)) = (&scene.older_files[older], self.stretch(rng));
        if let Some(stale) = file.get(at..at + len) {
            self.bytes[at..at + len].copy_from_slice(stale);
            self.tell(format!("{len} bytes from {at} on are those of older file {older}"));
        }
    }

    fn cut_at(&mut self, len: usize) {
        self.bytes.truncate(len);
        self.tell(format!("it is cut at {len}"));
    }

    fn header(&mut self, rng: &mut SplitMix64) {
        let headers: [&[u8]; 5] = [b"SQLite format 3\0", b"\x7fELF", b"PK\x03\x04", &[0xff; 64], &[0; 64]];
        let header = *rng.pick(&headers);
        let pages = 1 + below(rng, 2);
        for page in 0..pages {
            self.bytes[page * PAGE_BYTES..][..header.len()].copy_from_slice(header);
            // What tells a page of the two that begin a file lies behind its head.
            self.bytes[page * PAGE_BYTES + 16..][..4].copy_from_slice(&[0; 4]);
        }
        self.tell(format!("{pages} of its first pages begin with {}", header.escape_ascii()));
    }

    fn append(&mut self, rng: &mut SplitMix64) {
        let len = 1 + below(rng, 3 * PAGE_BYTES);
        self.bytes.extend((0..len).map(|_| rng.next_u64().to_be_bytes()[0]));
        self.tell(format!("{len} bytes are behind it"));
    }

    /// A branch page lost, and sometimes the lists of free pages with it: what the branch led to is then on pages that look as
    /// old ones do.
    fn tree(&mut self, rng: &mut SplitMix64) {
        const BRANCH: u8 = 1;
        let page = |bytes: &[u8], number: usize| {
            bytes.get(number * PAGE_BYTES..(number + 1) * PAGE_BYTES).map(<[u8]>::to_vec)
        };
        let pages = self.bytes.len() / PAGE_BYTES;
        let branches: Vec<usize> = (2..pages)
            .filter(|number| page(&self.bytes, *number).is_some_and(|page| page[10..12] == [BRANCH, 0]))
            .collect();
        let mut lost = if branches.is_empty() { Vec::new() } else { vec![*rng.pick(&branches)] };
        if rng.chance(2) {
            // The newer of the first two pages tells where the lists of free pages begin, and where the tables do.
            let number_at = |at: usize| number_in(&self.bytes[at..]);
            let newest = if number_at(PAGE_BYTES + 144) > number_at(144) { PAGE_BYTES } else { 0 };
            let tree = newest + *rng.pick(&[80, 128]);
            lost.extend(usize::try_from(number_at(tree)).ok().filter(|page| *page < pages));
        }
        for number in lost {
            self.bytes[number * PAGE_BYTES..(number + 1) * PAGE_BYTES].fill(0);
            self.tell(format!("page {number} of a tree is zeros"));
        }
    }

    /// A change in the value of a record, wherever the file has it: old pages have it too.
    fn record(&mut self, rng: &mut SplitMix64, scene: &Scene) {
        let rows = scene.rows_at(scene.newest().current_revision);
        if rows.is_empty() {
            return;
        }
        let row = rng.pick(rows);
        let value = &row.value[..row.value.len().min(12)];
        let at: Vec<usize> = self
            .bytes
            .windows(value.len())
            .enumerate()
            .filter(|(_, window)| *window == value)
            .map(|(at, _)| at)
            .collect();
        for at in at {
            self.bytes[at + below(rng, value.len())] ^= 1 << rng.below(8);
        }
        self.revision = Some(row.revision);
        self.tell(format!("the value of {} at {} is another", row.key.escape_ascii(), row.revision));
    }
}

fn below(rng: &mut SplitMix64, bound: usize) -> usize {
    usize::try_from(rng.below(bound as u64)).unwrap_or(0)
}

#[expect(clippy::host_endian_bytes, reason = "LMDB writes numbers in the machine's own byte order")]
fn in_file(number: u64) -> [u8; 8] {
    number.to_ne_bytes()
}

#[expect(clippy::host_endian_bytes, reason = "LMDB writes numbers in the machine's own byte order")]
fn number_in(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}
