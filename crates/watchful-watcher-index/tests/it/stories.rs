//! Single cases worth a name.

use watchful_revision::KeyRange;
use watchful_watcher_index::{GroupId, WatcherIndex};

fn check_stab(index: &WatcherIndex, key: &[u8], expected: &[u32]) {
    let mut found = Vec::new();
    index.stab(key, &mut found);
    found.sort();
    assert_eq!(
        found,
        expected.iter().map(|group| GroupId(*group)).collect::<Vec<_>>(),
        "{}",
        key.escape_ascii()
    );
}

fn index_of(ranges: &[KeyRange]) -> WatcherIndex {
    let index = WatcherIndex::new();
    for (group, range) in (1..).zip(ranges) {
        assert!(index.insert(range, GroupId(group)));
    }
    index
}

#[test]
fn the_empty_prefix_is_every_key() {
    let index = index_of(&[KeyRange::prefix(""), KeyRange::everything()]);
    check_stab(&index, b"", &[1, 2]);
    check_stab(&index, b"\0", &[1, 2]);
    check_stab(&index, b"\xff\xff", &[1, 2]);
}

#[test]
fn a_prefix_of_0xff_has_no_end() {
    let index = index_of(&[KeyRange::prefix(b"\xff"), KeyRange::prefix(b"a\xff")]);
    check_stab(&index, b"\xff\xff\xff", &[1]);
    check_stab(&index, b"a\xff\xff", &[2]);
    check_stab(&index, b"b", &[]);
}

#[test]
fn a_stab_appends() {
    let index = index_of(&[KeyRange::key("a")]);
    let mut found = vec![GroupId(7)];
    index.stab(b"a", &mut found);
    index.groups_of(&KeyRange::key("a"), &mut found);
    assert_eq!(found, [GroupId(7), GroupId(1), GroupId(1)]);
}

/// A key and the prefix of the same bytes are two ranges.
#[test]
fn groups_of_takes_the_range_literally() {
    let index = index_of(&[KeyRange::key("a"), KeyRange::prefix("a"), KeyRange::from_key("a")]);
    let check = |range: KeyRange, expected: &[GroupId]| {
        let mut found = Vec::new();
        index.groups_of(&range, &mut found);
        assert_eq!(found, expected, "{range}");
    };
    check(KeyRange::key("a"), &[GroupId(1)]);
    check(KeyRange::between("a", "b").unwrap(), &[GroupId(2)]);
    check(KeyRange::from_key("a"), &[GroupId(3)]);
    check(KeyRange::key("b"), &[]);
}

/// A prefix that went to the tree for want of room is found there after room was made, and is not inserted twice.
#[test]
fn a_prefix_stays_where_it_is() {
    let prefix = |len: usize| KeyRange::prefix(vec![b'a'; len]);
    let index = WatcherIndex::small();
    for len in 1..=65 {
        assert!(index.insert(&prefix(len), GroupId(1)));
    }
    assert!(index.remove(&prefix(3), GroupId(1)));
    assert!(!index.insert(&prefix(65), GroupId(1)));
    assert!(index.insert(&prefix(65), GroupId(2)));
    assert_eq!(index.len(), 65);
    check_stab(&index, &[b'a'; 65], &[&[1; 64][..], &[2]].concat());
    assert!(index.remove(&prefix(65), GroupId(1)) && index.remove(&prefix(65), GroupId(2)));
    check_stab(&index, &[b'a'; 65], &[1; 63]);
}

#[test]
#[cfg_attr(miri, ignore = "it weighs a hundred thousand keys, which Miri takes hours for")]
fn memory_is_told_and_a_key_is_cheap() {
    let index = WatcherIndex::new();
    let empty = index.memory_bytes();
    let keys: Vec<_> = (0..100_000_u32).map(|at| KeyRange::key(at.to_be_bytes())).collect();
    for key in &keys {
        index.insert(key, GroupId(0));
    }
    // Of its own: all but the keys' buffers (two counts and four bytes), which the ranges have anyway.
    let own = (index.memory_bytes() - empty) / keys.len() - 20;
    assert!((25..=60).contains(&own), "{own} bytes a key");
}
