//! Why a command was not done, in one line: what is wrong, and what to do.

use std::error::Error as StdError;

use tonic::{Code, Status};

/// Why a command was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The output is a pipe, and whoever read it has gone.
    NobodyReads,
    /// What is wrong and what to do.
    Told(String),
}

impl Failure {
    pub(crate) fn told(what: impl Into<String>) -> Self {
        Self::Told(what.into())
    }

    /// What the server answered, or why it did not.
    pub(crate) fn of_status(status: &Status, endpoint: &str) -> Self {
        if is_broken(status) {
            let why = deepest(status);
            let remedy = match () {
                () if why.contains("CertificateRequired") => {
                    "; give this client's certificate with --cert and --key"
                }
                () if endpoint.starts_with("http:") => "; where the server wants TLS, say https://",
                () => "",
            };
            return Self::Told(format!(
                "the connection to {endpoint} broke ({why}): whether the request was done is unknown{remedy}"
            ));
        }
        let remedy = match status.code() {
            Code::Unimplemented => ": this server cannot do that",
            _ => remedy(status.message()),
        };
        Self::Told(format!("{}{remedy}", said(status)))
    }
}

/// Whether it is the connection that failed, and not the request: what a server answers has no cause on this side.
pub(crate) fn is_broken(status: &Status) -> bool {
    status.source().is_some()
}

/// The innermost cause, which is the one that tells.
pub(crate) fn deepest(error: &dyn StdError) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// An error with its causes, as one line.
pub(crate) fn with_causes(error: &dyn StdError) -> String {
    let mut told = error.to_string();
    let mut cause = error;
    while let Some(source) = cause.source() {
        let source_told = source.to_string();
        if !told.contains(&source_told) {
            told = format!("{told}: {source_told}");
        }
        cause = source;
    }
    told
}

fn said(status: &Status) -> String {
    match status.message() {
        "" => format!("the server answered {:?} and no reason", status.code()),
        message => message.to_owned(),
    }
}

/// What to do about the answers that people get.
pub(crate) fn remedy(answer: &str) -> &'static str {
    const REMEDIES: &[(&str, &str)] = &[
        (
            "required revision has been compacted",
            ": read a newer revision; `watchful status` tells where the store is",
        ),
        ("required revision is a future revision", ": `watchful status` tells where the store is"),
        ("database space exceeded", ": delete keys and compact, or raise the quota, and disarm the alarm"),
        ("requested lease not found", ": `watchful lease list` shows those there are"),
        ("key is not provided", ": give a key of at least one byte, or --prefix for all"),
        ("request is too large", ": the server's --max-request-bytes is the bound"),
        ("user name is empty", ": auth is on, so say who asks with --user NAME"),
        ("authentication failed", ": see --user and --password"),
        ("permission denied", ": none of the user's roles permits it; `watchful user get NAME` tells them"),
        ("authentication is not enabled", ": `watchful auth enable` turns it on"),
        ("root user does not exist", ": `watchful user add root` first"),
        ("root user does not have root role", ": `watchful user grant root root` first"),
        ("user name not found", ": `watchful user list` shows those there are"),
        ("role name not found", ": `watchful role list` shows those there are"),
    ];
    let known = REMEDIES.iter().find(|(what, _)| answer.contains(what));
    known.map_or("", |(_, remedy)| remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: &Status, expected: &str) {
        let Failure::Told(told) = Failure::of_status(status, "http://h") else { panic!("told") };
        assert_eq!(told, expected);
    }

    #[test]
    fn answers_are_told_with_what_to_do() {
        check(
            &Status::not_found("etcdserver: requested lease not found"),
            "etcdserver: requested lease not found: `watchful lease list` shows those there are",
        );
        check(&Status::invalid_argument("etcdserver: new"), "etcdserver: new");
        check(&Status::aborted(""), "the server answered Aborted and no reason");
        check(&Status::unimplemented("unknown service x"), "unknown service x: this server cannot do that");
    }

    #[test]
    fn a_broken_connection_is_no_answer() {
        let broken = Status::from_error(Box::new(std::io::Error::other("cut")));
        check(
            &broken,
            "the connection to http://h broke (cut): whether the request was done is unknown; where the server wants \
             TLS, say https://",
        );
    }
}
