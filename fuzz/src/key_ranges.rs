//! Key ranges against what their two ends say: which keys they hold, that equal sets are equal, and revisions' bytes.

use std::cmp::Ordering;

use arbitrary::{Arbitrary, Unstructured};
use watchful_revision::{KeyRange, Revision, prefix_end};

#[derive(Arbitrary, Debug)]
struct Case {
    first: Made,
    second: Made,
    keys: Vec<Vec<u8>>,
    revisions: ((u64, u32), (u64, u32)),
}

/// How a range is made.
#[derive(Arbitrary, Debug)]
enum Made {
    Key(Vec<u8>),
    Prefix(Vec<u8>),
    Between(Vec<u8>, Vec<u8>),
    FromKey(Vec<u8>),
    Etcd(Vec<u8>, Vec<u8>),
}

/// A set of keys, from the first on and before the second, where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ends(Vec<u8>, Option<Vec<u8>>);

pub(crate) fn run(input: &[u8]) {
    let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(input)) else { return };
    check_revisions(case.revisions);
    let ranges = [&case.first, &case.second].map(|made| (range(made), ends(made)));
    let mut keys = case.keys;
    for (range, ends) in &ranges {
        assert_eq!(range.is_some(), ends.is_some(), "{range:?} is {ends:?}");
        let Some(Ends(start, end)) = ends else { continue };
        let neighbours = [Some(start), end.as_ref()].into_iter().flatten();
        keys.extend(neighbours.flat_map(|key| [key.clone(), [key, &[0][..]].concat(), before(key)]));
    }
    for (range, ends) in ranges.iter().filter_map(|(range, ends)| Some((range.as_ref()?, ends.as_ref()?))) {
        assert_eq!((range.start(), range.end()), (&ends.0[..], ends.1.clone()));
        keys.iter().for_each(|key| check_key(range, ends, key));
    }
    let [(Some(first), Some(first_ends)), (Some(second), Some(second_ends))] = ranges else { return };
    assert_eq!(first == second, first_ends == second_ends, "{first} and {second} are one, or they are not");
    assert_eq!(first.overlaps(&second), overlap(&first_ends, &second_ends), "{first} overlaps {second}");
    assert_eq!(second.overlaps(&first), overlap(&first_ends, &second_ends), "{second} overlaps {first}");
}

fn range(made: &Made) -> Option<KeyRange> {
    match made {
        Made::Key(key) => Some(KeyRange::key(key)),
        Made::Prefix(prefix) => Some(KeyRange::prefix(prefix)),
        Made::Between(start, end) => KeyRange::between(start, end).ok(),
        Made::FromKey(start) => Some(KeyRange::from_key(start)),
        Made::Etcd(key, range_end) => KeyRange::from_etcd(key, range_end).ok(),
    }
}

fn ends(made: &Made) -> Option<Ends> {
    let (start, end) = match made {
        Made::Key(key) => (key, Some(after(key))),
        Made::Prefix(prefix) => (prefix, prefix_end(prefix)),
        Made::Between(start, end) => (start, Some(end.clone())),
        Made::FromKey(start) => (start, None),
        Made::Etcd(key, range_end) => match (&key[..], &range_end[..]) {
            (_, b"") => (key, Some(after(key))),
            (b"\0", b"\0") => return Some(Ends(Vec::new(), None)),
            (_, b"\0") => (key, None),
            _ => (key, Some(range_end.clone())),
        },
    };
    let holds_one = end.as_ref().is_none_or(|end| start < end);
    holds_one.then(|| Ends(start.clone(), end))
}

fn after(key: &[u8]) -> Vec<u8> {
    [key, b"\0"].concat()
}

/// A key a little before this one.
fn before(key: &[u8]) -> Vec<u8> {
    key.split_last().map_or(Vec::new(), |(last, rest)| match last.checked_sub(1) {
        Some(less) => [rest, &[less, 0xff]].concat(),
        None => rest.to_vec(),
    })
}

fn check_key(range: &KeyRange, Ends(start, end): &Ends, key: &[u8]) {
    let order = if key < &start[..] {
        Ordering::Greater
    } else if end.as_ref().is_some_and(|end| key >= &end[..]) {
        Ordering::Less
    } else {
        Ordering::Equal
    };
    assert_eq!(range.cmp_key(key), order, "{range} to {}", key.escape_ascii());
    assert_eq!(range.contains(key), order == Ordering::Equal, "{range} holds {}", key.escape_ascii());
}

fn overlap(Ends(a, a_end): &Ends, Ends(b, b_end): &Ends) -> bool {
    a_end.as_ref().is_none_or(|end| b < end) && b_end.as_ref().is_none_or(|end| a < end)
}

/// Bytes sort as revisions do.
fn check_revisions((a, b): ((u64, u32), (u64, u32))) {
    let (a, b) = (Revision::new(a.0, a.1), Revision::new(b.0, b.1));
    assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
    assert_eq!(Revision::from_bytes(&a.to_bytes()).unwrap(), a);
}
