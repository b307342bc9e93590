//! What is read of a store at one revision, as the model says it.

use watchful_mvcc::{Mvcc, MvccError, RangeOptions};
use watchful_revision::KeyRange;
use watchful_testkit::Row;

pub(crate) fn rows_at(mvcc: &Mvcc, revision: u64) -> Result<Vec<Row>, MvccError> {
    let found = mvcc.view(Some(revision))?.range(&KeyRange::everything(), &RangeOptions::default())?;
    Ok(found.records.iter().map(Row::from).collect())
}
