//! The variables: `ETCD_` and a flag's name in capitals. A flag on the command line beats its variable.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::args::Given;
use super::error::ConfigError;
use super::table::{self, Does};

const PREFIX: &str = "ETCD_";

/// The variables that begin with `ETCD_` and are not empty. Empty ones count as unset, as in etcd.
pub(crate) fn ours(
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut ours = BTreeMap::new();
    for (name, value) in env {
        let Ok(name) = name.into_string() else { continue };
        if !name.starts_with(PREFIX) || value.is_empty() {
            continue;
        }
        let value = value
            .into_string()
            .map_err(|_| ConfigError::of(&name, "its value is not UTF-8; set it again, or unset it"))?;
        ours.insert(name, value);
    }
    Ok(ours)
}

/// What the variables give beside the command line's `given`, each with the name to complain about; and what there is to
/// say about them.
pub(crate) fn beside(
    given: &[Given],
    variables: BTreeMap<String, String>,
) -> (Vec<(String, Given)>, Vec<String>) {
    let (mut taken, mut notices) = (Vec::new(), Vec::new());
    for (name, value) in variables {
        let Some(flag) = table::find(&flag_name(&name)).filter(|flag| settable(flag.name, flag.does)) else {
            notices.push(format!("{name} is set, but there is no such setting, and it has no effect"));
            continue;
        };
        if given.iter().any(|(given, _)| given.name == flag.name) {
            notices
                .push(format!("{name} has no effect: --{} is given too, and a flag goes first", flag.name));
        } else {
            taken.push((name, (flag, value)));
        }
    }
    (taken, notices)
}

/// The help and the version are asked for on the command line only.
fn settable(name: &str, does: Does) -> bool {
    !matches!(does, Does::First) || name == "config-file"
}

fn flag_name(variable: &str) -> String {
    variable[PREFIX.len()..].to_lowercase().replace('_', "-")
}
