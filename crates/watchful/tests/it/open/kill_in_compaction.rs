//! A large compaction that a kill -9 breaks off in the middle, more than once.

use watchful_harness::broken_off;
use watchful_harness::child::{self, Program};

const PROGRAM: Program = Program::Test("open::kill_in_compaction::a_compaction_that_was_broken_off_goes_on");

#[test]
fn a_compaction_that_was_broken_off_goes_on() {
    if let Some((folder, turn)) = child::task() {
        return broken_off::work(&folder, turn);
    }
    let dir = tempfile::tempdir().unwrap();
    broken_off::round(PROGRAM, dir.path(), 4);
}
