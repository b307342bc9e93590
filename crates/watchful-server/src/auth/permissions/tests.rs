//! The search against a twin that looks at the permissions one by one, and the cases that have a story.

use proptest::prelude::*;

use super::*;

fn permission(kind: Type, key: &[u8], range_end: &[u8]) -> Permission {
    let (key, range_end) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(range_end));
    Permission { perm_type: kind.into(), key, range_end }
}

fn readable(ranges: &[(&str, &str)]) -> Ranges {
    let each = ranges.iter().map(|(key, end)| permission(Type::Read, key.as_bytes(), end.as_bytes()));
    let role = Role { name: "r".into(), key_permission: each.collect() };
    Permissions::of([&role].into_iter()).read
}

#[track_caller]
fn check(granted: &[(&str, &str)], asked: (&str, &str), expected: bool) {
    let covered = readable(granted).cover(asked.0.as_bytes(), asked.1.as_bytes());
    assert_eq!(covered, expected, "{granted:?} for {asked:?}");
}

#[test]
fn one_key_permits_itself_and_nothing_beside_it() {
    check(&[("k", "")], ("k", ""), true);
    check(&[("k", "")], ("k", "k\0"), true);
    check(&[("k", "")], ("k", "l"), false);
    check(&[("k", "")], ("k\0", ""), false);
    check(&[("k", "")], ("j", ""), false);
    check(&[], ("k", ""), false);
}

#[test]
fn ranges_that_touch_permit_what_spans_them() {
    check(&[("k", "m"), ("m", "p")], ("l", "n"), true);
    check(&[("k", "m"), ("m\0", "p")], ("l", "n"), false);
    check(&[("k", "m"), ("m\0", "p"), ("m", "")], ("l", "n"), true);
    check(&[("k", "z"), ("l", "m")], ("l", "y"), true);
}

#[test]
fn an_open_end_needs_an_open_end() {
    check(&[("k", "\0")], ("k", "\0"), true);
    check(&[("k", "\0")], ("l", "z"), true);
    check(&[("k", "\0")], ("a", "\0"), false);
    check(&[("k", "\u{10ffff}")], ("k", "\0"), false);
    check(&[("\0", "\0")], ("\0", "\0"), true);
    check(&[("\0", "m"), ("m", "\0")], ("\0", "\0"), true);
    check(&[("\0", "m"), ("n", "\0")], ("\0", "\0"), false);
}

#[test]
fn a_range_without_keys_is_permitted_where_the_keys_around_it_are() {
    check(&[("a", "m")], ("c", "b"), true);
    check(&[("a", "m")], ("c", "c"), true);
    check(&[("b", "m")], ("c", "a"), false);
    check(&[("a", "m")], ("x", "b"), false);
}

/// What another program may have kept: nothing can be done with these, and nothing is opened by them.
#[test]
fn a_permission_without_keys_permits_nothing() {
    check(&[("", "\0")], ("a", ""), false);
    check(&[("z", "a")], ("m", ""), false);
    check(&[("m", "m")], ("m", ""), false);
}

#[test]
fn reading_and_writing_are_apart() {
    let each = [(Type::Read, "r"), (Type::Write, "w"), (Type::Readwrite, "x")];
    let each = each.map(|(kind, key)| permission(kind, key.as_bytes(), b""));
    let unknown = Permission { perm_type: 7, ..permission(Type::Read, b"u", b"") };
    let role = Role { name: "r".into(), key_permission: each.into_iter().chain([unknown]).collect() };
    let permissions = Permissions::of([&role].into_iter());
    let can = |ranges: &Ranges| ["r", "w", "x", "u"].map(|key| ranges.cover(key.as_bytes(), b""));
    assert_eq!(can(&permissions.read), [true, false, true, false]);
    assert_eq!(can(&permissions.write), [false, true, true, false]);
}

/// Few letters, so that ranges touch and overlap all the time.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0_u8..4, 1..4)
}

fn end() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(vec![]), Just(vec![0]), key()]
}

fn has(granted: &(Vec<u8>, Vec<u8>), key: &[u8]) -> bool {
    let (start, end) = granted;
    match &end[..] {
        [] => start == key,
        [0] => &start[..] <= key,
        end => &start[..] <= key && key < end,
    }
}

/// Whether any permission has the key, for each key where that can change: the first, and those where a permission ends.
fn covered(granted: &[(Vec<u8>, Vec<u8>)], key: &[u8], range_end: &[u8]) -> bool {
    let ends = granted.iter().map(|(start, end)| match &end[..] {
        [] => [&start[..], &[0]].concat(),
        end => end.to_vec(),
    });
    let in_range = |at: &Vec<u8>| {
        &at[..] >= key
            && match range_end {
                [] => at == key,
                [0] => true,
                end => &at[..] < end,
            }
    };
    let critical = ends.chain([key.to_vec()]).filter(in_range);
    let is_open = |granted: &(Vec<u8>, Vec<u8>)| granted.1 == [0];
    (range_end != [0] || granted.iter().any(is_open))
        && critical.into_iter().all(|at| granted.iter().any(|granted| has(granted, &at)))
}

proptest! {
    #[test]
    fn the_search_finds_what_looking_at_each_finds(
        granted in prop::collection::vec((key(), end()), 0..8),
        key in key(),
        range_end in end(),
    ) {
        let each = granted.iter().map(|(key, end)| permission(Type::Readwrite, key, end));
        let role = Role { name: "r".into(), key_permission: each.collect() };
        let permissions = Permissions::of([&role].into_iter());
        prop_assume!(range_end.is_empty() || range_end == [0] || key < range_end);
        prop_assert_eq!(permissions.read.cover(&key, &range_end), covered(&granted, &key, &range_end));
        prop_assert_eq!(permissions.write, permissions.read);
    }
}
