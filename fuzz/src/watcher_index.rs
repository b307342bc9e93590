//! The watcher index and a plain list do the same steps, and must always agree.

use arbitrary::{Result, Unstructured};
use watchful_revision::KeyRange;
use watchful_watcher_index::{GroupId, WatcherIndex};
use watchful_watcher_index_twin::{Step, Twins};

use crate::input::{self, many, weighted};

/// The most steps. More say nothing that fewer do not.
const STEPS_MAX: usize = 300;

pub(crate) fn run(input: &[u8]) {
    let mut u = Unstructured::new(input);
    let mut twins = Twins::new(WatcherIndex::small());
    for step in many(&mut u, STEPS_MAX, steps).iter().flatten() {
        twins.step(step);
    }
    twins.take_out();
}

fn steps(u: &mut Unstructured<'_>) -> Result<Vec<Step>> {
    Ok(vec![match weighted(u, &[6, 1, 3, 3, 1])? {
        0 => Step::Insert(range(u)?, group(u)?),
        1 => Step::Remove(range(u)?, group(u)?),
        2 => Step::RemoveOne(u.arbitrary::<u8>()?.into()),
        3 => Step::Stab(key(u)?),
        _ => return more_lengths(u),
    }])
}

/// More lengths of prefixes than the table takes.
fn more_lengths(u: &mut Unstructured<'_>) -> Result<Vec<Step>> {
    let lengths = 0..u.int_in_range(40..=70)?;
    Ok(lengths.map(|len| Step::Insert(KeyRange::prefix(vec![b'a'; len]), GroupId(9))).collect())
}

fn group(u: &mut Unstructured<'_>) -> Result<GroupId> {
    Ok(GroupId(u.int_in_range(0..=3)?))
}

/// Mostly short and colliding, now and then one of a hundred lengths.
fn key(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    Ok(match weighted(u, &[6, 2, 1])? {
        0 => input::short(u, 0)?.to_vec(),
        1 => [input::short(u, 0)?, input::short(u, 0)?].concat(),
        _ => [vec![b'a'; u.int_in_range(1..=100)?], input::short(u, 0)?.to_vec()].concat(),
    })
}

fn range(u: &mut Unstructured<'_>) -> Result<KeyRange> {
    Ok(match weighted(u, &[1, 2, 1, 4])? {
        0 => KeyRange::key(key(u)?),
        1 => KeyRange::prefix(key(u)?),
        2 => KeyRange::from_key(key(u)?),
        _ => {
            let (a, b) = (key(u)?, key(u)?);
            KeyRange::between(a.clone().min(b.clone()), a.clone().max(b)).unwrap_or(KeyRange::key(a))
        }
    })
}
