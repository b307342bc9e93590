//! `watchful restore`: a data folder, made of a snapshot that is ours or an etcd's.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::failure::{Failure, with_causes};
use crate::output::Output;
use crate::snapshot_file::{Kind, SnapshotFile};

const RESTORE_HELP: &str = r#"Takes a snapshot of a Watchful server or of an etcd 3.4 to 3.6, which have one format: every revision, the
history, leases (each with its full time), users, roles and alarms come along. It is checked first, its SHA-256 and its
content, and stays as it is. The folder must be new or empty. Watchers go on where they were, by their revisions.
JSON: {"data_dir":DIR,"bytes":20480,"revision":9}
  The revision is not told of a copy of a data file."#;

/// Make a data folder of a snapshot, of a Watchful server or of an etcd
#[derive(Args, Clone, Debug)]
#[command(after_help = RESTORE_HELP)]
pub(crate) struct RestoreArgs {
    /// What `watchful snapshot save` or `etcdctl snapshot save` has written, or a copy of a data file
    #[arg(required_unless_present = "from_etcd", conflicts_with = "from_etcd")]
    file: Option<PathBuf>,
    /// The same; it has to be in etcd's format
    #[arg(long, value_name = "FILE")]
    from_etcd: Option<PathBuf>,
    /// The folder to make, for a server's --data-dir
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Take a file without a SHA-256 at its end, as a copy of a data file or of an etcd's member/snap/db is; its content is
    /// checked all the same
    #[arg(long)]
    skip_hash_check: bool,
}

#[derive(Serialize)]
struct Restored<'a> {
    data_dir: &'a Path,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
}

pub(crate) fn run(args: &RestoreArgs, out: &mut Output<'_>) -> Result<(), Failure> {
    let path = args.file.as_deref().or(args.from_etcd.as_deref());
    let path = path.ok_or_else(|| Failure::told("give the file to restore"))?;
    let mut file = SnapshotFile::open(path)?;
    file.check(args.skip_hash_check)?;
    let bytes = file.content_len();
    let revision = match file.kind {
        Kind::Etcd => Some(restore_etcd(file, args)?),
        _ if args.from_etcd.is_some() => {
            return Err(file.refuse(
                "is a copy of a Watchful store, and no snapshot in etcd's format; leave out --from-etcd to restore it",
            ));
        }
        _ => {
            restore_copy(&mut file, path, args)?;
            None
        }
    };
    let restored = Restored { data_dir: &args.data_dir, bytes, revision };
    let place = args.data_dir.display();
    out.answer(&restored, format_args!("restored {bytes} bytes; start it with: watchful --data-dir {place}"))
}

fn restore_etcd(file: SnapshotFile<'_>, args: &RestoreArgs) -> Result<u64, Failure> {
    let snapshot = file.into_etcd()?;
    snapshot.restore(&args.data_dir).map_err(|error| Failure::told(with_causes(&error)))?;
    Ok(snapshot.revision())
}

/// A store's file is restored as it is; one with a sum behind it is copied first, without the sum.
fn restore_copy(file: &mut SnapshotFile<'_>, path: &Path, args: &RestoreArgs) -> Result<(), Failure> {
    if !file.has_sum() {
        return restore_store(path, args);
    }
    let beside =
        args.data_dir.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let unusable = |error| Failure::told(format!("{} cannot be written to: {error}", beside.display()));
    let mut copy = tempfile::NamedTempFile::new_in(beside).map_err(unusable)?;
    let copied = file.copy_content(copy.as_file_mut());
    match copied.map_err(|error| file.refuse(&format!("cannot be copied: {error}")))? {
        true => restore_store(copy.path(), args),
        false => Err(file.refuse("was changed while it was read: use another snapshot")),
    }
}

fn restore_store(path: &Path, args: &RestoreArgs) -> Result<(), Failure> {
    watchful::restore(path, &args.data_dir).map_err(|error| Failure::told(with_causes(&error)))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};
    use watchful::{Settings, Store};

    use super::*;
    use crate::output::printed;

    /// A folder with a copy of a store in which `a` is `1`, and its sum behind it.
    fn snapshot() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("old"), Settings::default()).unwrap();
        store.put("a", "1").wait().unwrap();
        drop(store);
        let mut bytes = std::fs::read(dir.path().join("old/data.mdb")).unwrap();
        bytes.extend_from_slice(&Sha256::digest(&bytes));
        let file = dir.path().join("snapshot");
        std::fs::write(&file, bytes).unwrap();
        (dir, file)
    }

    fn restore_args(file: &Path, data_dir: PathBuf) -> RestoreArgs {
        RestoreArgs { file: Some(file.to_owned()), from_etcd: None, data_dir, skip_hash_check: false }
    }

    #[test]
    fn a_copy_of_a_store_is_restored() {
        let (dir, file) = snapshot();
        let args = restore_args(&file, dir.path().join("new"));
        let text = printed(false, |out| run(&args, out));
        assert!(text.contains("start it with: watchful --data-dir "), "{text}");
        let store = Store::open(dir.path().join("new"), Settings::default()).unwrap();
        assert_eq!(store.get("a").unwrap().unwrap().value(), b"1");
        let left: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 3, "{left:?}");
    }

    fn check_refused(
        damage: impl FnOnce(&mut Vec<u8>),
        change: impl FnOnce(&mut RestoreArgs),
        expected: &str,
    ) {
        let (dir, file) = snapshot();
        let mut bytes = std::fs::read(&file).unwrap();
        damage(&mut bytes);
        std::fs::write(&file, bytes).unwrap();
        let mut args = restore_args(&file, dir.path().join("new"));
        change(&mut args);
        let mut bytes = Vec::new();
        let told = match run(&args, &mut Output::new(&mut bytes, false)) {
            Err(Failure::Told(told)) => told,
            other => panic!("{other:?}"),
        };
        assert!(told.contains(expected), "{told}");
        assert!(!dir.path().join("new").exists(), "nothing was begun");
    }

    #[test]
    fn what_is_damaged_or_something_else_is_refused() {
        let as_it_is = |_: &mut RestoreArgs| {};
        check_refused(|bytes| bytes[5000] ^= 1, as_it_is, "its SHA-256 is not the one at its end");
        check_refused(|bytes| bytes[17] ^= 1, as_it_is, "its SHA-256 is not the one at its end");
        check_refused(|bytes| bytes.truncate(bytes.len() - 32), as_it_is, "has no SHA-256 at its end");
        check_refused(|bytes| bytes.truncate(9000), as_it_is, "has the length of no snapshot");
        check_refused(|bytes| bytes.truncate(9), as_it_is, "is too short for a snapshot");
        let skip = |args: &mut RestoreArgs| args.skip_hash_check = true;
        check_refused(|bytes| *bytes = vec![8; 8192], skip, "begins neither as an etcd's store does nor");
        let from_etcd = |args: &mut RestoreArgs| args.from_etcd = args.file.take();
        check_refused(|_| {}, from_etcd, "is a copy of a Watchful store, and no snapshot in etcd's format");
    }
}
