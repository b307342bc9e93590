//! A store as an etcd would have it.

use std::io::{Seek, Write};

use watchful::{Export, Revision};
use watchful_bbolt::Writer;
use watchful_revision::EtcdRow;

use super::{EtcdSnapshotError, alarm, auth, bucket, lease, meta};

/// Who writes a snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct From {
    pub(crate) member_id: u64,
    pub(crate) raft_term: u64,
}

/// Writes the file, without the SHA-256 that follows it. Tells how many bytes it has.
///
/// One row at a time is in memory, so it is best that `out` is buffered.
pub(crate) fn write<W: Write + Seek>(
    export: &Export<'_>,
    from: From,
    out: W,
) -> Result<u64, EtcdSnapshotError> {
    let mut file = Writer::new(out)?;
    file.bucket(bucket::ALARM)?;
    alarm::write(export, from.member_id, &mut file)?;
    auth::write(export, &mut file)?;
    // What the members agreed on is left to the etcd that starts: see docs/SNAPSHOT_FORMAT.md.
    file.bucket(bucket::CLUSTER)?;
    file.bucket(bucket::KEY)?;
    for row in export.rows()? {
        let row = row?;
        let row = EtcdRow::of(&row);
        file.put(row.key(), row.value())?;
    }
    file.bucket(bucket::LEASE)?;
    lease::write(export, &mut file)?;
    file.bucket(bucket::MEMBERS)?;
    file.bucket(bucket::MEMBERS_REMOVED)?;
    file.bucket(bucket::META)?;
    write_meta(export, from, &mut file)?;
    Ok(file.finish()?.1)
}

fn write_meta<W: Write + Seek>(
    export: &Export<'_>,
    from: From,
    file: &mut Writer<W>,
) -> Result<(), EtcdSnapshotError> {
    // Without one an etcd 3.6 cannot tell its storage's version for a while, and complains every four seconds.
    let conf_state = format!(r#"{{"voters":[{}],"auto_leave":false}}"#, from.member_id);
    file.put(meta::CONF_STATE, conf_state.as_bytes())?;
    // As `Status` tells it: every revision is an index here.
    file.put(meta::CONSISTENT_INDEX, &export.current_revision().to_be_bytes())?;
    if let Some(revision) = export.compacted_revision() {
        file.put(meta::FINISHED_COMPACT, &revision_bytes(revision))?;
    }
    if let Some(revision) = export.compact_revision() {
        file.put(meta::SCHEDULED_COMPACT, &revision_bytes(revision))?;
    }
    Ok(file.put(meta::TERM, &from.raft_term.to_be_bytes())?)
}

/// A main revision as etcd writes it: as the key of its first change.
fn revision_bytes(main: u64) -> [u8; 17] {
    EtcdRow::put_key(Revision::start_of(main))
}
