//! The snapshot, as it is streamed: the store in etcd's own format, then the SHA-256 of its bytes, as etcd appends it.
//!
//! The file is written first, into a folder in the data folder that is gone when the stream is: so the stream is of one
//! moment, holds no read transaction however slowly it is taken, and costs one part's memory. While it is written, one read
//! transaction is held, and writes go on. `etcdctl snapshot restore` takes it, and so does `watchful restore`.

use std::fs::{DirEntry, File};
use std::io::{self, BufWriter, Read};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use watchful_wire::etcdserverpb::SnapshotResponse;

use crate::answers;
use crate::etcd_snapshot::{self, EtcdSnapshotError};
use crate::state::{ETCD_VERSION, Shared};

/// How many bytes a part has.
const PART_BYTES: usize = 64 << 10;

/// How many snapshots there may be at once. Each takes room for the whole store on the disk, and a thread, for as long as its
/// client takes to read it.
pub(crate) const AT_ONCE_MAX: usize = 4;

/// How many parts wait for the connection.
const PARTS_READY: usize = 4;

/// What the names of the folders begin with that hold a copy while it is streamed.
const FOLDER_PREFIX: &str = "snapshot-";

type Part = Result<SnapshotResponse, Status>;

/// How many bytes are written to the file at once.
const WRITE_BYTES: usize = 1 << 20;

/// Makes a copy and streams it. Refused where there are [too many](AT_ONCE_MAX).
pub(crate) async fn stream(shared: Arc<Shared>) -> Result<ReceiverStream<Part>, Status> {
    let place = Arc::clone(&shared.snapshots).try_acquire_owned();
    let place = place.map_err(|_| answers::too_many_requests())?;
    let copied = tokio::task::spawn_blocking(move || copy(&shared, place)).await.map_err(panicked)?;
    let copy = copied.map_err(failed)?;
    let (parts, ready) = mpsc::channel(PARTS_READY);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = send(copy, &parts) {
            // Nobody is left to tell when the receiver is gone too.
            let _ = parts.blocking_send(Err(failed(error)));
        }
    });
    Ok(ReceiverStream::new(ready))
}

/// Removes the copies that a server left behind which was killed while it streamed them.
pub(crate) fn remove_leftovers(data_dir: &Path) {
    let entries = std::fs::read_dir(data_dir).into_iter().flatten().flatten();
    let is_copy = |entry: &DirEntry| entry.file_name().to_string_lossy().starts_with(FOLDER_PREFIX);
    for leftover in entries.filter(is_copy) {
        // It only takes up room: no reason not to serve.
        match std::fs::remove_dir_all(leftover.path()) {
            Ok(()) => tracing::info!(folder = ?leftover.path(), "removed a snapshot that was broken off"),
            Err(error) => {
                tracing::warn!(folder = ?leftover.path(), %error, "cannot remove a snapshot; remove it by hand")
            }
        }
    }
}

/// A copy of the store, and the folder it is in.
struct Copy {
    file: File,
    bytes: u64,
    folder: TempDir,
    /// Its place among those there may be at once.
    _place: OwnedSemaphorePermit,
}

fn copy(shared: &Shared, place: OwnedSemaphorePermit) -> io::Result<Copy> {
    let folder = tempfile::Builder::new().prefix(FOLDER_PREFIX).tempdir_in(&shared.settings.data_dir)?;
    let path = folder.path().join("db");
    let out = BufWriter::with_capacity(WRITE_BYTES, File::create_new(&path)?);
    let from =
        etcd_snapshot::From { member_id: shared.identity.member_id, raft_term: shared.identity.raft_term };
    let bytes = export(shared, from, out).map_err(|error| io::Error::other(answers::chain(&error)))?;
    Ok(Copy { file: File::open(path)?, bytes, folder, _place: place })
}

fn export(
    shared: &Shared,
    from: etcd_snapshot::From,
    out: BufWriter<File>,
) -> Result<u64, EtcdSnapshotError> {
    etcd_snapshot::write(&shared.store.export()?, from, out)
}

fn send(copy: Copy, parts: &mpsc::Sender<Part>) -> io::Result<()> {
    let Copy { mut file, mut bytes, folder, _place } = copy;
    let mut hash = Sha256::new();
    let trailer_len = Sha256::output_size() as u64;
    loop {
        let mut part = vec![0; PART_BYTES];
        let read = file.read(&mut part)?;
        if read == 0 {
            break;
        }
        part.truncate(read);
        hash.update(&part);
        bytes = bytes.saturating_sub(read as u64);
        if parts.blocking_send(Ok(response(part.into(), bytes + trailer_len))).is_err() {
            // The client is gone.
            return Ok(());
        }
    }
    let _ = parts.blocking_send(Ok(response(Bytes::copy_from_slice(&hash.finalize()), 0)));
    folder.close()
}

fn response(blob: Bytes, remaining_bytes: u64) -> SnapshotResponse {
    SnapshotResponse { header: None, remaining_bytes, blob, version: ETCD_VERSION.to_owned() }
}

fn failed(error: io::Error) -> Status {
    tracing::error!(%error, "a snapshot failed");
    Status::internal(format!("watchful: the snapshot could not be made: {error}"))
}

fn panicked(error: tokio::task::JoinError) -> Status {
    failed(io::Error::other(error))
}
