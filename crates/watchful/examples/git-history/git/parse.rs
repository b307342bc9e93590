//! What git prints, taken apart: lists that are separated by NUL.

use std::io::BufRead;

use super::commits::ChangeKind;
use super::error::{GitError, malformed};

/// A text cut at each NUL.
#[derive(Debug)]
pub(super) struct Tokens<R>(pub(super) R);

impl<R: BufRead> Tokens<R> {
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, GitError> {
        let mut token = Vec::new();
        let read = self.0.read_until(0, &mut token);
        read.map_err(|source| GitError::Io { doing: "reading what git prints", source })?;
        match token.pop() {
            None => Ok(None),
            Some(0) => Ok(Some(token)),
            Some(_) => Err(GitError::BrokenOff),
        }
    }

    /// The next token that opens a commit or a change. Git sets the two apart with a line's end or one NUL more; a path
    /// may begin with a line's end of its own, and is not read this way.
    pub(super) fn next_opening(&mut self) -> Result<Option<Vec<u8>>, GitError> {
        while let Some(token) = self.next()? {
            let token = token.strip_prefix(b"\n").unwrap_or(&token);
            if !token.is_empty() {
                return Ok(Some(token.to_vec()));
            }
        }
        Ok(None)
    }
}

/// Reads `<id> <subject>`.
pub(super) fn parse_opening(token: &[u8]) -> Result<(String, Vec<u8>), GitError> {
    let space = token.iter().position(|byte| *byte == b' ').ok_or_else(|| malformed("a commit", token))?;
    Ok((parse_id(&token[..space])?, token[space + 1..].to_vec()))
}

/// Reads `<old mode> <new mode> <old id> <new id> <status>`.
pub(super) fn parse_change(raw: &[u8]) -> Result<ChangeKind, GitError> {
    let fields: Vec<&[u8]> = raw.split(|byte| *byte == b' ').collect();
    match fields[..] {
        [_, _, _, _, b"D"] => Ok(ChangeKind::Delete),
        [_, mode, _, id, b"A" | b"M" | b"T"] => {
            Ok(ChangeKind::Put { mode: parse_mode(mode)?, blob: parse_id(id)? })
        }
        _ => Err(malformed("a change", raw)),
    }
}

fn parse_mode(field: &[u8]) -> Result<[u8; 6], GitError> {
    let mode = field.try_into().ok().filter(|mode: &[u8; 6]| mode.iter().all(u8::is_ascii_digit));
    mode.ok_or_else(|| malformed("a mode", field))
}

/// An id has 40 digits, or 64 in a repository that uses SHA-256.
pub(super) fn parse_id(field: &[u8]) -> Result<String, GitError> {
    let is_id = matches!(field.len(), 40 | 64) && field.iter().all(u8::is_ascii_hexdigit);
    let id = is_id.then(|| String::from_utf8_lossy(field).into_owned());
    id.ok_or_else(|| malformed("an id", field))
}

/// One file of a commit's tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TreeEntry<'a> {
    /// As in [`ChangeKind::Put`].
    pub(crate) mode: [u8; 6],
    /// `blob`, or `commit` for a submodule.
    pub(crate) kind: &'a [u8],
    /// As in [`ChangeKind::Put`].
    pub(crate) blob: String,
    /// As in [`Change`].
    pub(crate) path: &'a [u8],
}

/// Reads what [`Repository::ls_tree`] gives: `<mode> <type> <id>`, a tab, the path, a NUL.
pub(crate) fn parse_tree(raw: &[u8]) -> Result<Vec<TreeEntry<'_>>, GitError> {
    let mut entries = Vec::new();
    let mut rest = raw;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == 0).ok_or(GitError::BrokenOff)?;
        entries.push(parse_tree_entry(&rest[..end])?);
        rest = &rest[end + 1..];
    }
    Ok(entries)
}

fn parse_tree_entry(line: &[u8]) -> Result<TreeEntry<'_>, GitError> {
    let tab = line.iter().position(|byte| *byte == b'\t').ok_or_else(|| malformed("a tree's entry", line))?;
    let fields: Vec<&[u8]> = line[..tab].split(|byte| *byte == b' ').collect();
    let [mode, kind, id] = fields[..] else { return Err(malformed("a tree's entry", line)) };
    Ok(TreeEntry { mode: parse_mode(mode)?, kind, blob: parse_id(id)?, path: &line[tab + 1..] })
}
