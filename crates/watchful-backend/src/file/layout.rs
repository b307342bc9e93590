//! The bytes of an LMDB data file, version 1, as `mdb.c` of LMDB 0.9.70 writes them on a 64-bit machine: numbers in the
//! machine's own byte order.
//!
//! ```text
//! page          number u64, pad u16, flags u16, then: lower u16, upper u16 (branch, leaf), or pages u32 (overflow)
//! meta page     page head, magic u32, version u32, address u64, map size u64, free tree, main tree,
//!               last page u64, commit u64
//! tree          pad u32, flags u16, depth u16, branch pages u64, leaf pages u64, overflow pages u64, entries u64,
//!               root u64; the free tree's pad is the page size
//! branch, leaf  page head, one u16 a node: where the node is; free space from lower to upper; the nodes
//! node          low u16, high u16, flags u16, key length u16, key; then a leaf's value.
//!               branch: low, high and flags are the child's number. leaf: low and high are the value's length
//! ```
//!
//! Nothing here panics, whatever the bytes are: what does not fit is told in words.

/// Why bytes are not what they should be.
pub(super) type Misfit = String;

/// The root of a tree that holds nothing.
const NO_PAGE: u64 = u64::MAX;

const HEAD_LEN: usize = 16;
const NODE_HEAD_LEN: usize = 8;
const TREE_LEN: usize = 48;

/// How many bytes of a meta page carry something.
pub(super) const META_LEN: usize = HEAD_LEN + 24 + 2 * TREE_LEN + 16;

/// The deepest tree LMDB can walk.
const DEPTH_MAX: u16 = 32;

const MAGIC: u32 = 0xBEEF_C0DE;
const VERSION: u32 = 1;

const PAGE_BRANCH: u16 = 0x01;
const PAGE_LEAF: u16 = 0x02;
const PAGE_OVERFLOW: u16 = 0x04;
const PAGE_META: u16 = 0x08;

/// The keys of a tree are numbers, as those of the free tree are and of no other.
const TREE_OF_NUMBERS: u16 = 0x08;
/// The flags that say what is in a tree. In the free tree's, others are those of the environment that made the file.
const TREE_FLAGS: u16 = 0x7f;

const NODE_BIG: u16 = 0x01;
const NODE_TREE: u16 = 0x02;

#[expect(clippy::host_endian_bytes, reason = "LMDB writes numbers in the machine's own byte order")]
fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[expect(clippy::host_endian_bytes, reason = "LMDB writes numbers in the machine's own byte order")]
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[expect(clippy::host_endian_bytes, reason = "LMDB writes numbers in the machine's own byte order")]
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Where a tree is, and what it should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) flags: u16,
    pub(super) depth: u16,
    pub(super) counts: TreeCounts,
    root: u64,
}

/// What a tree holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TreeCounts {
    pub(super) branch_pages: u64,
    pub(super) leaf_pages: u64,
    pub(super) overflow_pages: u64,
    pub(super) entries: u64,
}

impl TreeCounts {
    pub(super) fn pages(self) -> u64 {
        self.branch_pages.saturating_add(self.leaf_pages).saturating_add(self.overflow_pages)
    }
}

impl Tree {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let counts = TreeCounts {
            branch_pages: u64_at(bytes, 8)?,
            leaf_pages: u64_at(bytes, 16)?,
            overflow_pages: u64_at(bytes, 24)?,
            entries: u64_at(bytes, 32)?,
        };
        Some(Self { flags: u16_at(bytes, 4)?, depth: u16_at(bytes, 6)?, counts, root: u64_at(bytes, 40)? })
    }

    pub(super) fn root(&self) -> Option<u64> {
        (self.root != NO_PAGE).then_some(self.root)
    }

    /// Whether the root may be looked for at all.
    pub(super) fn check(&self, last_page: u64) -> Result<(), Misfit> {
        match self.root() {
            None if self.depth == 0 => Ok(()),
            Some(root) if (2..=last_page).contains(&root) && (1..=DEPTH_MAX).contains(&self.depth) => Ok(()),
            _ => Err(format!("a tree of depth {} has its root at page {}", self.depth, self.root)),
        }
    }
}

