//! The backend's tests, one binary.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]
#![allow(clippy::host_endian_bytes, reason = "LMDB writes numbers in the machine's own byte order")]

mod checking;

mod copying;

mod defragmenting;

mod failing;

mod growing;

mod opening;

mod tables;

use std::path::{Path, PathBuf};

use watchful_backend::{Backend, BackendSettings, Table};

/// A small backend with the tables `log` and `meta`, and its `log`.
fn open(dir: &Path) -> (Backend, Table) {
    let backend = Backend::open(dir, &small(), &TABLES).unwrap();
    let log = backend.table("log").unwrap();
    (backend, log)
}

const TABLES: [&str; 2] = ["log", "meta"];

fn small() -> BackendSettings {
    BackendSettings::default().with_map_bytes(64 << 20)
}

fn data_file(dir: &Path) -> PathBuf {
    Backend::data_file(dir)
}

/// The key of a row: its number, so that keys sort as numbers do.
fn key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

/// Commits one row with a value of `len` bytes that tells the row's number.
fn append(backend: &Backend, table: Table, number: u32, len: usize) {
    let mut txn = backend.write().unwrap();
    txn.append(table, &key(number), &vec![number.to_be_bytes()[3]; len]).unwrap();
    txn.commit().unwrap();
}

/// What a table holds.
fn entries(backend: &Backend, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let txn = backend.read().unwrap();
    let entries = txn.range(table, ..).unwrap();
    entries.map(Result::unwrap).map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}
