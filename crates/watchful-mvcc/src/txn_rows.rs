//! The rows of a range as a transaction sees them: the index, with the changes of the group laid over it.

use std::iter::Peekable;

use watchful_revision::{KeyRange, Revision};

use crate::MvccError;
use crate::index::{Direction, Walk};
use crate::overlay::Seen;
use crate::range::{Rows, TURN_KEYS_MAX, Visit};
use crate::txn::Txn;

/// Walks the index and the group's own keys side by side.
pub(crate) struct TxnRows<'a, 't, 'm> {
    txn: &'a Txn<'t, 'm>,
    walk: Walk,
    at: u64,
    own: Peekable<Box<dyn Iterator<Item = &'a [u8]> + 'a>>,
}

impl<'a, 't, 'm> TxnRows<'a, 't, 'm> {
    pub(crate) fn new(txn: &'a Txn<'t, 'm>, range: &'a KeyRange, at: u64, direction: Direction) -> Self {
        let own = txn.group.writer.overlay.keys_in(range);
        let own: Box<dyn Iterator<Item = &'a [u8]> + 'a> = match direction {
            Direction::Ascending => Box::new(own),
            Direction::Descending => Box::new(own.rev()),
        };
        Self { txn, walk: Walk::new(range, direction), at, own: own.peekable() }
    }

    fn seen(&self, key: &[u8]) -> Seen {
        self.txn.group.writer.overlay.seen(key, self.at)
    }

    /// Shows the group's own keys that come before `key`. What the index knows of those is not visible, since it would
    /// have been shown before `key`.
    fn show_own_before(&mut self, key: Option<&[u8]>, visit: &mut dyn FnMut(&[u8], Revision)) {
        let direction = self.walk.direction();
        let comes_before = |own: &&[u8]| {
            key.is_none_or(|key| match direction {
                Direction::Ascending => *own < key,
                Direction::Descending => *own > key,
            })
        };
        while let Some(own) = self.own.next_if(comes_before) {
            if let Seen::Row(revision) = self.seen(own) {
                visit(own, revision);
            }
        }
    }

    fn show(&mut self, key: &[u8], committed: Revision, visit: &mut dyn FnMut(&[u8], Revision)) {
        self.show_own_before(Some(key), visit);
        if self.own.next_if(|own| *own == key).is_none() {
            return visit(key, committed);
        }
        match self.seen(key) {
            Seen::Row(revision) => visit(key, revision),
            Seen::Gone => {}
            Seen::Below => visit(key, committed),
        }
    }
}

impl Rows for TxnRows<'_, '_, '_> {
    fn turn(&mut self, visit: &mut dyn FnMut(&[u8], Revision)) -> Result<bool, MvccError> {
        let mut walk = self.walk.clone();
        {
            let index = self.txn.group.inner.index.read();
            walk.turn(&index, self.at, TURN_KEYS_MAX, |key, revision| self.show(key, revision, visit));
        }
        self.walk = walk;
        if self.walk.is_done() {
            self.show_own_before(None, visit);
        }
        Ok(!self.walk.is_done())
    }

    fn read(&self, rows: &[Revision], visit: &mut Visit<'_>) -> Result<(), MvccError> {
        let mut rows = rows.iter().enumerate();
        rows.try_for_each(|(place, revision)| visit(place, self.txn.record_bytes(*revision)?))
    }
}
