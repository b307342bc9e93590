//! A walk through every page of a data file that its newest commit refers to.
//!
//! It follows no page twice, goes no deeper than a tree says it is, and keeps one byte a page of the file, so it ends,
//! and in bounded memory, whatever the bytes are.

use std::collections::HashSet;
use std::io;

use super::check::Problems;
use super::layout::{
    Content, Meta, Misfit, Node, Page, Tree, TreeCounts, overflow_pages, overflow_pages_min, overflow_value,
    u64_at,
};
use super::marks::Marks;
use super::pages::PageFile;

/// Which tree is walked.
#[derive(Clone, Copy)]
enum Kind<'n> {
    /// The lists of free pages, by the commit that freed them.
    Free,
    /// The list of tables.
    Main,
    Named(&'n str),
}

/// A value that could not be read, because a page of it is missing or is not what it should be. The check's report
/// tells what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value's pages are damaged")]
pub struct DamagedValue;

/// Where an entry is in a file: its leaf page, and its node there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub(super) page: u64,
    pub(super) node: u16,
}

impl Place {
    /// The leaf page.
    #[must_use]
    pub fn page(self) -> u64 {
        self.page
    }
}

/// What a walk comes to.
#[derive(Clone, Copy, Debug)]
pub enum Piece<'a> {
    /// An entry of a table. Those of a table come in order, unless they are damaged.
    Entry {
        /// The table's name.
        table: &'a str,
        /// The entry's key.
        key: &'a [u8],
        /// Its value, or that it cannot be read.
        value: Result<&'a [u8], DamagedValue>,
        /// Where it is.
        place: Place,
        /// Whether its key is one of those that the branches above its leaf lead there. Where it is not, its leaf may be one of
        /// another time, or a branch or the key is damaged.
        is_inside: bool,
    },
    /// Something of a table may be missing between the entries before and the next ones.
    Lost {
        /// The table; none when it cannot be known, because the list of tables is damaged.
        table: Option<&'a str>,
        /// Whether it may still come, loose.
        may_be_loose: bool,
        /// Whether it may be gone though everything that is in use was met.
        may_be_gone: bool,
    },
    /// An entry of a leaf that is in use, and that nothing readable leads to. They come last.
    Loose {
        /// The entry's key.
        key: &'a [u8],
        /// Its value.
        value: Result<&'a [u8], DamagedValue>,
        /// Where it is.
        place: Place,
    },
}

/// Is shown all of it, each table in the order of its pages.
pub(super) type Visitor<'v> = dyn FnMut(Piece<'_>) + 'v;

pub(super) struct Walk<'f, 'v> {
    file: &'f PageFile,
    last_page: u64,
    /// The commit that is walked.
    commit: u64,
    pub(super) marks: Marks,
    pub(super) problems: Problems,
    pub(super) tables: Vec<(String, TreeCounts)>,
    found_tables: Vec<(String, Tree)>,
    /// What each table is said to have.
    pub(super) said: Vec<(String, TreeCounts)>,
    /// Whether the lists of free pages could be read to their end, and none of them may be one that was emptied by damage.
    pub(super) is_free_list_whole: bool,
    has_empty_list: bool,
    /// Pages that values have beyond what they need.
    spare: Vec<(u64, u64)>,
    /// The pages that are in use and free: one that leads to them is of another moment than the lists.
    pub(super) torn: HashSet<u64>,
    /// Whether leaves were not looked at for this.
    has_skipped: bool,
    /// Of a table with more leaf and overflow pages than this, so many are looked at, and then only the branches.
    pub(super) leaves_max: u64,
    visitor: &'v mut Visitor<'v>,
}

/// One tree on the way.
struct Descent<'n> {
    kind: Kind<'n>,
    depth: u16,
    counts: TreeCounts,
    previous_key: Vec<u8>,
    /// Whether it is said to have more leaf and overflow pages than have to be looked at.
    may_skip_leaves: bool,
}

/// What became of entries that cannot be reached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// Nothing else has them.
    Gone,
    /// They are on pages that nothing leads to now.
    Loose,
    /// One or the other.
    Both,
}

