//! Settings from flags, variables and a file, in etcd's words, so that what starts etcd starts this.
//!
//! There is one table of flags, in `flags` and `inert`: the parser reads it, and so do the help text, the file of
//! settings and the page for operators. `args`, `env` and `file` say what was given; each flag sets its part of a
//! `Draft`; `finish` looks at the whole.
//!
//! What has no effect here is accepted and said ([`Config::notices`]); what asks for something that is not here, or is not
//! known, is an error of one line.

use std::ffi::OsString;

use crate::listen::ListenUrl;
use crate::log::LogSettings;
use crate::settings::ServerSettings;
use crate::state::ETCD_VERSION;
use crate::tls::TlsSettings;

mod args;

mod env;

mod file;

mod table;

mod flags;

mod inert;

mod value;

mod draft;

mod finish;

mod help;

mod error;

pub use error::ConfigError;
pub(crate) use value::duration;

use draft::Draft;

/// What a command line asks for.
#[derive(Debug)]
pub enum Parsed {
    /// To serve, with these settings.
    Serve(Box<Config>),
    /// To print the help.
    Help(String),
    /// To print the version.
    Version(String),
}

/// All that a server is told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The server's own settings. Without `--advertise-client-urls` it advertises where it listens, which is known only
    /// then, so the list is empty here.
    pub settings: ServerSettings,
    /// Where clients are served. At least one.
    pub listen_client: Vec<ListenUrl>,
    /// Further addresses, for metrics and health only.
    pub listen_metrics: Vec<ListenUrl>,
    /// What TLS is made of. There whenever an address asks for TLS.
    pub tls: Option<TlsSettings>,
    /// What is told where.
    pub log: LogSettings,
    /// What to say at the start: flags without an effect, variables that nobody knows.
    pub notices: Vec<String>,
}

impl Config {
    /// Reads the command line (without the program's name) and the variables.
    ///
    /// ```
    /// use watchful_server::{Config, Parsed};
    ///
    /// let args = ["-name=a", "--listen-client-urls", "http://127.0.0.1:0"];
    /// let Parsed::Serve(config) = Config::parse(args.map(Into::into).into_iter(), [])? else { panic!("no help") };
    /// assert_eq!(config.settings.data_dir.to_str(), Some("a.watchful"));
    /// # Ok::<(), watchful_server::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// One line that names the flag, the variable or the line of the file that is wrong, and what to do.
    pub fn parse(
        args: impl Iterator<Item = OsString>,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Parsed, ConfigError> {
        let given = args::read(args)?;
        if is_asked(&given, "help")? {
            return Ok(Parsed::Help(help::text()));
        }
        if is_asked(&given, "version")? {
            return Ok(Parsed::Version(version()));
        }
        let variables = env::ours(env)?;
        let config = match config_file(&given, &variables) {
            Some(path) => from_file(&path, &given, &variables)?,
            None => from_flags(&given, variables)?,
        };
        Ok(Parsed::Serve(Box::new(config)))
    }
}

fn from_flags(
    given: &[args::Given],
    variables: std::collections::BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let mut draft = Draft::new();
    let (variables, notices) = env::beside(given, variables);
    draft.notices = notices;
    for (name, (flag, value)) in variables {
        draft.set(flag, &value).map_err(|wrong| ConfigError::of(&name, wrong))?;
    }
    for (flag, value) in given {
        draft.set(flag, value).map_err(|wrong| ConfigError::of(&format!("--{}", flag.name), wrong))?;
    }
    draft.finish()
}

/// With a file, only the file holds, as in etcd; and it is said which flags and variables do not.
fn from_file(
    path: &str,
    given: &[args::Given],
    variables: &std::collections::BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let mut draft = Draft::new();
    let flags = given.iter().map(|(flag, _)| flag.name).filter(|name| *name != "config-file");
    let variables = variables.keys().filter(|name| *name != "ETCD_CONFIG_FILE").cloned();
    let beaten: Vec<String> = flags.map(|name| format!("--{name}")).chain(variables).collect();
    if !beaten.is_empty() {
        draft.notices.push(format!("only {path} is read, and these have no effect: {}", beaten.join(", ")));
    }
    file::read(path, &mut draft)?;
    draft.finish()
}

fn config_file(
    given: &[args::Given],
    variables: &std::collections::BTreeMap<String, String>,
) -> Option<String> {
    let flag = given.iter().rev().find(|(flag, _)| flag.name == "config-file").map(|(_, path)| path);
    flag.or_else(|| variables.get("ETCD_CONFIG_FILE")).filter(|path| !path.is_empty()).cloned()
}

fn is_asked(given: &[args::Given], name: &str) -> Result<bool, ConfigError> {
    let Some((_, text)) = given.iter().rev().find(|(flag, _)| flag.name == name) else { return Ok(false) };
    value::boolean(text).map_err(|wrong| ConfigError::of(&format!("--{name}"), wrong))
}

/// What `--version` prints. The second line is for scripts that look for etcd's.
fn version() -> String {
    format!(
        "watchful Version: {}\netcd Version: {ETCD_VERSION} (whose API is kept)\n",
        env!("CARGO_PKG_VERSION")
    )
}

#[cfg(test)]
mod tests;
