//! The groups of one range: nearly always one, so one costs no allocation.

use crate::GroupId;

/// A non-empty set of groups.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Postings {
    One(GroupId),
    /// Two or more.
    #[expect(clippy::box_collection, reason = "boxed twice so that the usual case takes 16 bytes, not 24")]
    Many(Box<Vec<GroupId>>),
}

/// What became of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    Absent,
    Removed,
    /// It was the last group: the postings must go, for they cannot be empty.
    Last,
}

impl Postings {
    /// Adds a group; false if it was there already.
    pub(crate) fn insert(&mut self, group: GroupId) -> bool {
        match self {
            Self::One(own) if *own == group => false,
            Self::One(own) => {
                *self = Self::Many(Box::new(vec![*own, group]));
                true
            }
            Self::Many(groups) => insert_into(groups, group),
        }
    }

    pub(crate) fn remove(&mut self, group: GroupId) -> Removal {
        match self {
            Self::One(own) if *own == group => Removal::Last,
            Self::One(_) => Removal::Absent,
            Self::Many(groups) => {
                let removed = remove_from(groups, group);
                if let [last] = groups[..] {
                    *self = Self::One(last);
                }
                if removed { Removal::Removed } else { Removal::Absent }
            }
        }
    }

    pub(crate) fn as_slice(&self) -> &[GroupId] {
        match self {
            Self::One(group) => std::slice::from_ref(group),
            Self::Many(groups) => groups,
        }
    }

    /// What the postings take beside their own 16 bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Many(groups) => size_of::<Vec<GroupId>>() + groups.capacity() * size_of::<GroupId>(),
        }
    }
}

/// Adds a group to a list; false if it was there already. Linear: the lists are short by nature (one range, watched
/// with different filters or options).
pub(crate) fn insert_into(groups: &mut Vec<GroupId>, group: GroupId) -> bool {
    let absent = !groups.contains(&group);
    if absent {
        groups.push(group);
    }
    absent
}

/// Removes a group from a list; false if it was not there.
pub(crate) fn remove_from(groups: &mut Vec<GroupId>, group: GroupId) -> bool {
    let place = groups.iter().position(|own| *own == group);
    place.map(|place| groups.swap_remove(place)).is_some()
}
