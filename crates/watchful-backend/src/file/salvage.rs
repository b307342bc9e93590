//! What can still be read in a damaged data file.
//!
//! A walk goes as a check does and tells where it loses something. What a damaged branch page led to is looked for after it:
//! when the lists of free pages are whole, every page that is neither free nor was met is in use, and can only be a part of
//! what was lost. When they are not, a page that nobody refers to may as well be an old one, with what has been deleted since
//! or was never committed; then nothing is taken from such pages.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use super::check::{CheckError, Problem};
use super::layout::{
    Content, Meta, Node, Page, TreeCounts, overflow_pages, overflow_pages_min, overflow_value,
};
use super::pages::PageFile;
use super::walk::{DamagedValue, Piece, Place, Walk};

/// A data file that is read for what is left in it. It is never mapped and never written to.
pub struct SalvageFile {
    path: PathBuf,
    file: PageFile,
    commits: Vec<Meta>,
    misfit: Option<Problem>,
}

/// What a walk found out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Walked {
    /// How many entries each table that was found should have. A table that is not here was not found.
    pub entries: Vec<(String, u64)>,
    /// Whether everything that is in use was met: then what came loose is all that damaged branch pages led to. If not,
    /// what came loose cannot be trusted.
    pub is_complete: bool,
    /// How many things are wrong with the pages.
    pub problems: u64,
    /// The pages that are in use and free at once: what is on them, or what leads to them, may be of an earlier commit.
    pub torn: HashSet<u64>,
}

impl SalvageFile {
    /// Opens a data file.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when it cannot be read, or neither of the two pages that begin it.
    pub fn open(path: &Path) -> Result<Self, CheckError> {
        let (file, metas) = PageFile::open(path).map_err(|error| error.into_check_error(path))?;
        let misfit = metas.misfit.map(|(page, what)| Problem { page, what });
        let commits = std::iter::once(metas.newest).chain(metas.older);
        let commits = commits.map(|meta| meta.reaching(file.len())).collect();
        Ok(Self { path: path.to_owned(), file, commits, misfit })
    }

    /// How many commits can be looked for: the newest, and the one before it, which may be whole where the newest is not.
    #[must_use]
    pub fn commits(&self) -> usize {
        self.commits.len()
    }

    /// What is wrong with the two pages that begin the file. Then the newest commit may be another than the one they tell of.
    #[must_use]
    pub fn misfit(&self) -> Option<&Problem> {
        self.misfit.as_ref()
    }

    /// Walks through everything that can be read of a commit; 0 is the newest.
    ///
    /// # Errors
    ///
    /// [`CheckError::Io`] when the system cannot read the file.
    ///
    /// # Panics
    ///
    /// When there is no such commit.
    pub fn walk(&self, commit: usize, mut visit: impl FnMut(Piece<'_>)) -> Result<Walked, CheckError> {
        let io_error = |source| CheckError::Io { path: self.path.clone(), source };
        let meta = &self.commits[commit];
        let mut walk = Walk::new(&self.file, meta, &mut visit);
        walk.all(meta).map_err(io_error)?;
        let said = std::mem::take(&mut walk.said).into_iter();
        let entries = said.map(|(name, counts)| (name, counts.entries)).collect();
        let problems = walk.problems.len();
        let Walk { marks, is_free_list_whole, torn, .. } = walk;
        let is_complete = is_free_list_whole && self.file.len() > meta.last_page && {
            let mut nobody = |_: Piece<'_>| {};
            let mut walk = Walk::new(&self.file, meta, &mut nobody);
            walk.marks = marks;
            self.loose(&mut walk, meta, &mut visit).map_err(io_error)?
        };
        Ok(Walked { entries, is_complete, problems, torn })
    }

    /// Shows what is on leaves that were not met. Tells whether every page in use is accounted for then.
    fn loose(
        &self,
        walk: &mut Walk<'_, '_>,
        meta: &Meta,
        visit: &mut dyn FnMut(Piece<'_>),
    ) -> io::Result<bool> {
        let mut number = 2;
        while number <= meta.last_page {
            if !walk.marks.is_loose(number) {
                number += 1;
                continue;
            }
            let bytes = self.file.read(number, 1)?;
            // The pages of a value are anything: whoever wrote the value may have made them look like leaves.
            if let Ok(pages) = overflow_pages(&bytes, number) {
                number += pages.max(1);
                continue;
            }
            if let Ok(page) = Page::parse(&bytes, number)
                && let Some(nodes) = whole_nodes(page)
            {
                walk.take(number, 1);
                if page.is_leaf() {
                    show(walk, number, &nodes, visit)?;
                }
            }
            number += 1;
        }
        walk.take_spare();
        Ok((2..=meta.last_page).all(|number| !walk.marks.is_unseen(number)))
    }

    /// Reads one entry again: its key and its value. None when it cannot be read.
    ///
    /// # Errors
    ///
    /// [`CheckError::Io`] when the system cannot read the file.
    pub fn read<T>(
        &self,
        place: Place,
        then: impl FnOnce(&[u8], &[u8]) -> T,
    ) -> Result<Option<T>, CheckError> {
        let io_error = |source| CheckError::Io { path: self.path.clone(), source };
        let bytes = self.file.read(place.page, 1).map_err(io_error)?;
        let Ok(page) = Page::parse(&bytes, place.page) else { return Ok(None) };
        if !page.is_leaf() || usize::from(place.node) >= page.len() {
            return Ok(None);
        }
        let Ok(node) = page.node(place.node.into()) else { return Ok(None) };
        match node.content {
            Content::Value(value) => Ok(Some(then(node.key, value))),
            Content::Overflow { page: first, len } => {
                let pages = overflow_pages_min(len, self.file.page_bytes());
                let bytes = self.file.read(first, pages).map_err(io_error)?;
                let is_one = overflow_pages(&bytes, first).is_ok_and(|found| found >= pages);
                Ok(is_one.then(|| overflow_value(&bytes, len)).flatten().map(|value| then(node.key, value)))
            }
            _ => Ok(None),
        }
    }
}

/// The nodes of a page, if it is a whole one with at least one of them and its keys in order.
fn whole_nodes(page: Page<'_>) -> Option<Vec<Node<'_>>> {
    let nodes: Vec<_> = (0..page.len()).map(|index| page.node(index)).collect::<Result<_, _>>().ok()?;
    // The first key of a branch says nothing.
    let is_sorted = nodes.iter().skip(usize::from(!page.is_leaf())).map(|node| node.key).is_sorted();
    let bytes: usize = nodes.iter().map(|node| node.bytes).sum();
    let is_whole = !nodes.is_empty() && is_sorted && bytes == page.nodes_bytes();
    is_whole.then_some(nodes)
}

fn show(
    walk: &mut Walk<'_, '_>,
    page: u64,
    nodes: &[Node<'_>],
    visit: &mut dyn FnMut(Piece<'_>),
) -> io::Result<()> {
    for (node, Node { key, content, .. }) in (0u16..).zip(nodes) {
        let place = Place { page, node };
        match *content {
            Content::Value(value) => visit(Piece::Loose { key, value: Ok(value), place }),
            Content::Overflow { page, len } => {
                let bytes = walk.take_overflow(&mut TreeCounts::default(), page, len)?;
                let value = bytes.as_deref().and_then(|bytes| overflow_value(bytes, len)).ok_or(DamagedValue);
                visit(Piece::Loose { key, value, place });
            }
            Content::Child(_) | Content::Table(_) | Content::Unknown { .. } => {}
        }
    }
    Ok(())
}
