//! Versions of keys without the facade: a few transactions, reads at old revisions, history, and a compaction.
//!
//! ```text
//! cargo run -p watchful-mvcc --example versions
//! ```

use std::error::Error;

use watchful_mvcc::{HistoryLimits, Mvcc, MvccError, MvccSettings, PutOptions, RangeOptions, Want};
use watchful_revision::{KeyRange, RecordKind, Revision};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let (mvcc, _) = Mvcc::open(dir.path(), &MvccSettings::default())?;
    write(&mvcc)?;
    for revision in 2..=mvcc.current_revision() {
        show(&mvcc, revision)?;
    }
    tell_history(&mvcc, 2)?;
    compact(&mvcc, 4)?;
    show(&mvcc, 3).unwrap_or_else(|error| println!("revision 3: {error}"));
    tell_history(&mvcc, 4)?;
    drop(mvcc);

    let report = watchful_mvcc::check(dir.path())?;
    println!("the check: {} rows, {} problems", report.rows, report.problems.len());
    Ok(())
}

/// Three transactions in one group: each takes a revision, all are committed at once.
fn write(mvcc: &Mvcc) -> Result<(), Box<dyn Error>> {
    let mut group = mvcc.begin_group()?;
    group.txn(|txn| -> Result<(), MvccError> {
        txn.put(b"app/web", b"blue", PutOptions::default())?;
        txn.put(b"app/api", b"v1", PutOptions::default())?;
        Ok(())
    })?;
    group.txn(|txn| txn.put(b"app/web", b"green", PutOptions::default()))?;
    group.txn(|txn| txn.delete_range(&KeyRange::key("app/api"), false))?;
    for batch in group.commit()? {
        println!("committed revision {} with {} changes", batch.revision, batch.rows.len());
    }
    Ok(())
}

fn show(mvcc: &Mvcc, revision: u64) -> Result<(), MvccError> {
    let view = mvcc.view(Some(revision))?;
    let answer = view.range(&KeyRange::prefix("app/"), &RangeOptions::default())?;
    print!("revision {revision}:");
    for record in &answer.records {
        print!(" {}={}", record.key().escape_ascii(), record.value().escape_ascii());
    }
    println!();
    Ok(())
}

/// Everything that happened from a revision on, as a watch that catches up would read it.
fn tell_history(mvcc: &Mvcc, from: u64) -> Result<(), MvccError> {
    let want = &mut |row: &watchful_mvcc::RowView<'_>| Want::Take { charge_bytes: row.encoded_len() };
    let limits = HistoryLimits::default();
    let chunk = mvcc.read_history(Revision::start_of(from), u64::MAX, &limits, want)?;
    for row in chunk.into_rows(Into::into) {
        let what = match row.record.kind() {
            RecordKind::Put => "put",
            RecordKind::Tombstone => "deleted",
        };
        println!("history from {from}: {} {what} {}", row.record.revision(), row.record.key().escape_ascii());
    }
    Ok(())
}

/// First the revision is enforced, then what it leaves behind is deleted.
fn compact(mvcc: &Mvcc, revision: u64) -> Result<(), Box<dyn Error>> {
    let mut group = mvcc.begin_group()?;
    group.schedule_compaction(revision)?;
    group.commit()?;
    let mut group = mvcc.begin_group()?;
    let slice = group.compact_slice(1000)?;
    group.commit()?;
    println!("compacted to {revision}: {} rows deleted", slice.rows);
    Ok(())
}
