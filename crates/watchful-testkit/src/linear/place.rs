//! Each call's place, as its answer tells it, and that the places keep to time.

use std::collections::BTreeMap;

use super::{Call, NotLinear};

/// Where calls belong, by their numbers in the history.
#[derive(Default)]
pub(super) struct Places {
    /// The write of each revision, as far as answers tell.
    pub(super) writes: BTreeMap<u64, usize>,
    /// The reads at each revision.
    pub(super) reads: BTreeMap<u64, Vec<usize>>,
    /// Those without an answer, each with the first revision that it may have taken.
    pub(super) unknown: Vec<(u64, usize)>,
    /// The newest revision that any answer tells of.
    pub(super) last_revision: u64,
}

/// A write at `r` is at `2r`, and whatever was read at `r` at `2r + 1`.
type Place = u64;

enum Moment {
    Sent,
    Answered,
}

/// Gives each call its place.
pub(super) fn places(calls: &[Call]) -> Result<Places, NotLinear> {
    let mut moments = Vec::with_capacity(2 * calls.len());
    for (number, call) in calls.iter().enumerate() {
        moments.push((call.sent, Moment::Sent, number));
        moments.extend(call.answer.as_ref().map(|answer| (answer.at, Moment::Answered, number)));
    }
    moments.sort_by_key(|(at, ..)| *at);
    // The last place of all that were answered so far: whoever is sent now comes no earlier.
    let (mut places, mut floor): (Places, Place) = (Places { last_revision: 1, ..Places::default() }, 0);
    for (_, moment, number) in moments {
        let call = &calls[number];
        match (moment, place_of(call)) {
            (Moment::Sent, None) => places.unknown.push((floor.div_ceil(2).max(2), number)),
            (Moment::Sent, Some(place)) if place < floor => {
                let why = format!("{call:?} was sent when revision {} had been told", floor / 2);
                return Err(NotLinear { revision: place / 2, why });
            }
            (Moment::Sent, Some(_)) => places.put(number, calls)?,
            (Moment::Answered, place) => floor = floor.max(place.unwrap_or(0)),
        }
    }
    Ok(places)
}

fn place_of(call: &Call) -> Option<Place> {
    let answer = call.answer.as_ref()?;
    Some(2 * answer.revision + u64::from(!answer.has_changed()))
}

impl Places {
    fn put(&mut self, number: usize, calls: &[Call]) -> Result<(), NotLinear> {
        let Some(answer) = &calls[number].answer else { return Ok(()) };
        let revision = answer.revision;
        // An empty store is at 1, and the first write takes 2.
        if revision < 1 + u64::from(answer.has_changed()) {
            return Err(NotLinear {
                revision,
                why: format!("{:?} was told a revision of nobody", calls[number]),
            });
        }
        self.last_revision = self.last_revision.max(revision);
        if !answer.has_changed() {
            self.reads.entry(revision).or_default().push(number);
            return Ok(());
        }
        match self.writes.insert(revision, number) {
            None => Ok(()),
            Some(other) => {
                let why = format!("{:?} and {:?} were both told it is theirs", calls[other], calls[number]);
                Err(NotLinear { revision, why })
            }
        }
    }
}