/// One of the two pages that begin a file: the newer valid one tells where everything is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) page_bytes: u32,
    pub(super) free: Tree,
    pub(super) main: Tree,
    pub(super) last_page: u64,
    pub(super) commit: u64,
}

impl Meta {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Misfit> {
        let short = || "it is too short".to_owned();
        let number = |at| u32_at(bytes, at).ok_or_else(short);
        let is_meta = u16_at(bytes, 10).ok_or_else(short)? & PAGE_META != 0;
        match number(HEAD_LEN)? {
            MAGIC if is_meta => {}
            magic if magic.swap_bytes() == MAGIC => {
                return Err("it was written on a machine of the other byte order".to_owned());
            }
            _ => return Err("it does not begin as an LMDB file does".to_owned()),
        }
        let version = number(HEAD_LEN + 4)?;
        if version != VERSION {
            return Err(format!("it has LMDB's format {version}, and this program reads {VERSION}"));
        }
        Self::parse_content(bytes).ok_or_else(short)?.checked()
    }

    fn parse_content(bytes: &[u8]) -> Option<Self> {
        let trees = bytes.get(HEAD_LEN + 24..)?;
        Some(Self {
            page_bytes: u32_at(trees, 0)?,
            free: Tree::parse(trees)?,
            main: Tree::parse(trees.get(TREE_LEN..)?)?,
            last_page: u64_at(trees, 2 * TREE_LEN)?,
            commit: u64_at(trees, 2 * TREE_LEN + 8)?,
        })
    }

    /// The same with a last page that lies behind those at which its trees begin, where the file has these: then its number is
    /// damaged.
    pub(super) fn reaching(mut self, file_pages: u64) -> Self {
        let behind = self.last_page + 1..file_pages;
        if [&self.free, &self.main].into_iter().filter_map(Tree::root).any(|root| behind.contains(&root)) {
            self.last_page = file_pages - 1;
        }
        self
    }

    fn checked(self) -> Result<Self, Misfit> {
        if !self.page_bytes.is_power_of_two() || !(512..=32768).contains(&self.page_bytes) {
            return Err(format!("it has pages of {} bytes", self.page_bytes));
        }
        // A file of 2^56 bytes is beyond every file system, and the bound keeps what follows from overflowing.
        if self.last_page == 0 || self.last_page >= 1 << 40 {
            return Err(format!("its last page is said to be {}", self.last_page));
        }
        Ok(self)
    }

    /// Whether its trees may be looked for.
    pub(super) fn check_trees(&self) -> Result<(), Misfit> {
        let flags = (self.free.flags & TREE_FLAGS, self.main.flags);
        if flags != (TREE_OF_NUMBERS, 0) {
            return Err(format!("its trees are of the kinds {:#x} and {:#x}", flags.0, flags.1));
        }
        self.free.check(self.last_page)?;
        self.main.check(self.last_page)
    }

    /// How long the file is when every page is there.
    pub(super) fn full_bytes(&self) -> u64 {
        (self.last_page + 1) * u64::from(self.page_bytes)
    }
}

/// A branch or leaf page whose head fits.
#[derive(Clone, Copy)]
pub(super) struct Page<'a> {
    bytes: &'a [u8],
    upper: usize,
    nodes: usize,
    is_leaf: bool,
}

impl<'a> Page<'a> {
    pub(super) fn parse(bytes: &'a [u8], number: u64) -> Result<Self, Misfit> {
        let short = || "it is too short".to_owned();
        let found = u64_at(bytes, 0).ok_or_else(short)?;
        if found != number {
            return Err(format!("it says that it is page {found}"));
        }
        let is_leaf = match u16_at(bytes, 10).ok_or_else(short)? {
            PAGE_BRANCH => false,
            PAGE_LEAF => true,
            flags => return Err(format!("it is neither branch nor leaf (flags {flags:#x})")),
        };
        let lower = usize::from(u16_at(bytes, 12).ok_or_else(short)?);
        let upper = usize::from(u16_at(bytes, 14).ok_or_else(short)?);
        if lower < HEAD_LEN || lower % 2 != 0 || lower > upper || upper > bytes.len() {
            return Err(format!("its free space is said to be from {lower} to {upper}"));
        }
        Ok(Self { bytes, upper, nodes: (lower - HEAD_LEN) / 2, is_leaf })
    }

