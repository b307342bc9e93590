//! The tree of a commit, as the store has it: `--at`, and `--verify`, which compares it with git's own answer.

use std::collections::BTreeMap;
use std::io::{self, Write};

use watchful::{Store, View};
use watchful_testkit::SplitMix64;

use crate::failure::Failure;
use crate::git::{Repository, parse_tree};
use crate::keys::{commits_at, path_of, paths, revision_of, split_value};
use crate::quote::{push_quoted, quoted};
use crate::replay::commit_at;

/// A tree: what `git ls-tree` prints before the path, by path.
pub(crate) type Tree = BTreeMap<Vec<u8>, Vec<u8>>;

/// How the lines of a listing end, and how names are in them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// `git ls-tree -r`.
    Lines { quote_high_bytes: bool },
    /// `git ls-tree -r -z`: a NUL after each name, and every name as it is.
    Nul,
}

/// The tree of `commit`, as git itself says.
pub(crate) fn git_tree(repository: &Repository, commit: &str) -> Result<Tree, Failure> {
    let raw = repository.ls_tree(commit)?;
    let entries = parse_tree(&raw)?.into_iter();
    let left = |mode: [u8; 6], kind: &[u8], id: String| [&mode[..], kind, id.as_bytes()].join(&b' ');
    Ok(entries.map(|entry| (entry.path.to_vec(), left(entry.mode, entry.kind, entry.blob))).collect())
}

/// The store at the revision of the commit `id`; none where that commit is not in the store.
pub(crate) fn view_at(repository: &Repository, store: &Store, id: &str) -> Result<Option<View>, Failure> {
    let revision = revision_of(repository.count_commits(id)?);
    if revision <= store.current_revision() && commit_at(store, revision)? == id {
        return Ok(Some(store.view_at(revision)?));
    }
    Ok(None)
}

/// Writes every path of a view, as `git ls-tree -r` does.
pub(crate) fn list(view: &View, form: Form, out: &mut impl Write) -> Result<(), Failure> {
    let mut line = Vec::new();
    for turn in view.scan(&paths(b"")) {
        for record in turn? {
            line.clear();
            push_line(record.key(), record.value(), form, &mut line);
            out.write_all(&line)?;
        }
    }
    Ok(out.flush()?)
}

fn push_line(key: &[u8], value: &[u8], form: Form, line: &mut Vec<u8>) {
    let (left, _subject) = split_value(value);
    let path = path_of(key).unwrap_or(key);
    line.extend_from_slice(left);
    line.push(b'\t');
    match form {
        Form::Lines { quote_high_bytes } => {
            push_quoted(path, quote_high_bytes, line);
            line.push(b'\n');
        }
        Form::Nul => {
            line.extend_from_slice(path);
            line.push(0);
        }
    }
}

/// Compares the store with git at `count` commits chosen by `seed`, in both forms. Commits may repeat.
pub(crate) fn verify(
    repository: &Repository,
    store: &Store,
    count: u64,
    seed: u64,
    mut tell: impl FnMut(),
) -> Result<(), Failure> {
    let form = Form::Lines { quote_high_bytes: repository.quotes_high_bytes()? };
    let mut random = SplitMix64::new(seed);
    for _ in 0..count {
        let revision = revision_of(random.below(commits_at(store.current_revision())) + 1);
        let id = commit_at(store, revision)?;
        let view = store.view_at(revision)?;
        compare(&id, &listing(&view, form)?, &repository.ls_tree_lines(&id)?, b'\n')?;
        compare(&id, &listing(&view, Form::Nul)?, &repository.ls_tree(&id)?, 0)?;
        tell();
    }
    Ok(())
}

fn listing(view: &View, form: Form) -> Result<Vec<u8>, Failure> {
    let mut listing = Vec::new();
    list(view, form, &mut listing)?;
    Ok(listing)
}

fn compare(commit: &str, store: &[u8], git: &[u8], end: u8) -> Result<(), Failure> {
    if store == git {
        return Ok(());
    }
    let mut pairs = store.split(|byte| *byte == end).zip(git.split(|byte| *byte == end));
    let (store, git) = pairs.find(|(store, git)| store != git).unwrap_or((b"fewer or more lines", b""));
    let text = format!("at {commit} the store says {} and git {}", quoted(store), quoted(git));
    // What was found is worth a line of its own, whatever becomes of the rest.
    let _ = writeln!(io::stderr(), "violation: {text}");
    Err(Failure::Broken)
}
