//! Where a watch is: the first revision that is still owed, and how much of it has been told.
//!
//! A revision that comes in fragments may be cut by a broken connection. Say that revision 7 has five changes and three
//! were told: the next stream begins with 7 again, and its first three are passed over.

/// Where a watch is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The first revision that is still owed. 0 until the server says where "now" is.
    revision: i64,
    /// How many of its changes have been told.
    told: usize,
    /// How many of its changes this stream has given.
    given: usize,
}

impl Position {
    pub(crate) fn new(start_revision: i64) -> Self {
        Self { revision: start_revision, told: 0, given: 0 }
    }

    pub(crate) fn next_revision(&self) -> i64 {
        self.revision
    }

    /// A new stream: where it has to begin.
    pub(crate) fn begin(&mut self) -> i64 {
        self.given = 0;
        self.revision
    }

    /// The server, at `revision`, has taken the watch.
    pub(crate) fn created(&mut self, revision: i64) {
        if self.revision == 0 {
            self.revision = revision + 1;
        }
    }

    /// A change of `revision` was given: whether it is to be told.
    pub(crate) fn take(&mut self, revision: i64) -> bool {
        if revision < self.revision {
            return false;
        }
        if revision > self.revision {
            *self = Self::new(revision);
        }
        self.given += 1;
        let is_new = self.given > self.told;
        self.told = self.told.max(self.given);
        is_new
    }

    /// The revision that was given last is whole.
    pub(crate) fn whole(&mut self) {
        if self.given > 0 {
            *self = Self::new(self.revision + 1);
        }
    }

    /// Everything up to `revision` has been given.
    pub(crate) fn progress(&mut self, revision: i64) {
        if revision >= self.revision && self.revision != 0 {
            *self = Self::new(revision + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each word is a step; what was told comes out. `7` is a change of revision 7, `.` the end of a response that is no
    /// fragment, `|` a broken connection, `+9` progress, `@5` created by a server at 5.
    fn check(start: i64, steps: &str, told: &str, next: i64) {
        let mut position = Position::new(start);
        let mut found = Vec::new();
        for step in steps.split_whitespace() {
            match step.split_at(1) {
                (".", _) => position.whole(),
                ("|", _) => assert_eq!(position.begin(), position.next_revision()),
                ("+", revision) => position.progress(revision.parse().unwrap()),
                ("@", revision) => position.created(revision.parse().unwrap()),
                _ if position.take(step.parse().unwrap()) => found.push(step),
                _ => {}
            }
        }
        assert_eq!((found.join(" ").as_str(), position.next_revision()), (told, next), "{steps}");
    }

    #[test]
    fn it_goes_on_behind_what_was_told() {
        check(0, "@5", "", 6);
        check(0, "@5 6 7 7 .", "6 7 7", 8);
        check(3, "@5 3 .", "3", 4);
        check(0, "@5 +9", "", 10);
        check(20, "@5 +9", "", 20);
    }

    #[test]
    fn a_revision_that_was_cut_is_told_once() {
        check(3, "@5 7 7 | @8 7 7 7 8 .", "7 7 7 8", 9);
        check(3, "@5 7 7 | @8 7 | @8 7 7 7 .", "7 7 7", 8);
        check(3, "@5 7 7 . | @8 8 .", "7 7 8", 9);
        check(3, "@5 7 7 | @8 9 .", "7 7 9", 10);
    }

    #[test]
    fn what_was_told_is_not_told_again() {
        check(3, "@5 4 . | @5 4 5 .", "4 5", 6);
        check(0, "@5 | @7 6 7 .", "6 7", 8);
    }

    proptest! {
        /// However a history is cut into responses, fragments and connections: each change once, in order.
        #[test]
        fn every_change_once(
            revisions in prop::collection::vec(1usize..5, 1..20),
            cuts in prop::collection::vec((1usize..12, any::<bool>()), 1..40),
        ) {
            let history: Vec<(i64, usize)> = (2i64..)
                .zip(&revisions)
                .flat_map(|(revision, &count)| (0..count).map(move |sub| (revision, sub)))
                .collect();
            let mut position = Position::new(2);
            let mut told = Vec::new();
            let rest = |from: i64| history.iter().copied().filter(move |(revision, _)| *revision >= from);
            let mut given = rest(position.begin()).collect::<Vec<_>>().into_iter().peekable();
            for (count, breaks) in cuts {
                let part: Vec<_> = given.by_ref().take(count).collect();
                for &(revision, sub) in &part {
                    if position.take(revision) {
                        told.push((revision, sub));
                    }
                }
                let last = part.last().map(|(revision, _)| *revision);
                if given.peek().map(|(revision, _)| *revision) != last {
                    position.whole();
                }
                if breaks {
                    given = rest(position.begin()).collect::<Vec<_>>().into_iter().peekable();
                }
            }
            prop_assert_eq!(&told[..], &history[..told.len()]);
        }
    }
}