/// An entry on the way.
#[derive(Clone, Copy)]
struct Found<'n> {
    place: Place,
    key: &'n [u8],
    is_inside: bool,
}

/// The keys a page may hold: from the first on, before the second.
type Bounds<'k> = (Option<&'k [u8]>, Option<&'k [u8]>);

impl<'f, 'v> Walk<'f, 'v> {
    pub(super) fn new(file: &'f PageFile, meta: &Meta, visitor: &'v mut Visitor<'v>) -> Self {
        Self {
            file,
            last_page: meta.last_page,
            commit: meta.commit,
            marks: Marks::new(file.len(), meta.last_page),
            problems: Problems::default(),
            tables: Vec::new(),
            found_tables: Vec::new(),
            said: Vec::new(),
            is_free_list_whole: false,
            has_empty_list: false,
            spare: Vec::new(),
            torn: HashSet::new(),
            has_skipped: false,
            leaves_max: u64::MAX,
            visitor,
        }
    }

    /// Walks every tree. What is in use goes first, so that a free list that names it is found out.
    pub(super) fn all(&mut self, meta: &Meta) -> io::Result<()> {
        self.main(meta)?;
        for (name, tree) in std::mem::take(&mut self.found_tables) {
            let counts = self.tree(&tree, Kind::Named(&name))?;
            self.said.push((name.clone(), tree.counts));
            self.tables.push((name, counts));
        }
        let before = self.problems.len();
        let lists = self.tree(&meta.free, Kind::Free)?;
        self.is_free_list_whole =
            self.problems.len() == before && (!self.has_empty_list || self.adds_up(meta, lists));
        self.take_spare();
        if let Err(misfit) = self.marks.check_end() {
            self.problems.add(self.file.len(), misfit);
        }
        self.account();
        Ok(())
    }

    /// Each page is in use or free. Where nothing else is wrong, one that is neither has been left out of a list of free pages,
    /// whose number is too small.
    fn account(&mut self) {
        if self.has_skipped || self.problems.len() > 0 {
            return;
        }
        if let Err(misfit) = self.marks.check_all_seen() {
            self.problems.add(0, misfit);
        }
    }

    /// Whether the free pages are as many as the trees say that they leave.
    fn adds_up(&self, meta: &Meta, lists: TreeCounts) -> bool {
        let tables = self.said.iter().map(|(_, counts)| *counts);
        let trees = tables.chain([meta.main.counts, lists]);
        let used = trees.map(TreeCounts::pages).fold(2, u64::saturating_add);
        used.saturating_add(self.marks.all_free()) == self.last_page + 1
    }

    /// Walks the list of tables alone, and tells what it lists.
    pub(super) fn main(&mut self, meta: &Meta) -> io::Result<&[(String, Tree)]> {
        self.tree(&meta.main, Kind::Main)?;
        Ok(&self.found_tables)
    }

    fn tree(&mut self, tree: &Tree, kind: Kind<'_>) -> io::Result<TreeCounts> {
        let mut descent = Descent {
            kind,
            depth: tree.depth,
            counts: TreeCounts::default(),
            previous_key: Vec::new(),
            // A list of free pages that is wrong hands out pages in use.
            may_skip_leaves: !matches!(kind, Kind::Free)
                && tree.counts.leaf_pages.saturating_add(tree.counts.overflow_pages) > self.leaves_max,
        };
        if let Err(misfit) = tree.check(self.last_page) {
            self.problems.add(0, misfit);
            self.lose(&descent, Loss::Loose);
            return Ok(descent.counts);
        }
        let Some(root) = tree.root() else {
            // Who adds up what the trees say that they have would add this.
            if tree.counts != TreeCounts::default() {
                self.problems.add(0, format!("a tree without pages is said to hold {:?}", tree.counts));
            }
            return Ok(descent.counts);
        };
        let pages = tree.counts.pages();
        if pages > self.last_page {
            self.problems.add(root, format!("the tree from here on is said to have {pages} pages"));
        }
        self.page(&mut descent, root, 1, (None, None))?;
        let (mut said, mut found) = (tree.counts, descent.counts);
        if self.skips_leaves(&descent) {
            self.has_skipped = true;
            for counts in [&mut said, &mut found] {
                (counts.overflow_pages, counts.entries) = (0, 0);
            }
        }
        if found != said {
            self.problems
                .add(root, format!("the tree from here on should hold {said:?}, and holds {found:?}"));
            // A list that is short leaves out whole tables, and says nothing else of it.
            if matches!(kind, Kind::Main) {
                self.lose(&descent, Loss::Loose);
            }
        }
        Ok(descent.counts)
    }

