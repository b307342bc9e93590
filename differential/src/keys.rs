//! The keys, values and ranges of workloads: few keys, so that they meet often, and the odd ones that break things.

use bytes::Bytes;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// At most twelve: up to there Go's sort leaves equal ones in their order, and a range that is sorted by something
/// else than its key has one right answer.
const PLAIN: &[&str] = &["a", "a/1", "a/2", "b", "b/1", "c", "c\0", "d", "e", "f"];

/// Around all others in order, and what looks like a range's end.
const ODD: &[&[u8]] = &[b"\0", b"\0\0", b"A", b"z", b"zz\xff", b"\xfe\xff", b"\xff", b"\xff\xff"];

/// Where everything of Kubernetes is.
pub(crate) const REGISTRY: &str = "/registry/";

const RESOURCES: &[&str] = &["pods/default/", "pods/kube-system/", "configmaps/default/"];

/// A key that may be there.
pub(crate) fn key(random: &mut StdRng) -> Bytes {
    match random.random_range(0..100) {
        0..85 => plain(random),
        85..93 => Bytes::from_static(ODD.choose(random).copied().unwrap_or(b"z")),
        93..98 => object(random),
        98 => Bytes::from_static(b"nobody"),
        _ => Bytes::new(),
    }
}

/// A key of the ordinary ones.
pub(crate) fn plain(random: &mut StdRng) -> Bytes {
    Bytes::from_static(PLAIN.choose(random).copied().unwrap_or("a").as_bytes())
}

/// The key of an object of Kubernetes.
pub(crate) fn object(random: &mut StdRng) -> Bytes {
    let name = random.random_range(0..8);
    format!("{}{name}", String::from_utf8_lossy(&resource(random))).into()
}

/// The prefix of a resource of Kubernetes.
pub(crate) fn resource(random: &mut StdRng) -> Bytes {
    format!("{REGISTRY}{}", RESOURCES.choose(random).copied().unwrap_or_default()).into()
}

/// A small value, now and then none, and now and then one that takes more than a byte to measure.
pub(crate) fn value(random: &mut StdRng) -> Bytes {
    match random.random_range(0..40) {
        0..2 => Bytes::new(),
        2 => vec![b'x'; 300].into(),
        3 => Bytes::from_static(b"\0\xff\x80"),
        number => format!("v{}", number % 12).into(),
    }
}

/// A key and a range's end of any kind.
pub(crate) fn range(random: &mut StdRng) -> (Bytes, Bytes) {
    match random.random_range(0..20) {
        0..7 => (key(random), Bytes::new()),
        7..10 => {
            let prefix = if random.random_bool(0.7) { plain(random) } else { resource(random) };
            (prefix.clone(), prefix_end(&prefix))
        }
        10..13 => ordered(key(random), key(random)),
        13..15 => (Bytes::from_static(b"\0"), Bytes::from_static(b"\0")),
        15..17 => (key(random), Bytes::from_static(b"\0")),
        // Any two: the end may be the key, or below it.
        _ => (key(random), key(random)),
    }
}

/// A range of ordinary keys, with no more of them than a sort keeps in order.
pub(crate) fn small_range(random: &mut StdRng) -> (Bytes, Bytes) {
    if random.random_bool(0.5) {
        return (Bytes::from_static(b"a"), Bytes::from_static(b"g"));
    }
    ordered(plain(random), plain(random))
}

fn ordered(one: Bytes, other: Bytes) -> (Bytes, Bytes) {
    if one < other { (one, other) } else { (other, one) }
}

/// The end of the range of a prefix.
pub(crate) fn prefix_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end.into();
        }
    }
    Bytes::from_static(b"\0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_nothing_can_begin_with_it() {
        assert_eq!(prefix_end(b"a"), "b");
        assert_eq!(prefix_end(b"a\xff"), "b");
        assert_eq!(prefix_end(b"\xff\xff"), "\0");
    }

    #[test]
    fn a_sorted_range_has_no_more_keys_than_a_sort_keeps_in_order() {
        assert!(PLAIN.len() <= 12);
        assert!(PLAIN.iter().all(|key| ("a".."g").contains(key)));
        let others =
            ODD.iter().copied().chain([REGISTRY.as_bytes(), b"flush", b"nobody", b"compact_rev_key"]);
        let inside = others.filter(|key| (&b"a"[..]..&b"g"[..]).contains(key)).count();
        assert!(PLAIN.len() + inside <= 12);
    }
}
