//! Finds many rows of the log at once.
//!
//! Keys that were written together are often read together, and then their rows are neighbours in the log. So the rows are
//! looked for in the order of the log: a step from one to the next costs a tenth of a look-up from the root.

use std::ops::Bound;

use watchful_backend::{Range, ReadTxn, Table};
use watchful_revision::{REVISION_LEN, Revision};

use crate::MvccError;

/// The records of `rows`, in the order of `rows`; none for one that is not there.
pub(crate) fn fetch<'t>(
    txn: &'t ReadTxn,
    log: Table,
    rows: &[Revision],
) -> Result<Vec<Option<&'t [u8]>>, MvccError> {
    let mut found = vec![None; rows.len()];
    fetch_each(txn, log, rows, |at, record| {
        found[at] = record;
        Ok(())
    })?;
    Ok(found)
}

/// Shows the record of each of `rows` as soon as it is found, with its place in `rows`; none for one that is not there.
///
/// Whoever copies a record then finds it near, where a walk to all of them first would have it waited for twice.
pub(crate) fn fetch_each<'t>(
    txn: &'t ReadTxn,
    log: Table,
    rows: &[Revision],
    mut show: impl FnMut(usize, Option<&'t [u8]>) -> Result<(), MvccError>,
) -> Result<(), MvccError> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    if !rows.is_sorted() {
        order.sort_unstable_by_key(|&at| rows[at]);
    }
    let mut rest = order.into_iter().peekable();
    let mut walk = None;
    while let Some(at) = rest.next() {
        let wanted = rows[at].to_bytes();
        let record = match walk.as_mut().map(|walk| step_to(walk, &wanted)).transpose()?.flatten() {
            Some(record) => Some(record),
            None if rest.peek().is_some_and(|&next| is_near(rows[at], rows[next])) => {
                let walk = walk.insert(txn.range(log, (Bound::Included(&wanted[..]), Bound::Unbounded))?);
                step_to(walk, &wanted)?
            }
            None => {
                walk = None;
                txn.get(log, &wanted)?
            }
        };
        show(at, record)?;
    }
    Ok(())
}

/// The most steps that are taken to a row before it is looked up: so many cost about as much as a look-up.
const STEPS_MAX: u64 = 8;

/// Whether `to` may be so few steps behind `from`. There are as many revisions between them, unless compaction has taken
/// some; how many rows a revision has is not known.
fn is_near(from: Revision, to: Revision) -> bool {
    let steps = if from.main == to.main { u64::from(to.sub - from.sub) } else { to.main - from.main };
    steps <= STEPS_MAX
}

/// The record of `wanted`, if it is among the next rows.
fn step_to<'t>(walk: &mut Range<'t>, wanted: &[u8; REVISION_LEN]) -> Result<Option<&'t [u8]>, MvccError> {
    for row in walk.take(usize::try_from(STEPS_MAX).unwrap_or(usize::MAX)) {
        let (revision, record) = row?;
        if revision >= &wanted[..] {
            return Ok((revision == wanted).then_some(record));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use watchful_backend::{Backend, BackendSettings};

    use super::*;

    /// Which rows there are does not depend on how they were asked for: neighbours, strangers, in any order, and some that
    /// are not there or that a walk has gone past.
    #[test]
    fn rows_are_found_in_any_order_and_distance() -> Result<(), Box<dyn Error>> {
        let dir = tempfile::tempdir()?;
        let backend = Backend::open(dir.path(), &BackendSettings::default(), &["log"])?;
        let log = backend.table("log").ok_or("there is a log")?;
        // Main revisions with gaps of up to 30, and revisions of up to 40 changes.
        let is_there =
            |revision: Revision| revision.main % 30 < 11 && u64::from(revision.sub) <= revision.main * 7 % 40;
        let all = || (2..400).flat_map(|main| (0..42).map(move |sub| Revision::new(main, sub)));
        let mut write = backend.write()?;
        for revision in all().filter(|revision| is_there(*revision)) {
            write.append(log, &revision.to_bytes(), &revision.to_bytes())?;
        }
        write.commit()?;
        let txn = backend.read()?;
        for step in [1, 2, 3, 7, 8, 9, 50, 331] {
            let mut rows: Vec<Revision> = all().step_by(step).collect();
            for turn in 0..3 {
                let found = fetch(&txn, log, &rows)?;
                for (row, record) in rows.iter().zip(found) {
                    let expected = is_there(*row).then(|| row.to_bytes());
                    assert_eq!(record, expected.as_ref().map(|bytes| &bytes[..]), "{row}, step {step}");
                }
                if turn == 0 {
                    rows.reverse();
                } else {
                    rows.sort_unstable_by_key(|row| {
                        (row.main.wrapping_mul(0x9e37_79b9_7f4a_7c15), row.sub % 5, row.sub)
                    });
                }
            }
        }
        Ok(())
    }
}
