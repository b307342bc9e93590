//! `watchful snapshot save`: a backup of a server that goes on serving.
//!
//! What a server sends ends with the SHA-256 of all that came before. It is written to `FILE.part`, checked, and given
//! its name only then, so that a file of that name is whole.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tonic::Streaming;
use watchful_wire::etcdserverpb::{SnapshotRequest, SnapshotResponse};

use crate::failure::Failure;
use crate::output::Output;
use crate::server::Server;

/// The length of the SHA-256 at a snapshot's end.
pub(crate) const TRAILER_LEN: usize = 32;

const HELP: &str = r#"It is written to FILE.part, checked, and then takes the place of FILE. It has etcd's own format:
`watchful restore` and `etcdctl snapshot restore` make a data folder of it, and `watchful check` tells its revision.
JSON: {"file":FILE,"bytes":20512,"version":"3.6.0","sha256":HEX}
  The version is there only where the server tells it; an old etcd does not."#;

/// Save a snapshot of the server
#[derive(Args, Clone, Debug)]
#[command(disable_help_subcommand = true)]
pub(crate) struct SnapshotArgs {
    #[command(subcommand)]
    command: SnapshotCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum SnapshotCommand {
    /// Save the store as it is now into a file, while the server goes on
    #[command(after_help = HELP)]
    Save { file: PathBuf },
}

#[derive(Serialize)]
struct Saved<'a> {
    file: &'a Path,
    bytes: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    sha256: String,
}

pub(crate) async fn run(args: SnapshotArgs, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    let SnapshotCommand::Save { file } = args.command;
    let mut part = file.clone().into_os_string();
    part.push(".part");
    let saved = save(server, &file, &part).await;
    if saved.is_err() {
        // It is no use to anybody, and what it failed with is the error to tell.
        let _ = fs::remove_file(&part);
    }
    let saved = saved?;
    out.answer(&saved, format_args!("saved {} bytes in {}", saved.bytes, file.display()))
}

async fn save<'a>(server: &Server, file: &'a Path, part: &OsString) -> Result<Saved<'a>, Failure> {
    let unusable = |error: io::Error| Failure::told(format!("{} cannot be written: {error}", file.display()));
    // A copy is made before the first part comes: how long that takes depends on the store.
    let started = server.maintenance().snapshot(SnapshotRequest {}).await;
    let mut parts = started.map_err(|status| server.failure(&status))?.into_inner();
    let mut received = Received::new(BufWriter::new(create(part).map_err(unusable)?));
    let mut version = String::new();
    let progress = Progress::new();
    while let Some(part) = next(server, &mut parts).await? {
        progress.show(received.bytes, &part);
        if !part.version.is_empty() {
            version = part.version;
        }
        received.take(&part.blob).map_err(unusable)?;
    }
    let (written, bytes, sha256) = received.finish().map_err(unusable)?.map_err(Failure::Told)?;
    written.into_inner().map_err(|error| unusable(error.into_error()))?.sync_all().map_err(unusable)?;
    fs::rename(part, file).map_err(unusable)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(unusable)?;
    Ok(Saved { file, bytes, version, sha256 })
}

/// A file for nobody else: a snapshot has the hashes of passwords, and every value.
fn create(part: &OsString) -> io::Result<File> {
    File::options().write(true).create(true).truncate(true).mode(0o600).open(part)
}

async fn next(
    server: &Server,
    parts: &mut Streaming<SnapshotResponse>,
) -> Result<Option<SnapshotResponse>, Failure> {
    server.in_time(parts.message()).await?.map_err(|status| server.failure(&status))
}

/// What has come of a snapshot. The last bytes are held back from the sum: they may be the trailer.
struct Received<W> {
    file: W,
    sum: Sha256,
    tail: Vec<u8>,
    bytes: u64,
}

impl<W: Write> Received<W> {
    fn new(file: W) -> Self {
        Self { file, sum: Sha256::new(), tail: Vec::new(), bytes: 0 }
    }

    fn take(&mut self, blob: &[u8]) -> io::Result<()> {
        self.file.write_all(blob)?;
        self.bytes += blob.len() as u64;
        self.tail.extend_from_slice(blob);
        let summed = self.tail.len().saturating_sub(TRAILER_LEN);
        self.sum.update(&self.tail[..summed]);
        self.tail.drain(..summed);
        Ok(())
    }

    /// The file, how many bytes it has, and the sum; or what is wrong with it.
    fn finish(mut self) -> io::Result<Result<(W, u64, String), String>> {
        self.file.flush()?;
        let sum = self.sum.finalize();
        if self.tail != sum[..] {
            return Ok(Err(format!(
                "the snapshot is not whole: {} bytes came, and they do not end with their SHA-256; try again",
                self.bytes
            )));
        }
        let sum = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Ok((self.file, self.bytes, sum)))
    }
}

/// A bar, where stderr is a terminal.
struct Progress(Option<ProgressBar>);

impl Progress {
    fn new() -> Self {
        let style =
            ProgressStyle::with_template("{bar:40} {binary_bytes} of {binary_total_bytes}, {eta} left");
        let style = style.ok().filter(|_| io::stderr().is_terminal());
        Self(style.map(|style| ProgressBar::new(0).with_style(style)))
    }

    fn show(&self, before: u64, part: &SnapshotResponse) {
        if let Some(bar) = &self.0 {
            let bytes = before + part.blob.len() as u64;
            bar.set_length(bytes + part.remaining_bytes);
            bar.set_position(bytes);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn received(bytes: &[u8], part_len: usize) -> Result<(Vec<u8>, u64, String), String> {
        let mut received = Received::new(Vec::new());
        for part in bytes.chunks(part_len) {
            received.take(part).unwrap();
        }
        received.finish().unwrap()
    }

    #[test]
    fn what_does_not_end_with_its_sum_is_refused() {
        assert!(received(b"", 1).is_err());
        assert!(received(b"short", 2).is_err());
        assert!(received(&[0; 100], 7).is_err());
    }

    proptest! {
        /// However it is cut: the whole is taken, and the whole with any byte lost or changed is not.
        #[test]
        fn the_sum_is_checked(content: Vec<u8>, part_len in 1usize..80, at: prop::sample::Index) {
            let mut bytes = content.clone();
            bytes.extend_from_slice(&Sha256::digest(&content));
            let (file, len, _) = received(&bytes, part_len).unwrap();
            prop_assert_eq!((&file, len), (&bytes, bytes.len() as u64));
            let at = at.index(bytes.len());
            let cut = [&bytes[..at], &bytes[at + 1..]].concat();
            prop_assert!(received(&cut, part_len).is_err());
            bytes[at] ^= 1;
            prop_assert!(received(&bytes, part_len).is_err());
        }
    }
}
