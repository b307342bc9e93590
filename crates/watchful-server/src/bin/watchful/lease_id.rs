//! Leases by their ids, in hexadecimal as etcdctl writes them.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A lease's id. As JSON it is a string: not every reader's numbers hold 63 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseId(pub(crate) i64);

impl FromStr for LeaseId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let id = i64::from_str_radix(text, 16).ok().filter(|&id| id >= 0);
        id.map(Self).ok_or_else(|| "a lease's id is hexadecimal, as in 694d77aa9e38260f".to_owned())
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for LeaseId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_hexadecimal() {
        let check = |text: &str, id: Option<i64>| assert_eq!(text.parse::<LeaseId>().ok(), id.map(LeaseId));
        check("10", Some(16));
        check("694d77aa9e38260f", Some(0x694d_77aa_9e38_260f));
        check("", None);
        check("-1", None);
        check("x", None);
        check("ffffffffffffffff", None);
        assert_eq!(LeaseId(0x2f).to_string(), "000000000000002f");
    }
}
