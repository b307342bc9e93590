//! Readers beside the one writer: who is there throughout is always found.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use watchful_revision::KeyRange;
use watchful_watcher_index::{GroupId, WatcherIndex};

const KEY: &[u8] = b"app/web";
const STAYS: GroupId = GroupId(0);

/// Miri, which looks for races and not for luck, is some hundred times slower.
const ROUNDS: usize = if cfg!(miri) { 2 } else { 50 };
const CHANGING: usize = if cfg!(miri) { 8 } else { 400 };

/// One thread changes `ranges` for groups that come and go, while two look for the group that stays.
#[expect(clippy::disallowed_methods, reason = "the test is the caller, and brings the threads")]
fn check_found_throughout(stays: &KeyRange, changing: &[KeyRange]) {
    let index = WatcherIndex::new();
    index.insert(stays, STAYS);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers = [(); 2].map(|()| scope.spawn(|| read_until(&done, &index)));
        let until = SetOnDrop(&done);
        change(&index, stays, changing);
        drop(until);
        for reader in readers {
            assert!(reader.join().expect("a reader found the group every time") > 0);
        }
    });
    assert_eq!(index.len(), 1);
}

/// Lets the readers go even when the writer fails.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn change(index: &WatcherIndex, stays: &KeyRange, changing: &[KeyRange]) {
    for _ in 0..ROUNDS {
        // The same range: one group, several, one again.
        for group in 1..4 {
            assert!(index.insert(stays, GroupId(group)));
        }
        for (group, range) in (4..).zip(changing) {
            assert!(index.insert(range, GroupId(group)));
        }
        for group in 1..4 {
            assert!(index.remove(stays, GroupId(group)));
        }
        for (group, range) in (4..).zip(changing) {
            assert!(index.remove(range, GroupId(group)));
        }
    }
}

fn read_until(done: &AtomicBool, index: &WatcherIndex) -> usize {
    let mut found = Vec::new();
    for turns in 1.. {
        found.clear();
        index.stab(KEY, &mut found);
        assert_eq!(found.iter().filter(|group| **group == STAYS).count(), 1, "turn {turns}: {found:?}");
        if done.load(Ordering::Acquire) {
            return turns;
        }
    }
    0
}

fn name(at: usize) -> String {
    format!("app/{at:04}")
}

#[test]
fn a_key_is_found_throughout() {
    let changing: Vec<_> = (0..CHANGING).map(|at| KeyRange::key(name(at))).collect();
    check_found_throughout(&KeyRange::key(KEY), &changing);
}

#[test]
fn a_prefix_is_found_throughout() {
    // Of lengths 4 to 8, so that lengths come and go too.
    let changing: Vec<_> = (0..CHANGING).map(|at| KeyRange::prefix(&name(at)[..at % 5 + 4])).collect();
    check_found_throughout(&KeyRange::prefix("app"), &changing);
}

#[test]
fn a_range_is_found_throughout() {
    let changing: Vec<_> = (0..CHANGING)
        .map(|at| KeyRange::between(name(at), format!("app/{:04}x", at * 7 % 400 + 400)).unwrap())
        .collect();
    check_found_throughout(&KeyRange::between("app", "aqq").unwrap(), &changing);
}
