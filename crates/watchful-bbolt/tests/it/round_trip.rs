//! What is written is what is read, and the file is one that bbolt would have written.

use proptest::prelude::*;
use watchful_bbolt::{PAGE_LEN, Value};

use crate::support::{Content, numbered, open, read, write};

fn check_round_trip(content: &Content) {
    let bytes = write(content);
    check_branches(&bytes);
    let reader = open(&bytes).unwrap();
    assert_eq!(read(&reader).unwrap(), *content);
    for (name, entries) in content {
        let bucket = reader.bucket(name).unwrap().unwrap();
        let last = entries.last_key_value().map(|(key, _)| key.clone());
        assert_eq!(reader.last_key(&bucket).unwrap(), last);
    }
    let checked = reader.check().unwrap();
    assert_eq!(checked.pages * PAGE_LEN as u64, bytes.len() as u64);
    assert_eq!((checked.free_pages, checked.other_pages), (0, 0), "every page is reached");
    assert_eq!(checked.buckets, content.len() as u64);
    assert_eq!(checked.keys, content.values().map(|entries| entries.len() as u64).sum::<u64>());
}

/// bbolt looks for a neighbour when it deletes, so a branch with one child would bring it down.
fn check_branches(bytes: &[u8]) {
    let mut at = 0;
    while at < bytes.len() {
        let number = |offset: usize, len: usize| {
            bytes[at + offset..at + offset + len]
                .iter()
                .rev()
                .fold(0, |all, byte| all << 8 | usize::from(*byte))
        };
        let (flags, count, overflow) = (number(8, 2), number(10, 2), number(12, 4));
        assert!(flags != 1 || count >= 2, "page {} is a branch of {count}", at / PAGE_LEN);
        at += (1 + overflow) * PAGE_LEN;
    }
    assert_eq!(at, bytes.len());
}

#[test]
fn an_empty_file_and_empty_buckets() {
    check_round_trip(&Content::new());
    check_round_trip(&Content::from([(b"a".to_vec(), [].into()), (b"b".to_vec(), [].into())]));
}

/// Counts around those at which a page, a branch, and a branch of branches are full: 8 + 16 bytes a key and a value of 0.
#[test]
fn trees_of_every_height() {
    let (leaf, branch) = ((PAGE_LEN - 16) / 24, (PAGE_LEN - 16) / 24);
    for full in [1, 41, leaf, leaf * branch, leaf * (branch - 1) + 1, leaf * branch * 3] {
        for count in [full - 1, full, full + 1, full + leaf] {
            check_round_trip(&numbered(count as u64, b""));
        }
    }
}

#[test]
fn large_values_have_pages_of_their_own() {
    for len in [PAGE_LEN - 16 - 16 - 8, PAGE_LEN - 16 - 16 - 7, 3 * PAGE_LEN, 1_000_000] {
        check_round_trip(&numbered(5, &vec![7; len]));
    }
}

#[test]
fn keys_longer_than_a_page_stay_in_order() {
    let key = |number: u8| [&vec![b'k'; 32_000][..], &[number]].concat();
    let entries = (0..40).map(|number| (key(number), vec![number])).collect();
    check_round_trip(&Content::from([(b"long".to_vec(), entries)]));
}

#[test]
fn a_bucket_is_found_by_its_name() {
    let reader = open(&write(&numbered(1000, b"1"))).unwrap();
    assert!(reader.bucket(b"other").unwrap().is_none());
    let bucket = reader.bucket(b"numbers").unwrap().unwrap();
    let mut entries = reader.entries(&bucket).unwrap();
    let first = entries.next().unwrap().unwrap();
    assert!(first.key == 0u64.to_be_bytes() && matches!(first.value, Value::Bytes(b"1")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 64 }))]

    #[test]
    fn whatever_is_written_is_read(
        content in prop::collection::btree_map(
            prop::collection::vec(any::<u8>(), 1..40),
            prop::collection::btree_map(
                prop::collection::vec(any::<u8>(), 1..200),
                (0usize..6000, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
                0..if cfg!(miri) { 10 } else { 200 },
            ),
            0..8,
        )
    ) {
        check_round_trip(&content);
    }
}
