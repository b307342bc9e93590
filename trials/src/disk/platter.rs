//! What is on the disk for certain, and what may be: a tape is played to it, change by change, and at any moment an image
//! can be made of what a power failure would leave.
//!
//! What the disk promises, and no more:
//!
//! - A sector of 512 bytes holds what some write left there since it was last forced to the disk, or what was forced: whole,
//!   and independently of every other sector. So writes are lost, reordered and torn.
//! - A sync of a file forces its sectors and its length; a write through `O_DSYNC` its own sectors, and the length as far
//!   as it reaches. A file may have any length it has had since.
//! - A name is forced by a sync of its folder alone, not by one of its file. A rename happens at once or not at all.
//! - A sync that fails leaves its sectors where they are and forgets them: no later sync brings them to the disk, unless
//!   something else is written on the same page of 4,096 bytes. That is what Linux does.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::tape::Change;
use crate::trials::Outcome;

pub(crate) const SECTOR: usize = 512;
const SECTORS_A_PAGE: u64 = 8;

/// Which change it was, counted since the platter was new.
pub(crate) type Moment = u32;

/// What of a change an image is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A sector, by its number in its file.
    Sector(u64),
    /// A sector that the system has given up: a sync of it has failed, and nothing was written to its page since.
    Forgotten(u64),
    Length,
    Name,
}

#[derive(Clone)]
pub(crate) struct Platter {
    nodes: Vec<Node>,
    /// By the inode of the real file.
    numbers: HashMap<u64, usize>,
    moment: Moment,
}

#[derive(Clone)]
enum Node {
    File(File),
    Folder(Folder),
}

/// Something that may be on the disk or not.
#[derive(Clone)]
struct Version {
    moment: Moment,
    bytes: Box<[u8; SECTOR]>,
    /// A sync of it has failed.
    is_forgotten: bool,
}

#[derive(Clone, Default)]
struct File {
    forced: Vec<u8>,
    forced_hash: u64,
    cached: Vec<u8>,
    /// What may be in a sector instead of what was forced, the oldest first.
    loose: BTreeMap<u64, Vec<Version>>,
    lengths: Vec<(Moment, usize)>,
}

#[derive(Clone, Default)]
struct Folder {
    forced: BTreeMap<OsString, usize>,
    cached: BTreeMap<OsString, usize>,
    loose: Vec<(Moment, OsString, Option<usize>)>,
}

/// What a power failure left.
pub(crate) struct Image {
    /// In the order of their paths; a folder has no content.
    entries: Vec<(PathBuf, Option<Vec<u8>>)>,
    /// The same for the same content.
    pub(crate) hash: u64,
}

impl Platter {
    /// An empty folder, which is on the disk.
    pub(crate) fn new() -> Self {
        Self { nodes: vec![Node::Folder(Folder::default())], numbers: HashMap::new(), moment: 0 }
    }

    /// Learns the numbers of the real files below `root`, which are those of the platter.
    pub(crate) fn bind(&mut self, root: &Path) -> io::Result<()> {
        self.numbers.clear();
        let mut waiting = vec![(root.to_owned(), 0)];
        while let Some((path, node)) = waiting.pop() {
            self.numbers.insert(fs::metadata(&path)?.ino(), node);
            if let Node::Folder(folder) = &self.nodes[node] {
                waiting.extend(folder.cached.iter().map(|(name, child)| (path.join(name), *child)));
            }
        }
        Ok(())
    }

    pub(crate) fn play(&mut self, change: &Change) {
        self.moment += 1;
        let moment = self.moment;
        match change {
            Change::Made(path, number) => self.make(path, *number, Node::File(File::default())),
            Change::MadeFolder(path, number) => self.make(path, *number, Node::Folder(Folder::default())),
            Change::Renamed(from, to) => {
                let node = self.find(from);
                self.name(to, node);
                self.name(from, None);
            }
            Change::Linked(from, to) => {
                let node = self.find(from);
                self.name(to, node);
            }
            Change::Removed(path) => self.name(path, None),
            Change::Cut(number, len) => self.with_file(*number, |file| file.cut(moment, *len)),
            Change::Wrote { file, at, bytes } => {
                self.with_file(*file, |file| file.write(moment, *at, bytes));
            }
            Change::Synced { file, range } => match self.node(*file) {
                Some(Node::File(file)) => file.sync(*range),
                Some(Node::Folder(folder)) => folder.sync(),
                None => {}
            },
            Change::NotSynced { file, range } => self.with_file(*file, |file| file.forget(*range)),
            Change::Said(_) => {}
        }
    }

