//! Which keys are meant: one, a range, a prefix, or all from one on.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use clap::Args;

/// A key, or a range of them.
#[derive(Args, Clone, Debug)]
pub(crate) struct RangeArgs {
    /// The key, or the first one of a range
    #[arg(value_name = "KEY", allow_negative_numbers = true)]
    key: OsString,
    /// The first key that is not meant any more
    #[arg(value_name = "RANGE_END", allow_negative_numbers = true)]
    range_end: Option<OsString>,
    /// All keys that begin with KEY; with an empty one, all there are
    #[arg(long, conflicts_with_all = ["range_end", "from_key"])]
    prefix: bool,
    /// KEY and all keys behind it
    #[arg(long, conflicts_with = "range_end")]
    from_key: bool,
}

/// The two fields of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) key: Vec<u8>,
    /// Empty for one key.
    pub(crate) range_end: Vec<u8>,
}

/// As a `range_end`: no end. As a key: the first there can be.
const ZERO: &[u8] = b"\0";

impl RangeArgs {
    pub(crate) fn range(self) -> Range {
        let key = self.key.into_vec();
        match self.range_end {
            Some(end) => Range { key, range_end: end.into_vec() },
            None if self.prefix => Range::prefix(key),
            None if self.from_key => Range::from_key(key),
            None => Range { key, range_end: Vec::new() },
        }
    }
}

impl Range {
    pub(crate) fn prefix(key: Vec<u8>) -> Self {
        match watchful_revision::prefix_end(&key) {
            Some(range_end) => Self { key, range_end },
            None => Self::from_key(key),
        }
    }

    pub(crate) fn from_key(key: Vec<u8>) -> Self {
        let key = if key.is_empty() { ZERO.to_vec() } else { key };
        Self { key, range_end: ZERO.to_vec() }
    }
}

/// Keys as people say them; each key as `shown` shows it.
pub(crate) fn range_shown(key: &[u8], range_end: &[u8], shown: impl Fn(&[u8]) -> String) -> String {
    match (key, range_end) {
        (_, b"") => shown(key),
        (ZERO, ZERO) => "everything".to_owned(),
        (_, ZERO) => format!("{} and all behind", shown(key)),
        _ if watchful_revision::prefix_end(key).is_some_and(|end| end == range_end) => {
            format!("{}*", shown(key))
        }
        _ => format!("{} up to {}", shown(key), shown(range_end)),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        range: RangeArgs,
    }

    fn check(words: &[&str], key: &[u8], range_end: &[u8]) {
        let line = Line::try_parse_from(std::iter::once(&"x").chain(words)).unwrap();
        assert_eq!(line.range.range(), Range { key: key.to_vec(), range_end: range_end.to_vec() });
    }

    #[test]
    fn ranges_as_etcd_writes_them() {
        check(&["a"], b"a", b"");
        check(&["-5"], b"-5", b"");
        check(&["a", "c"], b"a", b"c");
        check(&["ab", "--prefix"], b"ab", b"ac");
        check(&["", "--prefix"], b"\0", b"\0");
        check(&["b", "--from-key"], b"b", b"\0");
        check(&["", "--from-key"], b"\0", b"\0");
    }

    #[test]
    fn a_prefix_of_the_highest_bytes_has_no_end() {
        assert_eq!(Range::prefix(vec![0xff]), Range { key: vec![0xff], range_end: vec![0] });
    }
}