    fn page(&mut self, on: &mut Descent<'_>, number: u64, level: u16, bounds: Bounds<'_>) -> io::Result<()> {
        let is_branch = level != on.depth;
        if !self.take(number, 1) {
            // It may have been met where it does not belong, or what leads here should lead to another; and where there can be no such
            // page, it should.
            let can_be = (2..=self.last_page).contains(&number);
            self.lose(on, if can_be { Loss::Both } else { Loss::Loose });
            return Ok(());
        }
        if !is_branch && self.skips_leaves(on) {
            on.counts.leaf_pages += 1;
            return Ok(());
        }
        let bytes = self.file.read(number, 1)?;
        let page = match Page::parse(&bytes, number).and_then(|page| on.expect(page, level)) {
            Ok(page) => page,
            Err(misfit) => {
                self.problems.add(number, misfit);
                self.marks.misread(number);
                self.lose(on, if is_branch { Loss::Loose } else { Loss::Both });
                return Ok(());
            }
        };
        let (nodes, are_all) = self.nodes(page, number);
        if page.is_leaf() {
            on.counts.leaf_pages += 1;
            (0u16..).zip(&nodes).try_for_each(|(index, node)| match node {
                Some(node) => self.entry(on, Place { page: number, node: index }, node, bounds),
                None => {
                    self.lose(on, Loss::Gone);
                    Ok(())
                }
            })?;
        } else {
            on.counts.branch_pages += 1;
            self.children(on, number, level, &nodes, bounds)?;
        }
        if !are_all {
            self.lose(on, if page.is_leaf() { Loss::Gone } else { Loss::Loose });
        }
        Ok(())
    }