    fn node(&mut self, number: u64) -> Option<&mut Node> {
        let node = *self.numbers.get(&number)?;
        self.nodes.get_mut(node)
    }

    fn with_file(&mut self, number: u64, change: impl FnOnce(&mut File)) {
        if let Some(Node::File(file)) = self.node(number) {
            change(file);
        }
    }

    fn make(&mut self, path: &Path, number: u64, node: Node) {
        self.nodes.push(node);
        let node = self.nodes.len() - 1;
        self.numbers.insert(number, node);
        self.name(path, Some(node));
    }

    fn find(&self, path: &Path) -> Option<usize> {
        path.iter().try_fold(0, |node, name| match &self.nodes[node] {
            Node::Folder(folder) => folder.cached.get(name).copied(),
            Node::File(_) => None,
        })
    }

    fn name(&mut self, path: &Path, node: Option<usize>) {
        let folder = path.parent().and_then(|folder| self.find(folder));
        let (Some(folder), Some(name)) = (folder, path.file_name()) else { return };
        let moment = self.moment;
        if let Node::Folder(folder) = &mut self.nodes[folder] {
            folder.name(moment, name, node);
        }
    }

    /// The changes of which something may be lost.
    pub(crate) fn loose(&self) -> Vec<Moment> {
        let mut found = BTreeSet::new();
        for node in &self.nodes {
            match node {
                Node::File(file) => {
                    found.extend(file.loose.values().flatten().map(|version| version.moment));
                    found.extend(file.lengths.iter().map(|(moment, _)| *moment));
                }
                Node::Folder(folder) => found.extend(folder.loose.iter().map(|(moment, ..)| *moment)),
            }
        }
        found.into_iter().collect()
    }

    /// What a power failure leaves, when it keeps of each loose change what `keeps` says. What of a file was never written
    /// is zeros, or `garbage`.
    pub(crate) fn image(&self, garbage: u8, mut keeps: impl FnMut(Moment, Part) -> bool) -> Image {
        let mut image = Image { entries: Vec::new(), hash: 0 };
        let mut waiting = vec![(PathBuf::new(), 0)];
        while let Some((path, node)) = waiting.pop() {
            match &self.nodes[node] {
                Node::File(file) => {
                    let (content, hash) = file.image(garbage, &mut keeps);
                    image.add(path, Some(content), hash);
                }
                Node::Folder(folder) => {
                    let names = folder.image(&mut keeps);
                    waiting.extend(names.into_iter().map(|(name, child)| (path.join(name), child)));
                    image.add(path, None, 0);
                }
            }
        }
        image
    }

    /// What another process finds once the system has dropped from its memory what it could not write.
    pub(crate) fn evicted(&self) -> Image {
        self.image(0, |_, part| !matches!(part, Part::Forgotten(_)))
    }

    /// What the system holds, which is what another process finds.
    pub(crate) fn cached(&self) -> Image {
        self.image(0, |_, _| true)
    }

    /// Makes sure that the real folder `root` holds what the system holds here: a call that went past the tape has changed
    /// one and not the other.
    pub(crate) fn compare(&self, root: &Path) -> Outcome {
        let mut owed: BTreeMap<_, _> = self.cached().entries.into_iter().collect();
        let mut waiting = vec![PathBuf::new()];
        while let Some(below) = waiting.pop() {
            let path = root.join(&below);
            let found = if path.is_dir() { None } else { Some(fs::read(&path)?) };
            match owed.remove(&below) {
                Some(owed) if owed == found => {}
                // It is memory that happens to have a name: who reads what. LMDB makes it anew where nobody has it open.
                Some(Some(_)) if below.ends_with("lock.mdb") && found.is_some() => {}
                Some(_) => return Err(past_the_tape(&below, "has another content")),
                None => return Err(past_the_tape(&below, "was made")),
            }
            if found.is_none() {
                for entry in fs::read_dir(&path)? {
                    waiting.push(below.join(entry?.file_name()));
                }
            }
        }
        owed.keys().next().map_or(Ok(()), |below| Err(past_the_tape(below, "is gone")))
    }
}

