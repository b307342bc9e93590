//! What one user may read and write: the union of its roles' permissions, as sorted ranges, so that a check is one search.
//!
//! Roles `a` (`[k, m)`), `b` (`[m, p)`) and `c` (the key `x`) together are two ranges, `[k, p)` and `[x, x\0)`. A request for
//! `[l, n)` is inside of the first and permitted, though neither role permits it alone; a request for `[l, q)` is not. A
//! request with an open end is permitted only by a range with an open end.

use bytes::Bytes;
use watchful_wire::authpb::permission::Type;
use watchful_wire::authpb::{Permission, Role};

/// What one user may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Permissions {
    pub(super) read: Ranges,
    pub(super) write: Ranges,
}

/// Ranges of keys: in order, and neither overlapping nor touching each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<Range>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    start: Bytes,
    end: End,
}

/// Where a range ends. An open end is behind every other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Before(Bytes),
    Open,
}

impl Permissions {
    pub(super) fn of<'r>(roles: impl Iterator<Item = &'r Role>) -> Self {
        let (mut read, mut write) = (Vec::new(), Vec::new());
        for permission in roles.flat_map(|role| &role.key_permission) {
            let (Ok(kind), Some(range)) = (Type::try_from(permission.perm_type), Range::granted(permission))
            else {
                continue;
            };
            if kind != Type::Write {
                read.push(range.clone());
            }
            if kind != Type::Read {
                write.push(range);
            }
        }
        Self { read: Ranges::merged(read), write: Ranges::merged(write) }
    }
}

impl Ranges {
    fn merged(mut ranges: Vec<Range>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<Range> = Vec::new();
        for range in ranges {
            match merged.last_mut() {
                Some(last) if last.end.reaches(&range.start) => {
                    if range.end > last.end {
                        last.end = range.end;
                    }
                }
                _ => merged.push(range),
            }
        }
        Self(merged)
    }

    /// Whether all that a request names is in here: one key where `range_end` is empty, every key from `key` on where it
    /// is `\0`. A range that ends before it starts has no keys, and is permitted where the keys around it are.
    pub(super) fn cover(&self, key: &[u8], range_end: &[u8]) -> bool {
        let before = self.0.partition_point(|range| range.start <= key);
        let Some(range) = before.checked_sub(1).and_then(|at| self.0.get(at)) else { return false };
        range.end.is_behind(key)
            && match range_end {
                [] => true,
                [0] => range.end == End::Open,
                range_end => range.start < range_end && !range.end.is_before(range_end),
            }
    }
}

impl Range {
    /// The range of a permission; none where it has no key.
    fn granted(permission: &Permission) -> Option<Self> {
        let start = permission.key.clone();
        let end = match &*permission.range_end {
            [] => End::Before([&*start, &[0]].concat().into()),
            [0] => End::Open,
            _ => End::Before(permission.range_end.clone()),
        };
        (!start.is_empty() && end.is_behind(&start)).then_some(Self { start, end })
    }
}

impl End {
    /// Whether a range that ends here has `key`, given that it starts at or before it.
    fn is_behind(&self, key: &[u8]) -> bool {
        match self {
            Self::Before(end) => *end > key,
            Self::Open => true,
        }
    }

    fn is_before(&self, end: &[u8]) -> bool {
        match self {
            Self::Before(own) => *own < end,
            Self::Open => false,
        }
    }

    /// Whether a range that starts at `start` overlaps or follows at once.
    fn reaches(&self, start: &[u8]) -> bool {
        !self.is_before(start)
    }
}

/// Whether a permission for this can be granted.
pub(super) fn is_range(key: &[u8], range_end: &[u8]) -> bool {
    !key.is_empty() && (range_end.is_empty() || range_end == [0] || key < range_end)
}

#[cfg(test)]
mod tests;
