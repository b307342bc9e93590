//! Which keys are meant: one key, a prefix, a half-open range, everything from a key on.
//!
//! A range is kept in one canonical form, so that watchers of the same keys can be recognised by `==`, and it is small
//! (24 bytes and its key) and cheap to clone, because a million watchers each have one.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// A non-empty set of neighbouring keys.
///
/// ```
/// use watchful_revision::KeyRange;
/// let apps = KeyRange::prefix(b"/app/");
/// assert!(apps.contains(b"/app/web") && !apps.contains(b"/apq"));
/// assert_eq!(apps, KeyRange::between(b"/app/", b"/app0")?);
/// assert!(KeyRange::between(b"b", b"a").is_err());
/// # Ok::<(), watchful_revision::EmptyRange>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyRange(Repr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Key(Arc<[u8]>),
    /// Never empty and never all 0xff: those have no end and are `From`.
    Prefix(Arc<[u8]>),
    Between(Arc<Ends>),
    From(Arc<[u8]>),
}

#[derive(PartialEq, Eq, Hash)]
struct Ends {
    start: Box<[u8]>,
    end: Box<[u8]>,
}

/// What a [`KeyRange`] looks like, for code that treats the shapes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeShape<'a> {
    /// This key alone.
    Key(&'a [u8]),
    /// Every key that begins with these bytes (which are not empty, and have an end: see [`prefix_end`]).
    Prefix(&'a [u8]),
    /// Every key from the first on, and before the second.
    Between(&'a [u8], &'a [u8]),
    /// Every key from this one on.
    From(&'a [u8]),
}

/// A range was asked for that holds no key, because its start is not below its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key range is empty: its start is not below its end")]
pub struct EmptyRange;

impl KeyRange {
    /// One key.
    #[must_use]
    pub fn key(key: impl AsRef<[u8]>) -> Self {
        Self(Repr::Key(key.as_ref().into()))
    }

    /// Every key that begins with `prefix`; an empty prefix means every key.
    #[must_use]
    pub fn prefix(prefix: impl AsRef<[u8]>) -> Self {
        let prefix = prefix.as_ref();
        match prefix_end(prefix) {
            Some(_) => Self(Repr::Prefix(prefix.into())),
            None => Self::from_key(prefix),
        }
    }

    /// Every key from `start` on, and before `end`.
    ///
    /// # Errors
    ///
    /// [`EmptyRange`] when `start` is not below `end`.
    pub fn between(start: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> Result<Self, EmptyRange> {
        let (start, end) = (start.as_ref(), end.as_ref());
        if start >= end {
            return Err(EmptyRange);
        }
        if is_key_end(start, end) {
            return Ok(Self::key(start));
        }
        if prefix_end(start).is_some_and(|successor| successor == end) {
            return Ok(Self(Repr::Prefix(start.into())));
        }
        Ok(Self(Repr::Between(Arc::new(Ends { start: start.into(), end: end.into() }))))
    }

    /// Every key from `start` on.
    #[must_use]
    pub fn from_key(start: impl AsRef<[u8]>) -> Self {
        Self(Repr::From(start.as_ref().into()))
    }

    /// Every key.
    #[must_use]
    pub fn everything() -> Self {
        Self::from_key(b"")
    }

    /// The range that etcd's pair of `key` and `range_end` means: no end is one key, the end `\0` is every key from
    /// `key` on, and `\0` to `\0` is every key.
    ///
    /// # Errors
    ///
    /// [`EmptyRange`] when the pair holds no key.
    pub fn from_etcd(key: &[u8], range_end: &[u8]) -> Result<Self, EmptyRange> {
        match (key, range_end) {
            (_, b"") => Ok(Self::key(key)),
            (b"\0", b"\0") => Ok(Self::everything()),
            (_, b"\0") => Ok(Self::from_key(key)),
            _ => Self::between(key, range_end),
        }
    }

    /// The range's shape.
    #[must_use]
    pub fn shape(&self) -> RangeShape<'_> {
        match &self.0 {
            Repr::Key(key) => RangeShape::Key(key),
            Repr::Prefix(prefix) => RangeShape::Prefix(prefix),
            Repr::Between(ends) => RangeShape::Between(&ends.start, &ends.end),
            Repr::From(start) => RangeShape::From(start),
        }
    }

    /// The shared bytes of a single key or a prefix, so that an index can keep the key without a copy of its own.
    #[must_use]
    pub fn shared_bytes(&self) -> Option<Arc<[u8]>> {
        match &self.0 {
            Repr::Key(bytes) | Repr::Prefix(bytes) => Some(Arc::clone(bytes)),
            Repr::Between(_) | Repr::From(_) => None,
        }
    }

    /// The first key the range can hold.
    #[must_use]
    pub fn start(&self) -> &[u8] {
        match self.shape() {
            RangeShape::Key(start)
            | RangeShape::Prefix(start)
            | RangeShape::Between(start, _)
            | RangeShape::From(start) => start,
        }
    }

    /// The first key after the range; none when the range has no end. Allocates for keys and prefixes.
    #[must_use]
    pub fn end(&self) -> Option<Vec<u8>> {
        match self.shape() {
            RangeShape::Key(key) => Some([key, b"\0"].concat()),
            RangeShape::Prefix(prefix) => prefix_end(prefix),
            RangeShape::Between(_, end) => Some(end.to_vec()),
            RangeShape::From(_) => None,
        }
    }

    /// Whether the range holds `key`. Allocates nothing.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        match self.shape() {
            RangeShape::Key(own) => own == key,
            RangeShape::Prefix(prefix) => key.starts_with(prefix),
            RangeShape::Between(start, end) => start <= key && key < end,
            RangeShape::From(start) => start <= key,
        }
    }

    /// Whether the whole range lies before `key`, holds it, or lies after it. Allocates nothing.
    #[must_use]
    pub fn cmp_key(&self, key: &[u8]) -> Ordering {
        if self.contains(key) {
            Ordering::Equal
        } else if key < self.start() {
            Ordering::Greater
        } else {
            Ordering::Less
        }
    }

    /// Whether the two ranges share a key.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let starts_before_end_of = |a: &Self, b: &Self| b.end().is_none_or(|end| a.start() < end.as_slice());
        starts_before_end_of(self, other) && starts_before_end_of(other, self)
    }
}

impl fmt::Debug for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// For people: `key`, `prefix*`, `[start, end)`, `[start, …)`, with bytes that are not text escaped.
impl fmt::Display for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shape() {
            RangeShape::Key(key) => write!(f, "{}", key.escape_ascii()),
            RangeShape::Prefix(prefix) => write!(f, "{}*", prefix.escape_ascii()),
            RangeShape::Between(start, end) => {
                write!(f, "[{}, {})", start.escape_ascii(), end.escape_ascii())
            }
            RangeShape::From(b"") => write!(f, "*"),
            RangeShape::From(start) => write!(f, "[{}, …)", start.escape_ascii()),
        }
    }
}

/// The first key after every key that begins with `prefix`; none when there is no such key, which is so for the empty
/// prefix and for one of 0xff bytes alone.
///
/// ```
/// use watchful_revision::prefix_end;
/// assert_eq!(prefix_end(b"ab").as_deref(), Some(&b"ac"[..]));
/// assert_eq!(prefix_end(b"a\xff").as_deref(), Some(&b"b"[..]));
/// assert_eq!(prefix_end(b"\xff"), None);
/// ```
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

fn is_key_end(start: &[u8], end: &[u8]) -> bool {
    end.split_last().is_some_and(|(last, rest)| *last == 0 && rest == start)
}
