//! Replays a git repository into a store: each commit is one transaction, each path a key, and watchers follow.
//!
//! ```text
//! cargo run --release --package watchful --example git-history                          this repository
//! cargo run --release --package watchful --example git-history -- PATH                  another
//! cargo run --release --package watchful --example git-history -- PATH --at v1.0        the tree of a commit
//! cargo run --release --package watchful --example git-history -- PATH --watch src/ --from 2
//! ```
//!
//! **What it is for:** it shows the store and its watches at work on a long history that anybody has at hand, and checks
//! the promises on what was delivered. `--at` lists the tree of any commit of the first-parent line as `git ls-tree -r`
//! does.
//!
//! **What it is not for:** it changes nothing in the repository, and does not replay side branches.
//!
//! # How a repository looks in the store
//!
//! - The first commit of the first-parent line is revision 2, the next one 3, and so on.
//! - The key `HEAD` is the commit's id. Each commit sets it, so each is a revision, also one that changes no file.
//! - Each path is a key: `/` and then the path's own bytes. No path can be taken for `HEAD`: a file of that name is `/HEAD`.
//! - The value is the mode, the type, the id and the commit's subject; a path that goes is a delete.
//!
//! # Its modules
//!
//! [`git`] reads the repository, [`keys`] says what becomes of a commit, [`replay`] writes it. [`job`] is the main job:
//! each [`follower`] watches and checks, [`monitor`] looks at them, [`report`] prints. [`tree`] is `--at` and `--verify`,
//! [`watch`] is `--watch`.

mod job;

mod replay;

mod keys;

mod follower;

mod monitor;

mod report;

mod tree;

mod watch;

mod git;

mod place;

mod progress;

mod quote;

mod failure;

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use watchful::Store;

use crate::failure::Failure;
use crate::git::Repository;
use crate::replay::{Line, replay};
use crate::tree::Form;

/// Replays a git repository into a store, while watchers follow, and checks what they were given.
///
/// Each commit of HEAD's first-parent line is one transaction. The key HEAD is the commit's id. Each path is a key: a
/// slash and the path; its value is the mode, type, id and the commit's subject. The first commit is revision 2.
///
/// The store stays where it is, and the next run goes on with new commits only.
#[derive(Debug, Parser)]
#[command(name = "git-history")]
struct Arguments {
    /// The repository: a work tree, a bare one, or a folder inside one. This program's own if none is given.
    path: Option<PathBuf>,
    /// Where the store is [default: in the user's cache, one a repository].
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Replay from nothing, instead of going on.
    #[arg(long)]
    fresh: bool,
    /// List the tree of a commit, as `git ls-tree -r` does from the top of the repository.
    #[arg(long, value_name = "COMMIT", conflicts_with_all = ["watch", "verify"])]
    at: Option<String>,
    /// With --at: end names with NUL and do not quote them, as `git ls-tree -r -z` does.
    #[arg(short = 'z', requires = "at")]
    nul: bool,
    /// Print the changes of the paths that begin so, and go on with new commits as they come. "" is all paths.
    #[arg(long, value_name = "PREFIX", conflicts_with = "verify")]
    watch: Option<OsString>,
    /// With --watch: the revision to start with [default: the next one].
    #[arg(long, value_name = "REVISION", requires = "watch", value_parser = clap::value_parser!(u64).range(1..))]
    from: Option<u64>,
    /// With --watch: end with the newest commit, instead of waiting for more.
    #[arg(long, requires = "watch")]
    once: bool,
    /// At the end, compare the store with `git ls-tree -r` at so many random commits.
    #[arg(long, value_name = "COUNT")]
    verify: Option<u64>,
    /// With --verify: the seed of the random choice [default: another one each time; it is printed].
    #[arg(long, requires = "verify")]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) | Err(Failure::StdoutClosed) => ExitCode::SUCCESS,
        Err(failure) => {
            // Where this cannot be written either, the exit code tells.
            let _ = writeln!(io::stderr(), "git-history: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let path = arguments.path.clone().unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let repository = Repository::open(&path)?;
    let out = &mut BufWriter::new(io::stdout());
    // A commit that is none should not cost a replay, and a repository without any not an empty store.
    let wanted = arguments.at.as_deref().map(|commit| repository.resolve(commit)).transpose()?;
    let newest = Line::newest(&repository)?;
    let folder = place::folder(&repository, arguments.store)?;
    let store = if arguments.fresh { place::open_fresh(&folder)? } else { place::open(&folder)? };
    if let Some(id) = wanted {
        return list_tree(&repository, &store, &id, &newest, arguments.nul, out);
    }
    if let Some(prefix) = arguments.watch {
        let (prefix, from) = (prefix.into_encoded_bytes(), arguments.from.unwrap_or(0));
        return watch::follow(
            &repository,
            &store,
            &watch::Follow { prefix, from, once: arguments.once },
            out,
        );
    }
    job::run(&repository, &store, &folder, out)?;
    match arguments.verify {
        Some(count) => verify(&repository, &store, count, arguments.seed.unwrap_or_else(rand::random), out),
        None => Ok(()),
    }
}

fn list_tree(
    repository: &Repository,
    store: &Store,
    id: &str,
    newest: &str,
    nul: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    if tree::view_at(repository, store, id)?.is_none() {
        bring_up(repository, store)?;
    }
    let view = tree::view_at(repository, store, id)?.ok_or_else(|| {
        Failure::said(format!("{id} is not on the first-parent line that ends with HEAD, which is {newest}"))
    })?;
    let quote_high_bytes = repository.quotes_high_bytes()?;
    tree::list(&view, if nul { Form::Nul } else { Form::Lines { quote_high_bytes } }, out)
}

/// Replays what the store lacks, with nobody watching.
fn bring_up(repository: &Repository, store: &Store) -> Result<(), Failure> {
    let line = Line::find(repository, store)?;
    let bar = progress::bar("replay", line.stored, line.commits);
    replay(repository, store, &line, None, |done| {
        bar.set_position(line.stored + done.commits);
        Ok(())
    })?;
    bar.finish_and_clear();
    Ok(())
}

fn verify(
    repository: &Repository,
    store: &Store,
    count: u64,
    seed: u64,
    out: &mut impl Write,
) -> Result<(), Failure> {
    writeln!(out, "verify   {count} commits, --seed {seed}")?;
    out.flush()?;
    let bar = progress::bar("verify", 0, count);
    let equal = tree::verify(repository, store, count, seed, || bar.inc(1));
    bar.finish_and_clear();
    equal?;
    writeln!(out, "         each tree equals `git ls-tree -r`, and `git ls-tree -r -z`")?;
    Ok(out.flush()?)
}
