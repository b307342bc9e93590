//! The file of settings: YAML with flags' names as keys, and etcd's two groups of keys for TLS.

use std::fs::File;
use std::io::Read;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};

use super::args;
use super::draft::Draft;
use super::error::ConfigError;
use super::table::{Does, Flag, Takes, Why};

/// More than any file of settings, and little enough to be read whole.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads the file and sets what it says.
pub(crate) fn read(path: &str, draft: &mut Draft) -> Result<(), ConfigError> {
    let text = contents(path)?;
    let documents = MarkedYaml::load_from_str(&text)
        .map_err(|error| ConfigError(format!("{path} is not YAML: {error}")))?;
    let [document] = &documents[..] else {
        let wrong = if documents.is_empty() { "it is empty" } else { "it has several documents" };
        return Err(ConfigError::of(path, format!("{wrong}; write one list of `name: value` lines")));
    };
    let file = Reader { path };
    file.each(document, |key, node| match key {
        "client-transport-security" => file.each(node, |key, node| file.security(draft, key, node)),
        "peer-transport-security" => {
            draft.has_no_effect(Why::Cluster, "peer-transport-security");
            Ok(())
        }
        "discovery-config" => Err(file.wrong(node, key, "this server is a cluster of one; leave it out")),
        _ => file.flag(draft, key, node),
    })
}

fn contents(path: &str) -> Result<String, ConfigError> {
    let wrong =
        |error: std::io::Error| ConfigError::of("--config-file", format!("cannot read {path}: {error}"));
    let mut text = String::new();
    File::open(path).map_err(wrong)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(wrong)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(ConfigError::of(
            "--config-file",
            format!("{path} is larger than 1 MiB; is it the right file?"),
        ));
    }
    Ok(text)
}

struct Reader<'a> {
    path: &'a str,
}

impl Reader<'_> {
    /// Hands each key and value of a mapping to `set`.
    fn each<'i>(
        &self,
        node: &MarkedYaml<'i>,
        mut set: impl FnMut(&str, &MarkedYaml<'i>) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        let YamlData::Mapping(mapping) = &node.data else {
            return Err(self.wrong(node, "settings", "write `name: value` lines"));
        };
        for (key, value) in mapping {
            let Some(name) = scalar(key) else {
                return Err(self.wrong(key, "settings", "a key must be a flag's name"));
            };
            set(&name, value)?;
        }
        Ok(())
    }

    /// The keys of `client-transport-security`, two of which have other names than their flags.
    fn security(&self, draft: &mut Draft, key: &str, node: &MarkedYaml<'_>) -> Result<(), ConfigError> {
        match key {
            "allowed-hostname" => self.flag(draft, "client-cert-allowed-hostname", node),
            "cert-file" | "key-file" | "client-cert-file" | "client-key-file" | "client-cert-auth"
            | "client-crl-file" | "trusted-ca-file" | "auto-tls" => self.flag(draft, key, node),
            _ => Err(self.wrong(node, key, "client-transport-security has no such key; take it out")),
        }
    }

    fn flag(&self, draft: &mut Draft, key: &str, node: &MarkedYaml<'_>) -> Result<(), ConfigError> {
        let flag = args::find(key).map_err(|unknown| self.wrong(node, key, unknown))?;
        if matches!(flag.does, Does::First) {
            return Err(self.wrong(node, key, "it is for the command line; take it out"));
        }
        let Some(text) = text_for(flag, node) else {
            return Err(self.wrong(node, key, "give one value, or a list of them"));
        };
        // A key without a value is as good as none, as in etcd.
        if text.is_empty() {
            return Ok(());
        }
        draft.set(flag, &text).map_err(|wrong| self.wrong(node, key, wrong))
    }

    fn wrong(&self, at: &MarkedYaml<'_>, key: &str, wrong: impl std::fmt::Display) -> ConfigError {
        ConfigError(format!("{}, line {}: {key}: {wrong}", self.path, at.span.start.line()))
    }
}

/// What a flag would be given on the command line.
fn text_for(flag: &Flag, node: &MarkedYaml<'_>) -> Option<String> {
    match &node.data {
        // etcd's files give durations in nanoseconds.
        YamlData::Value(Scalar::Integer(nanos)) if flag.takes == Takes::Duration => {
            Some(format!("{nanos}ns"))
        }
        YamlData::Sequence(items) => Some(items.iter().map(scalar).collect::<Option<Vec<_>>>()?.join(",")),
        _ => scalar(node),
    }
}

fn scalar(node: &MarkedYaml<'_>) -> Option<String> {
    match &node.data {
        YamlData::Value(Scalar::Null) => Some(String::new()),
        YamlData::Value(Scalar::Boolean(switch)) => Some(switch.to_string()),
        YamlData::Value(Scalar::Integer(number)) => Some(number.to_string()),
        YamlData::Value(Scalar::FloatingPoint(number)) => Some(number.to_string()),
        YamlData::Value(Scalar::String(text)) => Some(text.to_string()),
        _ => None,
    }
}
