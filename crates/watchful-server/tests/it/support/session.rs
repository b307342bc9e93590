//! A session with etcdctl, written down as a terminal would show it, so that the sessions with two servers can be compared.

use std::fmt::Write as _;

use super::etcdctl::Etcdctl;
use super::server::Server;

/// What etcdctl was told and what it said.
pub(crate) struct Session {
    etcdctl: Etcdctl,
    /// What is another with every server, and what the transcript has in its place.
    names: Vec<(String, String)>,
    transcript: String,
}

impl Session {
    pub(crate) fn new(server: &Server, etcdctl: Etcdctl) -> Self {
        let names = vec![
            (server.authority(), "ADDRESS".to_owned()),
            (server.scratch().to_string_lossy().into_owned(), "FOLDER".to_owned()),
        ];
        Self { etcdctl, names, transcript: String::new() }
    }

    /// `name` stands for this text, in what has been said too.
    pub(crate) fn rename(&mut self, text: &str, name: &str) {
        self.transcript = self.transcript.replace(text, name);
        self.names.push((text.to_owned(), name.to_owned()));
    }

    /// Runs a command given in words. Answers with what it printed and how it ended.
    pub(crate) fn run(&mut self, words: &str) -> String {
        self.run_with(words, "")
    }

    /// The same, with `input` on its standard input.
    pub(crate) fn run_with(&mut self, words: &str, input: &str) -> String {
        let arguments: Vec<&str> = words.split_whitespace().collect();
        let ended = self.etcdctl.run(&arguments, input);
        // Beside its error etcdctl logs, in JSON, each try.
        let errors = ended.stderr.lines().filter(|line| !line.starts_with('{'));
        let errors: String = errors.flat_map(|line| [line, "\n"]).collect();
        let code = ended.status.code().unwrap_or(-1);
        let mut said = format!("{}{errors}[{code}]\n", ended.stdout);
        let mut command = words.to_owned();
        for (text, name) in &self.names {
            said = said.replace(text, name);
            command = command.replace(text, name);
        }
        // Writing to a `String` cannot fail.
        let _ = write!(self.transcript, "$ etcdctl {command}\n{said}");
        said
    }

    /// The whole session.
    pub(crate) fn transcript(self) -> String {
        self.transcript
    }
}
