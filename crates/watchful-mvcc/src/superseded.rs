//! The superseded rows, in the order in which compaction may delete them.
//!
//! A row is superseded when a later change of its key takes its place. It may go once the store is compacted to its
//! *due* revision: the main revision of the change that took its place, and never its own main revision, because every
//! row at the revision compacted to stays. A tombstone is superseded by itself, and is entered once.
//!
//! ```text
//! revision 2: put a       revision 3: put a, put b     revision 4: del a, put a
//!
//! row    superseded by    due
//! 2.0    3.0              3
//! 3.0    4.0              4
//! 4.0    itself           5       (the tombstone: a watch from 4 must still see it)
//! ```
//!
//! The order is strict: by due revision, and a key's rows as they came. A row therefore always goes before the tombstone
//! that ended it; if it stayed longer, a crash between two slices would bring a dead key back at the next open.
//!
//! This list is why compaction costs what was superseded and not what is alive. It takes some five bytes a row: a row is
//! written as the distance from the due revision before, the distance from its own due revision, and `sub`, in as many
//! bytes as they need.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use watchful_revision::Revision;

/// One change of a revision, as far as the list must know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) revision: Revision,
    /// The row whose place it takes.
    pub(crate) prev: Option<Revision>,
    pub(crate) tombstone: bool,
}

/// A superseded row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) due: u64,
    pub(crate) revision: Revision,
}

/// Rows are kept in blocks of so many bytes, so that those at the front can be given back.
const BLOCK_BYTES: usize = 4096;

/// The most bytes one row can take: two numbers of 64 bits and one of 32.
const ROW_BYTES_MAX: usize = 10 + 10 + 5;

struct Block {
    bytes: Vec<u8>,
    /// The due revision that the first row's distance is counted from.
    due: u64,
}

/// The list.
#[derive(Default)]
pub(crate) struct Superseded {
    blocks: VecDeque<Block>,
    rows: usize,
    front: Cursor,
    last_due: u64,
}

/// A place in the list, counted from its front as it was when the cursor was made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    block: usize,
    at: usize,
    due: u64,
    passed: usize,
}

impl Superseded {
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.blocks.len() * (BLOCK_BYTES + size_of::<Block>())
    }

    /// Enters what the changes of one main revision superseded. Revisions come in order, and so do the changes.
    pub(crate) fn push_revision(&mut self, main: u64, changes: impl Iterator<Item = Change> + Clone) {
        let prevs = || changes.clone().filter_map(|change| change.prev);
        for revision in prevs().filter(|prev| prev.main < main) {
            self.push(Row { due: main, revision });
        }
        for change in changes.clone() {
            if let Some(revision) = change.prev.filter(|prev| prev.main == main) {
                self.push(Row { due: main + 1, revision });
            }
            if change.tombstone {
                self.push(Row { due: main + 1, revision: change.revision });
            }
        }
    }

    fn push(&mut self, row: Row) {
        debug_assert!(self.last_due <= row.due && row.revision.main <= row.due);
        if self.blocks.back().is_none_or(|block| block.bytes.len() + ROW_BYTES_MAX > BLOCK_BYTES) {
            self.blocks.push_back(Block { bytes: Vec::with_capacity(BLOCK_BYTES), due: self.last_due });
        }
        if let Some(block) = self.blocks.back_mut() {
            write_number(row.due - self.last_due, &mut block.bytes);
            write_number(row.due - row.revision.main, &mut block.bytes);
            write_number(u64::from(row.revision.sub), &mut block.bytes);
        }
        self.last_due = row.due;
        self.rows += 1;
    }

    /// The front of the list.
    pub(crate) fn front(&self) -> Cursor {
        self.front
    }

    /// The row at `cursor`, which moves on.
    pub(crate) fn next(&self, cursor: &mut Cursor) -> Option<Row> {
        let mut block = self.blocks.get(cursor.block)?;
        if cursor.at == block.bytes.len() {
            block = self.blocks.get(cursor.block + 1)?;
            *cursor = Cursor { block: cursor.block + 1, at: 0, due: block.due, passed: cursor.passed };
        }
        if cursor.at == 0 {
            cursor.due = block.due;
        }
        let mut rest = &block.bytes[cursor.at..];
        let due = cursor.due + read_number(&mut rest);
        let main = due - read_number(&mut rest);
        let sub = u32::try_from(read_number(&mut rest)).unwrap_or(u32::MAX);
        cursor.at = block.bytes.len() - rest.len();
        cursor.due = due;
        cursor.passed += 1;
        Some(Row { due, revision: Revision::new(main, sub) })
    }

    /// Drops every row before `cursor`.
    pub(crate) fn drop_before(&mut self, cursor: Cursor) {
        self.blocks.drain(..cursor.block);
        self.rows -= cursor.passed;
        self.front = Cursor { block: 0, passed: 0, ..cursor };
    }
}

fn write_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the low seven bits, and the mark that more follow"
        )]
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 0x80")]
    out.push(number as u8);
}

fn read_number(rest: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..).step_by(7) {
        let Some((&byte, after)) = rest.split_first() else { break };
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    number
}
