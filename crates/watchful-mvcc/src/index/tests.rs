//! The index against a twin that is obviously right, and the invariants of its shape.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use watchful_revision::{KeyRange, Revision, prefix_end};

use super::twin::{Change, Pair, Twin, walk};
use super::*;

fn key() -> impl Strategy<Value = Vec<u8>> {
    let byte = proptest::sample::select(vec![0_u8, 1, b'a', b'b', 0xff]);
    prop_oneof![6 => vec(byte.clone(), 1..7), 1 => vec(byte, 1..200)]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        8 => key().prop_map(Change::Put),
        3 => key().prop_map(Change::Delete),
        4 => any::<usize>().prop_map(Change::Forget),
        1 => (key(), 1..400_u16).prop_map(|(prefix, keys)| Change::Fill { prefix, keys }),
        1 => key().prop_map(|mut prefix| { prefix.truncate(1); Change::Clear { prefix } }),
    ]
}

fn check(index: &KeyIndex, twin: &Twin, at: u64, range: &KeyRange, keys_max: usize) {
    check_shape(index);
    super::twin::check(index, twin, at, range, keys_max);
}

fn check_shape(index: &KeyIndex) {
    let mut keys = 0;
    let mut bytes = 0;
    let mut last: Option<Vec<u8>> = None;
    for (number, branch) in index.root.children.iter().enumerate() {
        assert!(branch.len() <= LEAVES_MAX);
        bytes += branch.heap_bytes();
        for (place, leaf) in branch.children.iter().enumerate() {
            assert!(!leaf.is_too_large());
            assert!(!leaf.is_empty() || index.root.len() == 1 && branch.len() == 1);
            bytes += leaf.heap_bytes();
            for at in 0..leaf.len() {
                let key = leaf.keys.get(at);
                assert!(last.as_deref().is_none_or(|last| last < key));
                assert_eq!(index.place_of(key), (number, place));
                last = Some(key.to_vec());
                keys += 1;
            }
        }
    }
    assert_eq!(keys, index.keys);
    assert_eq!(bytes, index.tree_bytes);
}

fn range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        key().prop_map(KeyRange::key),
        key().prop_map(KeyRange::from_key),
        vec(any::<u8>(), 0..2).prop_map(KeyRange::prefix),
        (key(), key()).prop_filter_map("not empty", |(a, b)| KeyRange::between(
            a.clone().min(b.clone()),
            a.max(b)
        )
        .ok()),
        Just(KeyRange::everything()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn the_index_is_its_twin(
        changes in vec(change(), 1..60),
        at in 0..400_u64,
        range in range(),
        keys_max in 1..100_usize,
    ) {
        let mut pair = Pair::new();
        for change in &changes {
            pair.run(change);
        }
        check(&pair.index, &pair.twin, at, &range, keys_max);
        check(&pair.index, &pair.twin, u64::MAX, &range, keys_max);
    }

    #[test]
    fn what_is_built_in_bulk_is_the_same(
        changes in vec(change(), 0..40),
        at in 0..400_u64,
        range in range(),
        together in 1..70_usize,
    ) {
        let mut pair = Pair::new();
        for change in &changes {
            pair.run(change);
        }
        let mut builder = IndexBuilder::default();
        let mut live: BTreeMap<&[u8], Option<Revision>> = BTreeMap::new();
        let mut guesses = Vec::new();
        for rows in pair.log.chunks(together) {
            builder.guess(rows.iter().map(|(key, _)| &key[..]), &mut guesses);
            for ((key, newest), guess) in rows.iter().zip(&guesses) {
                let (number, prev) = builder.add(key, *guess, *newest).unwrap();
                assert_eq!(builder.key(number), key);
                let expected = live.insert(key, newest.is_live().then(|| newest.revision()));
                let prev = prev.filter(Newest::is_live).map(|before| before.revision());
                assert_eq!(prev, expected.flatten());
            }
        }
        let mut built = pair;
        built.index = builder.finish();
        check(&built.index, &built.twin, at, &range, 64);
        built.run(&Change::Fill { prefix: b"a".to_vec(), keys: 300 });
        built.run(&Change::Clear { prefix: b"b".to_vec() });
        check(&built.index, &built.twin, at, &range, 64);
    }
}

