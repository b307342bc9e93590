//! A folder of tables on its own: write, read, run out of space, copy, check.
//!
//! `cargo run -p watchful-backend --example tables`

use std::error::Error;
use std::ops::Bound;

use watchful_backend::{Backend, BackendError, BackendSettings, check_file};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let settings = BackendSettings::default().with_map_bytes(4 << 20);
    let backend = Backend::open(&dir.path().join("store"), &settings, &["log", "meta"])?;
    let log = backend.table("log").ok_or("the table was named at open")?;

    let mut txn = backend.write()?;
    for row in 0..1000u32 {
        txn.append(log, &row.to_be_bytes(), format!("row {row}").as_bytes())?;
    }
    txn.commit()?;

    let view = backend.read()?;
    let from = 997u32.to_be_bytes();
    for entry in view.range(log, (Bound::Included(&from[..]), Bound::Unbounded))? {
        let (key, value) = entry?;
        println!("{} = {}", key.escape_ascii(), value.escape_ascii());
    }

    println!("a second open: {}", refusal(Backend::open(&dir.path().join("store"), &settings, &["log"])));
    println!("eight megabytes into four: {}", refusal(fill(&backend)));
    println!("still there: {} rows, {:?}", view.len(log)?, backend.stats());

    let copy = dir.path().join("copy");
    println!("a copy of {} bytes", backend.copy_compact(&copy)?);
    let report = check_file(&copy)?;
    println!("checked: {} pages, {} problems", report.pages, report.problems.len());
    Ok(())
}

fn fill(backend: &Backend) -> Result<(), BackendError> {
    let log = backend.table("log").ok_or(BackendError::TransactionFailed)?;
    let mut txn = backend.write()?;
    (1000..9000u32).try_for_each(|row| txn.append(log, &row.to_be_bytes(), &[0; 1000]))
}

fn refusal<T>(result: Result<T, BackendError>) -> String {
    result.err().map_or_else(|| "went well".to_owned(), |error| error.to_string())
}
