//! The command line, as Go's flag package reads it: one dash or two, `-name=value` or `-name value`, switches without a
//! value, the last of several.

use std::ffi::OsString;

use super::error::ConfigError;
use super::table::{self, Flag, Takes};

/// A flag and what it was given.
pub(crate) type Given = (&'static Flag, String);

/// The flags of `args`, in their order. The program's name is not among them.
pub(crate) fn read(args: impl Iterator<Item = OsString>) -> Result<Vec<Given>, ConfigError> {
    let mut given = Vec::new();
    let mut args = args.map(text);
    while let Some(arg) = args.next() {
        let arg = arg?;
        let Some((name, value)) = split(&arg) else { return Err(not_a_flag(&arg, given.last())) };
        let flag = find(name)?;
        let value = match (value, flag.takes) {
            (Some(value), _) => value.to_owned(),
            (None, Takes::Switch) => "true".to_owned(),
            (None, _) => args.next().unwrap_or_else(|| Err(no_value(flag)))?,
        };
        given.push((flag, value));
    }
    Ok(given)
}

/// The flag of this name, or the error that says what may have been meant.
pub(crate) fn find(name: &str) -> Result<&'static Flag, ConfigError> {
    let name = if name == "h" { "help" } else { name };
    table::find(name).ok_or_else(|| match table::near(name) {
        Some(near) => ConfigError(format!("there is no flag --{name}; did you mean --{near}?")),
        None => ConfigError(format!("there is no flag --{name}; --help lists those that there are")),
    })
}

/// The name and the value after `=`; none where it is no flag.
fn split(arg: &str) -> Option<(&str, Option<&str>)> {
    let name = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-'))?;
    if name.is_empty() || name.starts_with(['-', '=']) {
        return None;
    }
    Some(name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value))))
}

fn not_a_flag(arg: &str, before: Option<&Given>) -> ConfigError {
    let hint = match (arg, before) {
        ("gateway" | "grpc-proxy", _) => {
            "there is no proxy here; clients reach the one server themselves".into()
        }
        (_, Some((flag, _))) if flag.takes == Takes::Switch => {
            format!("to give --{} a value, write --{}={arg}", flag.name, flag.name)
        }
        _ => "flags begin with --; --help lists them".to_owned(),
    };
    ConfigError(format!("{arg:?} is not a flag: {hint}"))
}

fn no_value(flag: &Flag) -> ConfigError {
    ConfigError(format!("--{0} needs a value: --{0}=…", flag.name))
}

fn text(arg: OsString) -> Result<String, ConfigError> {
    arg.into_string().map_err(|arg| {
        ConfigError(format!("the argument {:?} is not UTF-8; write it in UTF-8", arg.to_string_lossy()))
    })
}