    pub(super) fn is_leaf(&self) -> bool {
        self.is_leaf
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.nodes
    }

    /// The node at `index`, if it fits into the page.
    pub(super) fn node(&self, index: usize) -> Result<Node<'a>, Misfit> {
        let misfit = || format!("its node {index} does not fit into it");
        let at = usize::from(u16_at(self.bytes, HEAD_LEN + 2 * index).ok_or_else(misfit)?);
        let (true, Some(bytes)) = (at >= self.upper, self.bytes.get(at..)) else { return Err(misfit()) };
        Node::parse(bytes, self.is_leaf).ok_or_else(misfit)
    }

    /// The room that its nodes have, which they fill, unless two of them overlap or one is left out.
    pub(super) fn nodes_bytes(&self) -> usize {
        self.bytes.len() - self.upper
    }
}

/// One key of a page, and what it leads to.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    pub(super) key: &'a [u8],
    pub(super) content: Content<'a>,
    /// How much room it takes: nodes begin at even places.
    pub(super) bytes: usize,
}

/// What a node leads to.
#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    /// The page with the keys from this one on.
    Child(u64),
    /// The value.
    Value(&'a [u8]),
    /// A value too large for the page: where it begins, and its length.
    Overflow { page: u64, len: usize },
    /// A named table.
    Table(Tree),
    /// Something that this crate never writes.
    Unknown { flags: u16 },
}

impl<'a> Node<'a> {
    fn parse(bytes: &'a [u8], is_leaf: bool) -> Option<Self> {
        let low = u64::from(u16_at(bytes, 0)?) | u64::from(u16_at(bytes, 2)?) << 16;
        let flags = u16_at(bytes, 4)?;
        let rest = bytes.get(NODE_HEAD_LEN..)?;
        let (key, rest) = rest.split_at_checked(usize::from(u16_at(bytes, 6)?))?;
        let (content, content_len) = if is_leaf {
            leaf_content(flags, usize::try_from(low).ok()?, rest)?
        } else {
            (Content::Child(low | u64::from(flags) << 32), 0)
        };
        let len = NODE_HEAD_LEN + key.len() + content_len;
        Some(Self { key, content, bytes: len.next_multiple_of(2) })
    }
}

fn leaf_content(flags: u16, len: usize, rest: &[u8]) -> Option<(Content<'_>, usize)> {
    match flags {
        0 => Some((Content::Value(rest.get(..len)?), len)),
        NODE_BIG => Some((Content::Overflow { page: u64_at(rest, 0)?, len }, 8)),
        NODE_TREE if len == TREE_LEN => Some((Content::Table(Tree::parse(rest)?), len)),
        _ => Some((Content::Unknown { flags }, len)),
    }
}

/// How many pages a value of `len` bytes takes at the least when it does not fit into a leaf.
pub(super) fn overflow_pages_min(len: usize, page_bytes: u32) -> u64 {
    (len as u64 + HEAD_LEN as u64 - 1) / u64::from(page_bytes) + 1
}

/// How many pages the value that begins on the page `bytes` has. They can be more than it needs: LMDB writes a shorter
/// value over a longer one.
pub(super) fn overflow_pages(bytes: &[u8], number: u64) -> Result<u64, Misfit> {
    let misfit = || "it is not the first of a large value's pages".to_owned();
    let fits = u64_at(bytes, 0) == Some(number) && u16_at(bytes, 10) == Some(PAGE_OVERFLOW);
    fits.then(|| u32_at(bytes, 12).map(u64::from)).flatten().ok_or_else(misfit)
}

/// The value of `len` bytes on the overflow pages `bytes`.
pub(super) fn overflow_value(bytes: &[u8], len: usize) -> Option<&[u8]> {
    bytes.get(HEAD_LEN..)?.get(..len)
}
