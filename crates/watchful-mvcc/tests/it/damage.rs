//! A record that goes bad under an open store: whoever comes to it is told its revision, whichever way they came.

use std::os::unix::fs::FileExt;

use watchful_mvcc::{
    Compare, CompareResult, CompareTarget, HistoryLimits, MvccError, PutOptions, RangeOptions, SortTarget,
    Txn, Want,
};
use watchful_revision::{KeyRange, Revision};

use crate::support::{Store, read_all};

/// The row that goes bad, with a neighbour on either side and a version after it.
const BAD: Revision = Revision::new(3, 1);

const SCRIPT: &str = "put a first\ntxn { put b 1; put c unmistakable; put d 1 }\nput e last\nput c again";

/// A store whose record of `c` at revision 3 has another value than it was written with. The file is changed in place, so
/// the store's map of it shows the change.
fn scene(script: &str) -> Store {
    let store = Store::new();
    store.run(script);
    let file = std::fs::File::options().read(true).write(true).open(store.data_file()).unwrap();
    let bytes = std::fs::read(store.data_file()).unwrap();
    let places: Vec<usize> =
        (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"unmistakable")).collect();
    assert!(!places.is_empty());
    for at in places {
        file.write_all_at(b"U", u64::try_from(at).unwrap()).unwrap();
    }
    store
}

#[track_caller]
fn check<T: std::fmt::Debug>(answer: Result<T, MvccError>) {
    assert!(matches!(&answer, Err(MvccError::Damaged { revision: BAD, .. })), "{answer:?}");
}

fn options() -> RangeOptions {
    RangeOptions::default()
}

/// Ways to read a range, each by code of its own.
fn all_options() -> [RangeOptions; 4] {
    [
        options(),
        RangeOptions { keys_only: true, ..options() },
        RangeOptions { keys_only: true, target: SortTarget::Value, ..options() },
        RangeOptions { min_create_revision: 1, ..options() },
    ]
}

#[test]
fn a_view_tells_of_it() {
    let store = scene(SCRIPT);
    let view = store.view(Some(3)).unwrap();
    check(view.get(b"c"));
    for options in all_options() {
        check(view.range(&KeyRange::everything(), &options));
    }
    check(view.scan(&KeyRange::everything()).collect::<Result<Vec<_>, _>>());
    assert_eq!(view.get(b"b").unwrap().unwrap().value(), b"1");
    assert_eq!(view.count(&KeyRange::everything()).unwrap(), 4, "no record is read for it");
    let newest = store.view(None).unwrap();
    assert_eq!(newest.range(&KeyRange::everything(), &options()).unwrap().records.len(), 5);
}

#[test]
fn rows_and_history_tell_of_it() {
    let store = scene(SCRIPT);
    check(store.read_row(BAD));
    check(store.read_rows(&[Revision::new(3, 2), BAD, Revision::new(3, 0)]));
    let from = |revision| {
        store.read_history(Revision::start_of(revision), u64::MAX, &HistoryLimits::default(), &mut |_| {
            Want::Take { charge_bytes: 1 }
        })
    };
    check(from(2));
    check(from(3));
    assert_eq!(from(4).unwrap().into_rows(Into::into).count(), 2);
    // It is the version before that of revision 5.
    check(read_all(&store, 5, &HistoryLimits::default()));
}

/// Does something in a transaction that is not kept.
fn in_txn<T>(
    store: &Store,
    act: impl FnOnce(&mut Txn<'_, '_>) -> Result<T, MvccError>,
) -> Result<T, MvccError> {
    store.begin_group().unwrap().txn(act).map(|outcome| outcome.value)
}

#[test]
fn a_transaction_tells_of_it() {
    let store = scene("put a first\ntxn { put b 1; put c unmistakable; put d 1 }\nput e last");
    let everything = KeyRange::everything();
    check(in_txn(&store, |txn| txn.get(b"c")));
    for options in all_options() {
        check(in_txn(&store, |txn| txn.range(&everything, &options)));
        check(in_txn(&store, |txn| txn.range_at(3, &everything, &options)));
    }
    check(in_txn(&store, |txn| txn.delete_range(&everything, true)));
    let put = |options: PutOptions| in_txn(&store, move |txn| txn.put(b"c", b"", options));
    check(put(PutOptions { prev_kv: true, ..PutOptions::default() }));
    check(put(PutOptions { ignore_value: true, ..PutOptions::default() }));
    for range in [KeyRange::key("c"), everything.clone()] {
        let target = CompareTarget::Value("U".into());
        let compare = Compare { range: Some(range), target, result: CompareResult::NotEqual };
        check(in_txn(&store, |txn| txn.compare(&compare)));
    }
    // What comes to no record is done, and leaves nothing bad behind.
    assert_eq!(in_txn(&store, |txn| txn.delete_range(&everything, false)).unwrap().count, 5);
}