/// What a transaction changes is looked up before anything of it is added. Where a new key of it splits a leaf, the leaves
/// behind that one move up: a version that went to where its key was before would be another key's, without a word. After an
/// open, which builds full leaves that nothing has changed yet, each of them looks like the one before.
#[test]
fn a_spot_that_is_kept_over_a_split_holds_no_more() {
    let keys: Vec<[u8; 2]> = (0..1000_u16).map(u16::to_be_bytes).collect();
    let newest = |main| Newest::put(Revision::start_of(main), 2, 1);
    let (mut builder, mut guesses) = (IndexBuilder::default(), Vec::new());
    builder.guess(keys.iter().map(|key| &key[..]), &mut guesses);
    for (key, guess) in keys.iter().zip(guesses) {
        builder.add(key, guess, newest(2)).unwrap();
    }
    let mut index = builder.finish();
    let spots: Vec<_> = keys.iter().map(|key| index.locate(key).1).collect();
    index.add(b"\0\0+", &newest(3), None);
    for (key, spot) in keys.iter().zip(&spots) {
        index.add(key, &newest(4), spot.as_ref());
        assert_eq!(index.newest(key), Some(newest(4)));
    }
    assert_eq!(index.versions(), 2 * keys.len() + 1);
    check_shape(&index);
}

/// Fifty thousand keys in order, in reverse and at random make branches split; taking them out makes them merge.
#[test]
fn branches_split_and_merge() {
    let orders: [fn(u32) -> u32; 3] = [|n| n, |n| u32::MAX - n, |n| n.wrapping_mul(2_654_435_761)];
    for order in orders {
        let mut index = KeyIndex::default();
        for number in 0..50_000 {
            index.add(&order(number).to_be_bytes(), &Newest::put(Revision::start_of(2), 2, 1), None);
        }
        check_shape(&index);
        assert!(index.root.len() > 5);
        for number in 0..49_990 {
            index.forget(&order(number).to_be_bytes(), Revision::start_of(2));
        }
        check_shape(&index);
        assert!(index.root.len() < 5, "{} branches for ten keys", index.root.len());
    }
}

/// A key costs its own bytes and 64 at most, and an older version 16: with a million keys of 64 bytes, for which
/// twenty thousand stand here.
#[test]
fn memory_stays_within_its_goal() {
    let mut index = KeyIndex::default();
    let keys = 20_000_u32;
    let key = |number: u32| format!("{:064}", number.wrapping_mul(2_654_435_761)).into_bytes();
    let newest = |round: u32| Newest::put(Revision::start_of(u64::from(round) + 2), 2, 1);
    for number in 0..keys {
        index.add(&key(number), &newest(0), None);
    }
    let a_key = index.heap_bytes() / keys as usize;
    assert!(a_key <= 64 + 64, "{a_key} bytes a key");
    for round in 1..20 {
        for number in 0..keys {
            index.add(&key(number), &newest(round), None);
        }
    }
    let in_all = index.heap_bytes() / keys as usize;
    assert!(in_all <= 64 + 64 + 19 * 16, "{in_all} bytes for a key with twenty versions");
}

/// The end of a range that has none, and of a prefix, are where a walk begins that goes down.
#[test]
fn walks_go_down_from_any_end() {
    let mut index = KeyIndex::default();
    for number in 0..1000_u32 {
        index.add(&number.to_be_bytes(), &Newest::put(Revision::start_of(2), 2, 1), None);
    }
    let prefix = KeyRange::prefix([0, 0, 1]);
    let found = walk(&index, &prefix, Direction::Descending, 2, 7);
    assert_eq!(found.len(), 256);
    assert_eq!(found[0].0, [0, 0, 1, 255]);
    assert_eq!(prefix_end(&[0, 0, 1]).as_deref(), Some(&[0, 0, 2][..]));
    let everything = walk(&index, &KeyRange::everything(), Direction::Descending, 2, 7);
    assert_eq!(everything.len(), 1000);
}