    /// The nodes of a page; none in place of each that does not fit into it. And whether there are no more: their number may be
    /// too small, and then the last ones are left out.
    fn nodes<'a>(&mut self, page: Page<'a>, number: u64) -> (Vec<Option<Node<'a>>>, bool) {
        let node = |index| page.node(index).map_err(|misfit| self.problems.add(number, misfit)).ok();
        let nodes: Vec<_> = (0..page.len()).map(node).collect();
        let bytes: Option<usize> = nodes.iter().map(|node| node.as_ref().map(|node| node.bytes)).sum();
        let room = page.nodes_bytes();
        if bytes.is_some_and(|bytes| bytes != room) {
            self.problems.add(number, "its nodes overlap or leave gaps".to_owned());
        }
        (nodes, bytes.is_none_or(|bytes| bytes >= room))
    }

    fn children(
        &mut self,
        on: &mut Descent<'_>,
        number: u64,
        level: u16,
        nodes: &[Option<Node<'_>>],
        bounds: Bounds<'_>,
    ) -> io::Result<()> {
        for (index, node) in nodes.iter().enumerate() {
            let Some(Node { key, content: Content::Child(child), .. }) = *node else {
                self.lose(on, Loss::Loose);
                continue;
            };
            // The first key of a branch stands for "everything before the second", and what it says does not count.
            let from = if index == 0 { bounds.0 } else { Some(key) };
            // That one is in the first place alone.
            let mut next_keys = nodes[index + 1..].iter().flatten().map(|next| next.key);
            let before = next_keys.find(|key| !key.is_empty()).or(bounds.1);
            let mut child_bounds = (from, before);
            if from == Some(b"") || !on.is_in_order(from, before) {
                self.problems.add(number, format!("its key {index} is out of order"));
                // Nobody can tell which of the two is wrong. If it is this one, it may lead to another page than it should.
                child_bounds = bounds;
                self.lose(on, Loss::Loose);
            }
            self.page(on, child, level + 1, child_bounds)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        on: &mut Descent<'_>,
        place: Place,
        node: &Node<'_>,
        bounds: Bounds<'_>,
    ) -> io::Result<()> {
        let number = place.page;
        on.counts.entries += 1;
        let after_previous = on.counts.entries == 1 || on.is_before(&on.previous_key, node.key);
        let within = bounds.0.is_none_or(|from| !on.is_before(node.key, from))
            && bounds.1.is_none_or(|before| on.is_before(node.key, before));
        if !after_previous || !within {
            self.problems.add(number, format!("the key {} is out of order", node.key.escape_ascii()));
        }
        on.previous_key.clear();
        on.previous_key.extend_from_slice(node.key);
        let found = Found { place, key: node.key, is_inside: within };
        match node.content {
            Content::Value(value) => self.value(on, found, Ok(value)),
            Content::Overflow { page, len } => {
                let bytes = self.take_overflow(&mut on.counts, page, len)?;
                let value = bytes.as_deref().and_then(|bytes| overflow_value(bytes, len)).ok_or(DamagedValue);
                self.value(on, found, value);
            }
            Content::Table(tree) if matches!(on.kind, Kind::Main) => self.table(number, node.key, tree),
            Content::Table(_) | Content::Child(_) => {
                self.problems.add(number, "it has a table inside a table".to_owned());
                self.lose(on, Loss::Gone);
            }
            Content::Unknown { flags } => {
                self.problems.add(number, format!("it has an entry of an unknown kind (flags {flags:#x})"));
                self.lose(on, Loss::Gone);
            }
        }
        Ok(())
    }

    /// The pages of a value of `len` bytes, if they are what they should be.
    pub(super) fn take_overflow(
        &mut self,
        counts: &mut TreeCounts,
        first: u64,
        len: usize,
    ) -> io::Result<Option<Vec<u8>>> {
        let needed = overflow_pages_min(len, self.file.page_bytes());
        // What is somebody else's stays so.
        if let Err(misfit) = self.marks.can_take(first, needed) {
            self.problems.add(first, misfit);
            return Ok(None);
        }
        let pages = match overflow_pages(&self.file.read(first, 1)?, first) {
            Ok(pages) if pages >= needed => pages,
            Ok(pages) => {
                self.problems.add(first, format!("it has {pages} pages for a value that needs {needed}"));
                return Ok(None);
            }
            Err(misfit) => {
                self.problems.add(first, misfit);
                return Ok(None);
            }
        };
        self.take(first, needed);
        let bytes = self.file.read(first, needed)?;
        counts.overflow_pages += pages;
        if pages > needed {
            self.spare.push((first + needed, pages - needed));
        }
        Ok(Some(bytes))
    }

    /// Takes the pages that values have beyond what they need. A number that is damaged takes nothing from anybody else, as everything
    /// else has been met.
    pub(super) fn take_spare(&mut self) {
        for (first, count) in std::mem::take(&mut self.spare) {
            self.take(first, count);
        }
    }

    /// Whether enough leaves were looked at. That there are so many is what the tree's list says; only what was met tells that it
    /// is so.
    fn skips_leaves(&self, on: &Descent<'_>) -> bool {
        on.may_skip_leaves && on.counts.leaf_pages + on.counts.overflow_pages > self.leaves_max
    }

    fn value(&mut self, on: &Descent<'_>, found: Found<'_>, value: Result<&[u8], DamagedValue>) {
        let Found { place, key, is_inside } = found;
        match (on.kind, value) {
            (Kind::Named(table), value) => {
                (self.visitor)(Piece::Entry { table, key, value, place, is_inside });
            }
            (Kind::Free, Ok(list)) => self.free_list(place.page, key, list),
            (Kind::Free, Err(DamagedValue)) => {}
            (Kind::Main, _) => {
                self.problems.add(place.page, "it lists something that is not a table".to_owned());
                self.lose(on, Loss::Loose);
                // This is the leaf of a table, which is elsewhere in vain.
                (self.visitor)(Piece::Loose { key, value, place });
            }
        }
    }

    /// Tells that entries may be missing here.
    fn lose(&mut self, on: &Descent<'_>, loss: Loss) {
        let (table, loss) = match on.kind {
            Kind::Free => return,
            // What a list of tables leads to is whole tables.
            Kind::Main => (None, Loss::Loose),
            Kind::Named(name) => (Some(name), loss),
        };
        let (may_be_loose, may_be_gone) = (loss != Loss::Gone, loss != Loss::Loose);
        (self.visitor)(Piece::Lost { table, may_be_loose, may_be_gone });
    }

    fn table(&mut self, page: u64, name: &[u8], tree: Tree) {
        match std::str::from_utf8(name) {
            Ok(name) if tree.flags == 0 => self.found_tables.push((name.to_owned(), tree)),
            _ => {
                let name = name.escape_ascii();
                self.problems
                    .add(page, format!("the table {name} is not of the kind that this program makes"));
                (self.visitor)(Piece::Lost { table: None, may_be_loose: true, may_be_gone: false });
            }
        }
    }

    /// A list of free pages: how many, then their numbers, the largest first. LMDB makes it as long as that, or leaves one that it
    /// had made for more of them empty.
    fn free_list(&mut self, page: u64, key: &[u8], list: &[u8]) {
        let count = u64_at(list, 0).and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
        let room = list.len() / 8;
        if key.len() != 8 || count >= room || count > 0 && count < room - 1 {
            self.problems.add(page, "its list of free pages does not fit".to_owned());
            return;
        }
        self.has_empty_list |= count == 0 && room > 1;
        // The next commits would write theirs in its place, or give out pages that were not free yet.
        // None is of commit 0, and LMDB would take one that says so for as often as it looks.
        if let Some(commit) = u64_at(key, 0).filter(|commit| *commit == 0 || *commit > self.commit) {
            let found =
                format!("its list of free pages is of commit {commit}, and the newest is {}", self.commit);
            self.problems.add(page, found);
        }
        let mut previous = u64::MAX;
        for free in (1..=count).filter_map(|index| u64_at(list, index * 8)) {
            if free >= previous || !(2..=self.last_page).contains(&free) {
                self.problems.add(page, format!("its list of free pages names page {free} out of place"));
            } else {
                self.release(free);
            }
            previous = free;
        }
    }

    fn release(&mut self, number: u64) {
        if let Err(misfit) = self.marks.release(number) {
            self.torn.insert(number);
            self.problems.add(number, misfit);
        }
    }

    /// Takes pages as in use. Tells whether they can be read and were not taken before.
    pub(super) fn take(&mut self, first: u64, count: u64) -> bool {
        let taken = self.marks.take(first, count);
        taken.map_err(|misfit| self.problems.add(first, misfit)).is_ok()
    }
}

impl Descent<'_> {
    /// The page, if it is what this level of the tree has.
    fn expect<'a>(&self, page: Page<'a>, level: u16) -> Result<Page<'a>, Misfit> {
        if page.is_leaf() != (level == self.depth) {
            return Err(format!(
                "it is on level {level} of a tree of {} levels, and of the wrong kind",
                self.depth
            ));
        }
        // LMDB takes it for granted that a branch leads to two pages at least.
        let nodes_min = if page.is_leaf() || matches!(self.kind, Kind::Free) { 1 } else { 2 };
        if page.len() < nodes_min {
            return Err(format!("it has {} nodes", page.len()));
        }
        Ok(page)
    }

    fn is_in_order(&self, from: Option<&[u8]>, before: Option<&[u8]>) -> bool {
        from.zip(before).is_none_or(|(from, before)| self.is_before(from, before))
    }

    /// Keys are in the order of their bytes, but for those of the free lists, which are numbers.
    fn is_before(&self, left: &[u8], right: &[u8]) -> bool {
        match self.kind {
            Kind::Free => u64_at(left, 0) < u64_at(right, 0),
            Kind::Main | Kind::Named(_) => left < right,
        }
    }
}
