//! What becomes of a file: one kind of damage a copy, at a place by seed.

use watchful_revision::Revision;
use watchful_testkit::SplitMix64;

use super::scene::{PAGE_BYTES, Scene};
use crate::disk::platter::SECTOR as SECTOR_BYTES;

/// What a branch and a leaf say that they are, in the eleventh byte.
const BRANCH: u8 = 1;
const LEAF: u8 = 2;

/// Where the first two pages have the number of their commit, and the pages at which the lists of free pages begin and the list
/// of tables does.
const COMMIT: usize = 144;
const FREE_ROOT: usize = 80;
const LIST_ROOT: usize = 128;

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
    Node,
}

/// A damaged copy of a scene's file.
pub(super) struct Copy {
    pub(super) kind: Kind,
    pub(super) bytes: Vec<u8>,
    /// What was done, for who reads a failure.
    pub(super) story: String,
    /// The record that was damaged, where nothing else was.
    pub(super) revision: Option<Revision>,
    /// Whether a sector may be that of an old page in the place of the same sector of the page of today.
    has_old_sector: bool,
}

/// How often each kind is tried.
const KINDS: [Kind; 20] = [
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
    Kind::Node,
    Kind::Node,
    Kind::Node,
];

impl Copy {
    pub(super) fn any(rng: &mut SplitMix64, scene: &Scene) -> Self {
        let kind = *rng.pick(&KINDS);
        let mut copy = Self {
            kind,
            bytes: scene.file.clone(),
            story: String::new(),
            revision: None,
            has_old_sector: false,
        };
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
            Kind::Node => copy.node(rng),
        }
        copy
    }

    pub(super) fn cut(scene: &Scene, len: usize) -> Self {
        let mut copy = Self {
            kind: Kind::Cut,
            bytes: scene.file.clone(),
            story: String::new(),
            revision: None,
            has_old_sector: false,
        };
        copy.cut_at(len);
        copy
    }

    /// Whether a page of LMDB's own may be damaged in it; to map such a file may end a process.
    pub(super) fn may_crash(&self) -> bool {
        !matches!(self.kind, Kind::Cut | Kind::Garbage | Kind::Record | Kind::Header)
    }

    /// Whether one may say that nothing can be saved of it: where one of the first pages is damaged, which say where everything
    /// is; a page that leads to others and something else, so that not every page that came loose is accounted for; or as
    /// many leaves as may hold all rows.
    pub(super) fn may_save_nothing(&self, scene: &Scene) -> bool {
        let damaged = self.damaged_pages(scene);
        let is_cut = self.bytes.len() < scene.file.len();
        let is_head = damaged.iter().any(|page| *page < 2);
        let may_be_all = self.rows_damaged_max(scene).map_or(damaged.len() > 1, |rows| rows >= scene.rows);
        is_cut || is_head || may_be_all
    }

    /// How many rows may be damaged, where only leaves and values are: not one of the first pages, no branch, and not the list of
    /// tables. None where others are.
    pub(super) fn rows_damaged_max(&self, scene: &Scene) -> Option<u64> {
        // A row takes more than 40 bytes, of which its place and its revision are 26.
        const ROWS_A_PAGE: u64 = 100;
        let list = root(&scene.file, LIST_ROOT);
        let is_branch = |page: usize| scene.file[page * PAGE_BYTES..][10..12] == [BRANCH, 0];
        let is_leaf = |page: usize| page > 1 && Some(page) != list && !is_branch(page);
        let damaged = self.damaged_pages(scene);
        let are_leaves = self.bytes.len() >= scene.file.len() && damaged.iter().all(|page| is_leaf(*page));
        are_leaves.then_some(damaged.len() as u64 * ROWS_A_PAGE)
    }

    fn damaged_pages(&self, scene: &Scene) -> Vec<usize> {
        let pages = scene.file.chunks(PAGE_BYTES).zip(self.bytes.chunks(PAGE_BYTES)).enumerate();
        pages.filter(|(_, (before, after))| !after.starts_with(before)).map(|(page, _)| page).collect()
    }

    /// Whether it may be a file as it was: a whole page of another time is nothing that a checksum in it could tell.
    pub(super) fn is_stale(&self) -> bool {
        self.kind == Kind::Stale
    }

    /// Whether it may be the file as it was before the last commit: by a write that was lost; by a sector of an old page in the place
    /// of that of the same page of today, which is the same; or by a number of a commit that is another, in the one bit that makes
    /// the commit before follow the last one.
    pub(super) fn may_be_older(&self, scene: &Scene) -> bool {
        let number = |page: usize| page * PAGE_BYTES + COMMIT..page * PAGE_BYTES + COMMIT + 8;
        self.has_old_sector
            || self.is_stale()
            || (0..2).any(|page| self.bytes.get(number(page)) != scene.file.get(number(page)))
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
        // The first one has the page's number.
        self.has_old_sector |= from % PAGE_BYTES == to % PAGE_BYTES && from % PAGE_BYTES > 0;
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
        // A backup was never another.
        if scene.older_files.is_empty() {
            self.kind = Kind::Swap;
            return self.swap(rng);
        }
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
        let page = |bytes: &[u8], number: usize| {
            bytes.get(number * PAGE_BYTES..(number + 1) * PAGE_BYTES).map(<[u8]>::to_vec)
        };
        let pages = self.bytes.len() / PAGE_BYTES;
        let branches: Vec<usize> = (2..pages)
            .filter(|number| page(&self.bytes, *number).is_some_and(|page| page[10..12] == [BRANCH, 0]))
            .collect();
        let mut lost = if branches.is_empty() { Vec::new() } else { vec![*rng.pick(&branches)] };
        if rng.chance(2) {
            lost.extend(root(&self.bytes, *rng.pick(&[FREE_ROOT, LIST_ROOT])));
        }
        for number in lost {
            self.bytes[number * PAGE_BYTES..(number + 1) * PAGE_BYTES].fill(0);
            self.tell(format!("page {number} of a tree is zeros"));
        }
    }

    /// One small thing in what a page says of its nodes: how many there are, where one is, its key, or what it leads to. Of the
    /// whole file these are a few hundredths, and the names of the tables less than a thousandth.
    fn node(&mut self, rng: &mut SplitMix64) {
        const LOWER: usize = 12;
        const PLACES: usize = 16;
        const HEAD: usize = 8;
        const KEY_LEN: usize = 6;
        let number = |bytes: &[u8], at: usize| usize::from(u16_in(bytes.get(at..).unwrap_or_default()));
        let has_nodes =
            |page: &[u8]| page[11] == 0 && matches!(page[10], BRANCH | LEAF) && number(page, LOWER) > PLACES;
        let pages: Vec<usize> = (2..self.bytes.len() / PAGE_BYTES)
            .filter(|page| has_nodes(&self.bytes[page * PAGE_BYTES..][..PAGE_BYTES]))
            .collect();
        let any = if pages.is_empty() { return } else { *rng.pick(&pages) };
        let list = root(&self.bytes, LIST_ROOT).filter(|list| pages.contains(list));
        let number_of_page = list.filter(|_| rng.chance(3)).unwrap_or(any);
        let page = &mut self.bytes[number_of_page * PAGE_BYTES..][..PAGE_BYTES];
        let nodes = (number(page, LOWER) - PLACES) / 2;
        let (index, other) = (below(rng, nodes), below(rng, nodes));
        let place = |node: usize| PLACES + 2 * node;
        let at = number(page, place(index));
        let what = match rng.below(4) {
            0 => {
                page[LOWER] = page[LOWER].wrapping_sub(2);
                "the number of its nodes is one less".to_owned()
            }
            1 => {
                page.copy_within(place(other)..place(other) + 2, place(index));
                format!("its node {index} is where {other} is")
            }
            2 => {
                let key = number(page, at + KEY_LEN).max(1);
                flip(page, at + HEAD + below(rng, key), rng)
            }
            _ => {
                // The page of a child stands in the node's head, that of a large value behind its key.
                let is_branch = page[10] == BRANCH;
                let behind = if is_branch { 0 } else { HEAD + number(page, at + KEY_LEN) };
                flip(page, at + behind, rng)
            }
        };
        self.tell(format!("page {number_of_page}: {what}"));
    }

    /// A change in the value of a record, wherever the file has it: old pages have it too. The value is long enough to be in no
    /// other record.
    fn record(&mut self, rng: &mut SplitMix64, scene: &Scene) {
        const LEN: usize = 16;
        let rows = scene.rows_at(scene.newest().current_revision);
        let rows: Vec<_> = rows.iter().filter(|row| row.value.len() >= LEN).collect();
        if rows.is_empty() {
            return;
        }
        let row = rng.pick(&rows);
        let value = &row.value[..LEN];
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

/// The page at which a tree begins, as the newer of the first two pages tells.
fn root(file: &[u8], at: usize) -> Option<usize> {
    let number_at = |at: usize| number_in(&file[at..]);
    let newest = if number_at(PAGE_BYTES + COMMIT) > number_at(COMMIT) { PAGE_BYTES } else { 0 };
    usize::try_from(number_at(newest + at)).ok().filter(|page| *page < file.len() / PAGE_BYTES)
}

/// Flips one of the lower bits of a byte, where there is one.
fn flip(page: &mut [u8], at: usize, rng: &mut SplitMix64) -> String {
    let bit = rng.below(6);
    if let Some(byte) = page.get_mut(at) {
        *byte ^= 1 << bit;
    }
    format!("bit {bit} of its byte {at} is flipped")
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

#[expect(clippy::host_endian_bytes, reason = "LMDB writes numbers in the machine's own byte order")]
fn u16_in(bytes: &[u8]) -> u16 {
    bytes.first_chunk().map_or(0, |bytes| u16::from_ne_bytes(*bytes))
}
