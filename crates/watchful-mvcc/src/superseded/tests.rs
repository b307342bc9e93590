//! The list against a twin, and the order it promises.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn rows(list: &Superseded) -> Vec<Row> {
    let mut cursor = list.front();
    std::iter::from_fn(|| list.next(&mut cursor)).collect()
}

/// A key's changes: at which steps of the history it is put (true) or deleted.
fn history() -> impl Strategy<Value = Vec<(u8, bool, bool)>> {
    // Which of four keys, put or delete, and whether the change begins a new revision.
    vec((0..4_u8, proptest::bool::weighted(0.7), any::<bool>()), 0..200)
}

/// Enters a history, and tells every row of it with its key.
fn enter(list: &mut Superseded, history: &[(u8, bool, bool)]) -> Vec<(u8, Change)> {
    let mut revision = Revision::start_of(2);
    let mut live: [Option<Revision>; 4] = [None; 4];
    let mut all = Vec::new();
    let mut changes: Vec<Change> = Vec::new();
    for &(key, is_put, begins) in history {
        if !is_put && live[usize::from(key)].is_none() {
            continue;
        }
        if begins && !changes.is_empty() {
            list.push_revision(revision.main, std::mem::take(&mut changes).into_iter());
            // Large steps too, so that numbers of every length are written.
            revision = Revision::start_of(revision.main + if all.len() % 7 == 0 { 1 << 40 } else { 1 });
        }
        let change = Change { revision, prev: live[usize::from(key)], tombstone: !is_put };
        live[usize::from(key)] = is_put.then_some(revision);
        changes.push(change);
        all.push((key, change));
        revision = revision.next();
    }
    list.push_revision(revision.main, changes.into_iter());
    all
}

proptest! {
    #[test]
    fn each_superseded_row_comes_once_when_it_is_due(history in history()) {
        let mut list = Superseded::default();
        let all = enter(&mut list, &history);
        let mut expected: Vec<(u64, Revision)> = Vec::new();
        for (_, change) in &all {
            if let Some(prev) = change.prev {
                expected.push((change.revision.main.max(prev.main + 1), prev));
            }
            if change.tombstone {
                expected.push((change.revision.main + 1, change.revision));
            }
        }
        let found = rows(&list);
        prop_assert_eq!(found.len(), list.len());
        prop_assert!(found.is_sorted_by_key(|row| row.due));
        let mut found: Vec<_> = found.iter().map(|row| (row.due, row.revision)).collect();
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected);
    }

    /// Else a crash between two slices would bring a dead key back.
    #[test]
    fn the_rows_of_a_key_go_oldest_first(history in history()) {
        let mut list = Superseded::default();
        let all = enter(&mut list, &history);
        for key in 0..4 {
            let own: Vec<_> = all.iter().filter(|row| row.0 == key).map(|row| row.1.revision).collect();
            let found: Vec<_> =
                rows(&list).into_iter().map(|row| row.revision).filter(|row| own.contains(row)).collect();
            prop_assert_eq!(&found[..], &own[..found.len()]);
        }
    }

    #[test]
    fn rows_are_dropped_from_the_front(history in history(), steps in vec(0..40_usize, 0..10)) {
        let mut list = Superseded::default();
        enter(&mut list, &history);
        let mut expected = rows(&list);
        for step in steps {
            let mut cursor = list.front();
            for _ in 0..step {
                list.next(&mut cursor);
            }
            list.drop_before(cursor);
            expected.drain(..step.min(expected.len()));
            prop_assert_eq!(rows(&list), expected.clone());
            prop_assert_eq!(list.len(), expected.len());
        }
    }
}

/// Over many blocks, while rows come in behind; and the memory is given back.
#[test]
fn a_long_list_is_a_queue() {
    let mut list = Superseded::default();
    let mut next = 2;
    let mut expected = 2;
    for main in 3..100_000_u64 {
        let change = Change {
            revision: Revision::start_of(main),
            prev: Some(Revision::start_of(main - 1)),
            tombstone: false,
        };
        list.push_revision(main, std::iter::once(change));
        next += 1;
        if main > 3 && main % 3 == 0 {
            let mut cursor = list.front();
            for _ in 0..2 {
                assert_eq!(list.next(&mut cursor).unwrap().revision, Revision::start_of(expected));
                expected += 1;
            }
            list.drop_before(cursor);
        }
    }
    assert_eq!(list.len() as u64, next - expected);
    assert!(list.heap_bytes() < list.len() * 8 + 3 * BLOCK_BYTES, "{} for {}", list.heap_bytes(), list.len());
}
