//! Key ranges against a naive description: the list of keys they hold, of all keys up to four bytes of a tiny alphabet.
//!
//! Ranges are made of keys of up to two bytes. Two more bytes, and the successors of all bytes (which are where prefixes
//! end), are enough to tell any two such ranges apart.

use std::cmp::Ordering;
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use watchful_revision::{EmptyRange, KeyRange, RangeShape, prefix_end};

/// What ranges are made of: the least byte and its successor, one between with its successor, the greatest.
const BYTES: [u8; 5] = [0x00, 0x01, b'a', b'b', 0xff];

/// What keys are made of: those and their successors.
const KEY_BYTES: [u8; 7] = [0x00, 0x01, 0x02, b'a', b'b', b'c', 0xff];

/// Every key, in order.
static KEYS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut keys = vec![Vec::new()];
    let mut from = 0;
    for _ in 0..4 {
        let longer: Vec<_> =
            keys[from..].iter().flat_map(|key| KEY_BYTES.map(|byte| [&key[..], &[byte]].concat())).collect();
        from = keys.len();
        keys.extend(longer);
    }
    keys.sort();
    keys
});

/// What a range was asked for, and which keys that means, in the plainest words.
#[derive(Clone, Debug)]
enum Asked {
    Key(Vec<u8>),
    Prefix(Vec<u8>),
    Between(Vec<u8>, Vec<u8>),
    From(Vec<u8>),
    Etcd(Vec<u8>, Vec<u8>),
}

impl Asked {
    fn make(&self) -> Result<KeyRange, EmptyRange> {
        match self {
            Self::Key(key) => Ok(KeyRange::key(key)),
            Self::Prefix(prefix) => Ok(KeyRange::prefix(prefix)),
            Self::Between(start, end) => KeyRange::between(start, end),
            Self::From(start) => Ok(KeyRange::from_key(start)),
            Self::Etcd(key, range_end) => KeyRange::from_etcd(key, range_end),
        }
    }

    fn means(&self, key: &[u8]) -> bool {
        match self {
            Self::Key(own) => key == own,
            Self::Prefix(prefix) => key.iter().take(prefix.len()).eq(prefix),
            Self::Between(start, end) => key >= &start[..] && key < &end[..],
            Self::From(start) => key >= &start[..],
            Self::Etcd(own, range_end) => means_etcd(own, range_end, key),
        }
    }

    fn keys(&self) -> Vec<&'static [u8]> {
        KEYS.iter().map(Vec::as_slice).filter(|key| self.means(key)).collect()
    }
}

/// As `etcdserverpb.RangeRequest` describes the pair.
fn means_etcd(own: &[u8], range_end: &[u8], key: &[u8]) -> bool {
    if range_end.is_empty() {
        key == own
    } else if range_end == [0] {
        own == [0] || key >= own
    } else {
        key >= own && key < range_end
    }
}

fn arb_key() -> impl Strategy<Value = Vec<u8>> {
    vec(proptest::sample::select(&BYTES[..]), 0..=2)
}

fn arb_asked() -> impl Strategy<Value = Asked> {
    prop_oneof![
        arb_key().prop_map(Asked::Key),
        arb_key().prop_map(Asked::Prefix),
        (arb_key(), arb_key()).prop_map(|(start, end)| Asked::Between(start, end)),
        // The ends that other shapes have: of a key, and of a prefix.
        arb_key().prop_map(|key| Asked::Between(key.clone(), [&key[..], &[0]].concat())),
        arb_key()
            .prop_filter_map("it has an end", |key| Some(Asked::Between(key.clone(), prefix_end(&key)?))),
        arb_key().prop_map(Asked::From),
        (arb_key(), arb_key()).prop_map(|(key, range_end)| Asked::Etcd(key, range_end)),
        arb_key().prop_map(|key| Asked::Etcd(key, vec![0])),
    ]
}

fn arb_range() -> impl Strategy<Value = (Asked, KeyRange)> {
    arb_asked().prop_filter_map("it holds a key", |asked| asked.make().ok().map(|range| (asked, range)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 1_500 }))]

    #[test]
    fn a_range_holds_what_was_asked_for(asked in arb_asked()) {
        let keys = asked.keys();
        prop_assert_eq!(asked.make().is_err(), keys.is_empty(), "only a range without keys is refused");
        if let Ok(range) = asked.make() {
            let held: Vec<_> = KEYS.iter().map(Vec::as_slice).filter(|key| range.contains(key)).collect();
            prop_assert_eq!(held, keys);
        }
    }

    #[test]
    fn equal_ranges_are_those_of_the_same_keys((asked, a) in arb_range(), (other, b) in arb_range()) {
        let same = asked.keys() == other.keys();
        prop_assert_eq!(a == b, same, "{} and {}", a, b);
        prop_assert_eq!(a.shape() == b.shape(), same);
    }

    #[test]
    fn overlapping_ranges_share_a_key((asked, a) in arb_range(), (other, b) in arb_range()) {
        let shared = KEYS.iter().any(|key| asked.means(key) && other.means(key));
        prop_assert_eq!(a.overlaps(&b), shared, "{} and {}", a, b);
        prop_assert_eq!(b.overlaps(&a), shared);
    }

    #[test]
    fn a_range_lies_before_a_key_or_after_it((asked, range) in arb_range(), key in arb_key()) {
        let keys = asked.keys();
        let expected = if keys.contains(&&key[..]) {
            Ordering::Equal
        } else if keys.iter().all(|held| *held < &key[..]) {
            Ordering::Less
        } else {
            Ordering::Greater
        };
        prop_assert_eq!(range.cmp_key(&key), expected, "{} and {:?}", range, key);
    }

    #[test]
    fn start_and_end_describe_the_range((asked, range) in arb_range()) {
        let keys = asked.keys();
        prop_assert_eq!(Some(&range.start()), keys.first());
        let end = range.end();
        let in_ends = |key: &&[u8]| *key >= range.start() && end.as_deref().is_none_or(|end| *key < end);
        let described: Vec<_> = KEYS.iter().map(Vec::as_slice).filter(in_ends).collect();
        prop_assert_eq!(described, keys);
    }

    #[test]
    fn shared_bytes_are_the_key_or_the_prefix((_, range) in arb_range()) {
        let expected = match range.shape() {
            RangeShape::Key(bytes) | RangeShape::Prefix(bytes) => Some(bytes),
            RangeShape::Between(..) | RangeShape::From(_) => None,
        };
        let shared = range.shared_bytes();
        prop_assert_eq!(shared.as_deref(), expected);
    }

    #[test]
    fn prefix_end_is_the_first_key_after_the_prefix(prefix in arb_key()) {
        let last = KEYS.iter().rfind(|key| key.starts_with(&prefix)).unwrap();
        match prefix_end(&prefix) {
            // No key of the prefix is at the end or after it, and none without the prefix lies before it.
            Some(end) => {
                prop_assert!(last < &end);
                prop_assert!(KEYS.iter().all(|key| (&prefix <= key && key < &end) == key.starts_with(&prefix)));
            }
            None => prop_assert!(KEYS.iter().all(|key| key < &prefix || key.starts_with(&prefix))),
        }
    }
}
