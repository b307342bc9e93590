//! An etcd's store, as a file: what it is, before anything is made of it.

use std::fs::File;

use watchful::{LoadPlan, RecordKind, Revision};
use watchful_bbolt::{Bucket, Reader, Value, looks_like_bbolt};
use watchful_revision::{EtcdRow, KeyValueRef};

use super::error::schema;
use super::{EtcdSnapshotError, bucket, meta};

/// A snapshot of an etcd, or of this server, open for reading.
#[derive(Debug)]
pub struct EtcdSnapshot {
    pub(super) reader: Reader,
    pub(super) plan: LoadPlan,
    /// The term of its last change; 0 where an etcd before 3.5 has not written it.
    pub(super) raft_term: u64,
}

/// The newest minor version of etcd 3 whose storage is the one that is read here.
const MINOR_MAX: u64 = 8;

impl EtcdSnapshot {
    /// Whether a file that begins with these 80 bytes is one, or was before it was damaged.
    #[must_use]
    pub fn is_one(first_bytes: &[u8]) -> bool {
        looks_like_bbolt(first_bytes)
    }

    /// Opens a snapshot, with its SHA-256 behind it or without, which is not looked at here. Every page is read, and it is
    /// seen that the buckets are those of an etcd; what is in them is not.
    ///
    /// # Errors
    ///
    /// When it is damaged, or something else, or of an etcd that is not known here.
    pub fn open(file: File) -> Result<Self, EtcdSnapshotError> {
        let reader = Reader::open(file)?;
        // First, so that no bucket is gone into which is none of an etcd's.
        check_buckets(&reader)?;
        reader.check()?;
        let mut snapshot = Self { reader, plan: EMPTY, raft_term: 0 };
        snapshot.read_meta()?;
        Ok(snapshot)
    }

    /// How many bytes it has, without what is behind it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.reader.bytes()
    }

    /// The newest main revision; at least 1.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.plan.current_revision
    }

    fn read_meta(&mut self) -> Result<(), EtcdSnapshotError> {
        let (mut compact_revision, mut raft_term) = (None, 0);
        self.each(bucket::META, |key, value| {
            match key {
                meta::SCHEDULED_COMPACT | meta::FINISHED_COMPACT => {
                    // A compaction that an etcd has begun is one, and is gone on with.
                    compact_revision = compact_revision.max(Some(parse_revision(key, value)?));
                }
                meta::TERM => raft_term = parse_term(key, value)?,
                meta::STORAGE_VERSION => check_storage_version(value)?,
                _ => {}
            }
            Ok(())
        })?;
        let newest = self.newest_row()?.map_or(1, |revision| revision.main);
        let current_revision = newest.max(compact_revision.unwrap_or(0)).max(1);
        (self.plan, self.raft_term) = (LoadPlan { compact_revision, current_revision }, raft_term);
        Ok(())
    }

    fn newest_row(&self) -> Result<Option<Revision>, EtcdSnapshotError> {
        let Some(bucket) = self.reader.bucket(bucket::KEY)? else { return Ok(None) };
        let Some(key) = self.reader.last_key(&bucket)? else { return Ok(None) };
        Ok(Some(parse_row_key(&key)?.0))
    }

    /// Gives every entry of a bucket to `take`. A bucket that is not there is empty.
    pub(super) fn each(
        &self,
        name: &[u8],
        mut take: impl FnMut(&[u8], &[u8]) -> Result<(), EtcdSnapshotError>,
    ) -> Result<(), EtcdSnapshotError> {
        match self.reader.bucket(name)? {
            Some(bucket) => each_of(&self.reader, &bucket, name, &mut take),
            None => Ok(()),
        }
    }
}

const EMPTY: LoadPlan = LoadPlan { compact_revision: None, current_revision: 1 };

pub(super) fn each_of(
    reader: &Reader,
    bucket: &Bucket,
    name: &[u8],
    take: &mut impl FnMut(&[u8], &[u8]) -> Result<(), EtcdSnapshotError>,
) -> Result<(), EtcdSnapshotError> {
    let mut entries = reader.entries(bucket)?;
    let mut room = Room(reader.bytes());
    while let Some(entry) = entries.next()? {
        let Value::Bytes(value) = entry.value else {
            return Err(schema(format!("in its bucket `{}` there is a bucket", name.escape_ascii())));
        };
        room.take(name, entry.key.len() + value.len())?;
        take(entry.key, value)?;
    }
    Ok(())
}

/// The bytes of the file that a bucket has not used up. The reader lets no two entries share any, so there are always enough;
/// this is the second lock on that door.
pub(super) struct Room(pub(super) u64);

impl Room {
    pub(super) fn take(&mut self, bucket: &[u8], bytes: usize) -> Result<(), EtcdSnapshotError> {
        let left = self.0.checked_sub(bytes as u64);
        self.0 = left.ok_or_else(|| {
            schema(format!("its bucket `{}` holds more bytes than the file has", bucket.escape_ascii()))
        })?;
        Ok(())
    }
}

fn check_buckets(reader: &Reader) -> Result<(), EtcdSnapshotError> {
    let (mut has_key, mut has_meta) = (false, false);
    let mut entries = reader.entries(&reader.root())?;
    while let Some(entry) = entries.next()? {
        let name = entry.key;
        if !matches!(entry.value, Value::Bucket(_)) || !bucket::ALL.contains(&name) {
            return Err(schema(format!(
                "it has `{}`, which no etcd of 3.4 to 3.{MINOR_MAX} has",
                name.escape_ascii()
            )));
        }
        has_key |= name == bucket::KEY;
        has_meta |= name == bucket::META;
    }
    match (has_key, has_meta) {
        (true, true) => Ok(()),
        _ => Err(schema("it has no bucket `key` or no bucket `meta`, which every etcd has")),
    }
}

fn check_storage_version(version: &[u8]) -> Result<(), EtcdSnapshotError> {
    let text = String::from_utf8_lossy(version);
    let mut numbers = text.split('.').map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(3)), Some(Ok(0..=MINOR_MAX))) => Ok(()),
        _ => Err(schema(format!(
            "its storage is of version `{text}`, and what is read is 3.4 to 3.{MINOR_MAX}"
        ))),
    }
}

/// The key of a row.
pub(super) fn parse_row_key(key: &[u8]) -> Result<(Revision, RecordKind), EtcdSnapshotError> {
    let not_one = || schema(format!("`{}` in its bucket `key` is no revision", key.escape_ascii()));
    EtcdRow::parse_key(key).ok_or_else(not_one)
}

/// The value of a row.
pub(super) fn parse_row(revision: Revision, value: &[u8]) -> Result<KeyValueRef<'_>, EtcdSnapshotError> {
    KeyValueRef::parse(value).map_err(|_| schema(format!("the change at revision {revision} cannot be read")))
}

fn parse_revision(name: &[u8], value: &[u8]) -> Result<u64, EtcdSnapshotError> {
    match EtcdRow::parse_key(value) {
        Some((revision, RecordKind::Put)) => Ok(revision.main),
        _ => Err(schema(format!("its `{}` is no revision", name.escape_ascii()))),
    }
}

/// A term. A cluster adds one for each election, and so does the store that is made of this.
fn parse_term(name: &[u8], value: &[u8]) -> Result<u64, EtcdSnapshotError> {
    let number = value.try_into().map(u64::from_be_bytes);
    let term = number.map_err(|_| schema(format!("its `{}` is no number", name.escape_ascii())))?;
    match i64::try_from(term) {
        Ok(_) => Ok(term),
        Err(_) => Err(schema(format!("its term {term} is higher than any cluster gets"))),
    }
}
