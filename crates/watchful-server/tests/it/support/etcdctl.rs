//! `etcdctl`, pointed at a server.

use std::path::PathBuf;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::peers::peer;
use super::process::{Ended, Process};
use super::server::{Server, clean};

pub(crate) struct Etcdctl {
    program: PathBuf,
    endpoint: String,
}

impl Etcdctl {
    /// None where there is no etcdctl, which has then been said.
    pub(crate) fn of(server: &Server) -> Option<Self> {
        let endpoint = if server.is_secure() { server.endpoint() } else { server.authority() };
        Some(Self { program: peer("etcdctl")?, endpoint })
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = clean(&self.program);
        command.env("ETCDCTL_API", "3").env("ETCDCTL_ENDPOINTS", &self.endpoint).args(arguments);
        command
    }

    /// Starts a command that goes on until it is stopped.
    pub(crate) fn start(&self, arguments: &[&str]) -> Process {
        Process::spawn(&mut self.command(arguments))
    }

    /// Runs a command that must succeed. Answers with its standard output.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        self.ok_with(arguments, "")
    }

    /// The same, with `input` on its standard input.
    pub(crate) fn ok_with(&self, arguments: &[&str], input: &str) -> String {
        let ended = self.run(arguments, input);
        assert!(ended.status.success(), "etcdctl {arguments:?} failed: {ended:#?}");
        ended.stdout
    }

    /// Runs a command that must fail. Answers with what it says of the failure.
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments, "");
        assert!(!ended.status.success(), "etcdctl {arguments:?} should have failed: {ended:#?}");
        ended.stderr
    }

    /// Runs a command with `-w json`.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let text = self.ok(&[arguments, &["-w", "json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    /// The store's revision, as the header of a read tells it.
    pub(crate) fn revision(&self) -> u64 {
        json_number(&self.json(&["get", "no such key"])["header"]["revision"])
    }

    /// Runs a command, however it ends.
    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> Ended {
        Process::spawn_with_input(&mut self.command(arguments), input).finish()
    }
}

/// A number of etcdctl's JSON. What is 0 is left out.
pub(crate) fn json_number(value: &Value) -> u64 {
    if value.is_null() { 0 } else { value.as_u64().unwrap_or_else(|| panic!("{value} should be a number")) }
}

/// Bytes of etcdctl's JSON, which are in base64. What is empty is left out.
pub(crate) fn json_bytes(value: &Value) -> String {
    let bytes = STANDARD.decode(value.as_str().unwrap_or_default()).unwrap();
    String::from_utf8(bytes).unwrap()
}