impl Image {
    fn add(&mut self, path: PathBuf, content: Option<Vec<u8>>, hash: u64) {
        let mut mixed = mix(hash, content.as_ref().map_or(u64::MAX, |content| content.len() as u64));
        for byte in path.as_os_str().as_encoded_bytes() {
            mixed = mix(mixed, u64::from(*byte));
        }
        self.hash = self.hash.wrapping_add(mixed);
        self.entries.push((path, content));
    }

    /// Writes it to the folder `root`, which is emptied before.
    pub(crate) fn write(&self, root: &Path) -> io::Result<()> {
        if root.exists() {
            fs::remove_dir_all(root)?;
        }
        for (path, content) in &self.entries {
            match content {
                None => fs::create_dir_all(root.join(path))?,
                Some(content) => fs::write(root.join(path), content)?,
            }
        }
        Ok(())
    }

    /// The disk after the power failure, when the machine is up again.
    pub(crate) fn platter(&self) -> Platter {
        let mut platter = Platter::new();
        for (at, (path, content)) in self.entries.iter().enumerate().skip(1) {
            let number = at as u64;
            let made = match content {
                None => Change::MadeFolder(path.clone(), number),
                Some(_) => Change::Made(path.clone(), number),
            };
            platter.play(&made);
            if let Some(bytes) = content {
                platter.play(&Change::Wrote { file: number, at: 0, bytes: bytes.clone() });
            }
        }
        for node in &mut platter.nodes {
            match node {
                Node::File(file) => file.sync(None),
                Node::Folder(folder) => folder.sync(),
            }
        }
        platter
    }
}

impl File {
    fn write(&mut self, moment: Moment, at: u64, bytes: &[u8]) {
        let at = index(at);
        let end = at + bytes.len();
        if end > self.cached.len() {
            self.cached.resize(end, 0);
            self.lengths.push((moment, end));
        }
        self.cached[at..end].copy_from_slice(bytes);
        for sector in at / SECTOR..end.div_ceil(SECTOR) {
            self.loosen(moment, sector);
        }
    }

    fn loosen(&mut self, moment: Moment, sector: usize) {
        let version =
            Version { moment, bytes: Box::new(sector_of(&self.cached, sector)), is_forgotten: false };
        self.loose.entry(sector as u64).or_default().push(version);
    }

    fn cut(&mut self, moment: Moment, len: u64) {
        let (before, len) = (self.cached.len().max(self.forced.len()), index(len));
        self.cached.resize(len, 0);
        self.lengths.push((moment, len));
        for sector in len / SECTOR..before.div_ceil(SECTOR) {
            self.loosen(moment, sector);
        }
    }

    fn sync(&mut self, range: Option<(u64, u64)>) {
        let sectors = match range {
            None => 0..u64::MAX,
            Some((from, end)) => from / SECTOR as u64..end.div_ceil(SECTOR as u64),
        };
        let len = range
            .map_or(self.cached.len(), |(_, end)| index(end).min(self.cached.len()).max(self.forced.len()));
        self.force_length(len);
        if range.is_none() {
            self.lengths.clear();
        }
        let live = self.live_pages();
        let reached: Vec<u64> = self
            .loose
            .range(sectors)
            .map(|(at, _)| *at)
            .filter(|at| live.contains(&(at / SECTORS_A_PAGE)))
            .collect();
        for sector in reached {
            let versions = self.loose.remove(&sector);
            if let Some(version) = versions.and_then(|mut versions| versions.pop()) {
                self.force(index(sector), &version.bytes);
            }
        }
    }

    /// The pages of which something is loose that the system still has in hand.
    fn live_pages(&self) -> BTreeSet<u64> {
        let is_live = |versions: &Vec<Version>| versions.iter().any(|version| !version.is_forgotten);
        let live = self.loose.iter().filter(|(_, versions)| is_live(versions));
        live.map(|(sector, _)| sector / SECTORS_A_PAGE).collect()
    }

    fn force_length(&mut self, len: usize) {
        for sector in len.div_ceil(SECTOR)..self.forced.len().div_ceil(SECTOR) {
            self.forced_hash =
                self.forced_hash.wrapping_sub(hash_of(sector, &sector_of(&self.forced, sector)));
        }
        self.forced.resize(len, 0);
        self.lengths.retain(|(_, loose)| *loose > len);
    }

