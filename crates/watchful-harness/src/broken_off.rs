//! A compaction that a kill -9 breaks off in the middle, more than once, goes on when the store is opened, and ends where
//! it would have ended.

use std::path::Path;

use watchful::{KeyRange, Store};
use watchful_testkit::{Filters, Model, Op, WatchSpec, checkers};

use crate::child::{self, Program, Working};
use crate::{Receiver, eventually, request, rows_at, settings};

const KEYS: u64 = 200;
const VERSIONS: u64 = 200;

/// Many versions of each key; then some keys end, one is made again in the revision that ended it, and last of all comes
/// a tombstone.
fn history() -> Vec<Vec<Op>> {
    let put = |key: u64, version: u64| Op::put(format!("key/{key:03}"), format!("{version}"));
    let mut history: Vec<Vec<Op>> =
        (0..VERSIONS).map(|version| (0..KEYS).map(|key| put(key, version)).collect()).collect();
    history.push((0..KEYS / 2).map(|key| Op::delete(format!("key/{key:03}"))).collect());
    history.push(vec![Op::delete("key/100"), put(100, 0), Op::delete("key/101"), Op::delete("key/102")]);
    history.push(vec![put(5, 1), put(100, 1)]);
    history.push(vec![Op::delete("key/100")]);
    history
}

/// The revision that compaction is asked for: of the deletes, where a key is made again.
const COMPACT_AT: u64 = VERSIONS + 3;

fn modelled() -> Model {
    let mut model = Model::new();
    for ops in history() {
        model.apply(&ops).unwrap();
    }
    model.compact(COMPACT_AT).unwrap();
    model
}

/// The rows that a finished compaction leaves: what was live below its revision, and everything from there on.
pub(crate) fn rows_left(model: &Model) -> u64 {
    let at = model.compact_revision().max(1);
    let live_below = model.state_at(at).iter().filter(|row| row.mod_revision() < at).count();
    let above = model.events(&[KeyRange::everything()], Filters::default(), at, model.current_revision());
    (live_below + above.len()) as u64
}

/// One compaction in `folder`, which `turns` children begin or go on with, each until some of its rows are gone.
pub fn round(program: Program, folder: &Path, turns: u64) {
    let model = modelled();
    let mut left = history().iter().map(Vec::len).sum::<usize>() as u64;
    let mut readings = vec![model.current_revision()];
    for turn in 0..turns {
        let mut child = Working::spawn(program, folder, turn);
        assert_eq!(child.told(), "going on");
        let _ = child.kill();
        let report = watchful::check(folder).unwrap();
        assert!(report.is_ok(), "{:?}", report.problems);
        assert!(rows_left(&model) < report.rows && report.rows < left, "turn {turn}: {} rows", report.rows);
        assert_eq!(report.compact_revision, COMPACT_AT);
        left = report.rows;
        readings.push(report.current_revision);
    }
    let store = Store::open(folder, settings()).unwrap();
    // While it goes on, and when it is done, there is nothing to be seen of it.
    check_same(&store, &model);
    eventually("the compaction to end", || (store.stats().mvcc.versions == rows_left(&model)).then_some(()));
    check_same(&store, &model);
    readings.push(store.current_revision());
    checkers::revision_never_goes_back(readings).unwrap();
    drop(store);
    let report = watchful::check(folder).unwrap();
    assert!(report.is_ok() && report.rows == rows_left(&model), "{report:?}");
    check_same(&Store::open(folder, settings()).unwrap(), &model);
}

/// Promises 10, 11 and 12: every revision that is kept is whole, and a watch from the oldest gets all of it, tombstones
/// too.
fn check_same(store: &Store, model: &Model) {
    assert_eq!((store.current_revision(), store.compact_revision()), (model.current_revision(), COMPACT_AT));
    for revision in COMPACT_AT..=model.current_revision() {
        checkers::survives_compaction(model, revision, &rows_at(store, revision)).unwrap();
    }
    let mut seen = Receiver::open(store, WatchSpec::new(KeyRange::everything(), COMPACT_AT));
    seen.read_to(model.current_revision());
    seen.check(model);
    let mut below = Receiver::open(store, WatchSpec::new(KeyRange::everything(), COMPACT_AT - 1));
    below.read_to_the_end();
    checkers::compacted_at_start(&below.spec, &below.observed, COMPACT_AT).unwrap();
}

/// What a child does in `folder`; the first of them makes the store.
pub fn work(folder: &Path, turn: u64) {
    child::begin();
    let store = Store::open(folder, settings().with_compaction_slice_rows(1)).unwrap();
    if turn == 0 {
        for ops in history() {
            store.execute(request(&ops)).wait().unwrap();
        }
        store.compact(COMPACT_AT).wait().unwrap();
    }
    let versions = || store.stats().mvcc.versions;
    let before = versions();
    eventually("the compaction to go on", || (versions() < before).then_some(()));
    child::tell("going on");
    std::thread::park();
}