    fn force(&mut self, sector: usize, bytes: &[u8; SECTOR]) {
        let before = hash_of(sector, &sector_of(&self.forced, sector));
        let at = (sector * SECTOR).min(self.forced.len());
        let end = (at + SECTOR).min(self.forced.len());
        self.forced[at..end].copy_from_slice(&bytes[..end - at]);
        let after = hash_of(sector, &sector_of(&self.forced, sector));
        self.forced_hash = self.forced_hash.wrapping_sub(before).wrapping_add(after);
    }

    fn forget(&mut self, range: Option<(u64, u64)>) {
        let (from, end) = range.unwrap_or((0, u64::MAX - SECTOR as u64));
        for (_, versions) in self.loose.range_mut(from / SECTOR as u64..end.div_ceil(SECTOR as u64)) {
            versions.iter_mut().for_each(|version| version.is_forgotten = true);
        }
    }

    fn image(&self, garbage: u8, keeps: &mut impl FnMut(Moment, Part) -> bool) -> (Vec<u8>, u64) {
        let length = self.lengths.iter().rev().find(|(moment, _)| keeps(*moment, Part::Length));
        let len = length.map_or(self.forced.len(), |(_, len)| *len);
        let mut bytes = self.forced.clone();
        let mut hash = self.forced_hash;
        bytes.resize(len, garbage);
        if garbage != 0 && len > self.forced.len() {
            hash = mix(hash, u64::from(garbage));
        }
        let live = self.live_pages();
        for (sector, versions) in &self.loose {
            let part = match live.contains(&(sector / SECTORS_A_PAGE)) {
                true => Part::Sector(*sector),
                false => Part::Forgotten(*sector),
            };
            let kept = versions.iter().rev().find(|version| keeps(version.moment, part));
            let at = index(*sector) * SECTOR;
            let (Some(version), true) = (kept, at < len) else { continue };
            let before = hash_of(index(*sector), &sector_of(&self.forced, index(*sector)));
            let end = (at + SECTOR).min(len);
            bytes[at..end].copy_from_slice(&version.bytes[..end - at]);
            hash = hash.wrapping_sub(before).wrapping_add(hash_of(index(*sector), &version.bytes));
        }
        (bytes, hash)
    }
}

impl Folder {
    fn name(&mut self, moment: Moment, name: &OsStr, node: Option<usize>) {
        match node {
            Some(node) => drop(self.cached.insert(name.to_owned(), node)),
            None => drop(self.cached.remove(name)),
        }
        self.loose.push((moment, name.to_owned(), node));
    }

    fn sync(&mut self) {
        self.forced.clone_from(&self.cached);
        self.loose.clear();
    }

    fn image(&self, keeps: &mut impl FnMut(Moment, Part) -> bool) -> BTreeMap<OsString, usize> {
        let mut names = self.forced.clone();
        for (moment, name, node) in &self.loose {
            if keeps(*moment, Part::Name) {
                match node {
                    Some(node) => drop(names.insert(name.clone(), *node)),
                    None => drop(names.remove(name)),
                }
            }
        }
        names
    }
}

fn past_the_tape(below: &Path, what: &str) -> Box<dyn std::error::Error> {
    format!("`{}` {what} by a call that the tape does not know", below.display()).into()
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("a trial's files are small")
}

/// A sector's bytes; zeros where the file has none.
fn sector_of(bytes: &[u8], sector: usize) -> [u8; SECTOR] {
    let mut found = [0; SECTOR];
    let at = (sector * SECTOR).min(bytes.len());
    let end = (at + SECTOR).min(bytes.len());
    found[..end - at].copy_from_slice(&bytes[at..end]);
    found
}

fn mix(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

/// 0 for zeros, so that sectors that do not exist need not be counted.
#[expect(clippy::host_endian_bytes, reason = "it is compared with itself alone")]
fn hash_of(sector: usize, bytes: &[u8; SECTOR]) -> u64 {
    if bytes.iter().all(|byte| *byte == 0) {
        return 0;
    }
    let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word));
    words.fold(sector as u64 + 1, mix)
}
