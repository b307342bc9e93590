//! What is said on the command line: which half of the program is meant, and the client's commands and options.
//!
//! A server's flags are not read here: `watchful_server::config` does that.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::login::Secret;
use crate::server::Endpoint;
use crate::{
    auth, check, compact, del, duration, get, lease, put, restore, role, snapshot, txn, user, watch, watchers,
};

const SERVER_HELP: &str = "\
Server:
  watchful [FLAGS]        serves a store, with etcd's flags; with none, the folder default.watchful at 127.0.0.1:2379
  watchful serve [FLAGS]  the same
  watchful serve --help   lists the flags

Output:
  Keys and values that are text are printed as they are. All others are printed in quotes, with \\n, \\t, \\\" and \\xHH.
  With --json, one JSON object a line, bytes in base64; `watchful COMMAND --help` shows its fields.

Exit codes:
  0  done. A `get` of a key that is not there is done too: it prints nothing.
  1  not done; one line on stderr says why.
  2  the command line cannot be read.";

/// Watchful: a key-value store that you can watch. A client for it, or for an etcd; without a command, the server.
#[derive(Debug, Parser)]
#[command(
    name = "watchful",
    after_help = SERVER_HELP,
    override_usage = "watchful [OPTIONS] COMMAND …\n       watchful [SERVER FLAGS]",
    disable_help_subcommand = true,
    disable_version_flag = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the server is, how to speak to it, and how to answer here.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Where the server listens: an http or https URL
    #[arg(
        long,
        global = true,
        env = "WATCHFUL_ENDPOINT",
        hide_env_values = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:2379",
        alias = "endpoints"
    )]
    pub(crate) endpoint: Endpoint,
    /// Whom to believe who the server is (PEM); without it, whom the system does
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) cacert: Option<std::path::PathBuf>,
    /// This client's certificate (PEM)
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) cert: Option<std::path::PathBuf>,
    /// The key of that certificate (PEM)
    // A name of its own: `key` is what the commands call theirs.
    #[arg(long = "key", global = true, value_name = "FILE")]
    pub(crate) tls_key: Option<std::path::PathBuf>,
    /// Do not check who the server is: encrypted, but to whom?
    #[arg(long, global = true)]
    pub(crate) insecure_skip_tls_verify: bool,
    /// Who asks, where the server has auth turned on. A password that is not given is asked for; ETCDCTL_USER is read too
    #[arg(
        long,
        global = true,
        env = "WATCHFUL_USER",
        hide_env_values = true,
        value_name = "NAME[:PASSWORD]",
        value_parser = clap::value_parser!(Secret)
    )]
    pub(crate) user: Option<Secret>,
    /// The password; all of --user is the name then. ETCDCTL_PASSWORD is read too
    #[arg(
        long,
        global = true,
        env = "WATCHFUL_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD",
        value_parser = clap::value_parser!(Secret)
    )]
    pub(crate) password: Option<Secret>,
    /// How long to wait for a connection, and for each answer (as 500ms, 5s, 1m)
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        default_value = "5s",
        alias = "command-timeout",
        value_parser = duration::parse
    )]
    pub(crate) timeout: Duration,
    /// Print one JSON object a line, for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// The client's commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Put(put::PutArgs),
    Get(get::GetArgs),
    Del(del::DelArgs),
    Watch(watch::WatchArgs),
    Txn(txn::TxnArgs),
    Lease(lease::LeaseArgs),
    Auth(auth::AuthArgs),
    User(user::UserArgs),
    Role(role::RoleArgs),
    Compact(compact::CompactArgs),
    /// Tell the server's version, revision, sizes, alarms and watchers
    #[command(after_help = crate::status::HELP)]
    Status,
    Watchers(watchers::WatchersArgs),
    Snapshot(snapshot::SnapshotArgs),
    Check(check::CheckArgs),
    Restore(restore::RestoreArgs),
}

/// Which half of the program is meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meant<'a> {
    /// The server, with these flags.
    Server(&'a [OsString]),
    Client,
}

/// Tells it by the first word: a flag that is not one of the client's means the server, as does none at all. A word that
/// is no command is the client's mistake, for it to tell.
pub(crate) fn meant(args: &[OsString]) -> Meant<'_> {
    let Some(first) = args.get(1) else { return Meant::Server(&[]) };
    let first = first.to_string_lossy();
    match &*first {
        "serve" => Meant::Server(&args[2..]),
        "-h" | "--help" => Meant::Client,
        flag if flag.starts_with('-') && !is_of_client(flag) => Meant::Server(&args[1..]),
        _ => Meant::Client,
    }
}

fn is_of_client(flag: &str) -> bool {
    let Some(name) = flag.strip_prefix("--") else { return false };
    let name = name.split_once('=').map_or(name, |(name, _)| name);
    Cli::command().get_arguments().any(|arg| {
        arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
    })
}

/// The client's words.
pub(crate) fn parse(args: &[OsString]) -> Result<Cli, clap::Error> {
    // Listed for who asks for help; `meant` has taken it out already.
    let serve = clap::Command::new("serve").about("Run the server (without a command too)");
    let matches = Cli::command().subcommand(serve).try_get_matches_from(args)?;
    Cli::from_arg_matches(&matches)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        std::iter::once("watchful").chain(line.split_whitespace()).map(OsString::from).collect()
    }

    fn check_meant(line: &str, expected: &str) {
        let args = words(line);
        let found = match meant(&args) {
            Meant::Client => "client".to_owned(),
            Meant::Server(flags) => format!("server {flags:?}"),
        };
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn the_first_word_tells_who_is_meant() {
        check_meant("", "server []");
        check_meant("--data-dir x", "server [\"--data-dir\", \"x\"]");
        check_meant("-data-dir=x", "server [\"-data-dir=x\"]");
        check_meant("--version", "server [\"--version\"]");
        check_meant("--key-file x", "server [\"--key-file\", \"x\"]");
        check_meant("serve --help", "server [\"--help\"]");
        check_meant("--help", "client");
        check_meant("put a b", "client");
        check_meant("--endpoint=http://x put a b", "client");
        check_meant("--endpoints http://x put a b", "client");
        check_meant("--json get a", "client");
        check_meant("--user a:b get a", "client");
        check_meant("putt a b", "client");
    }

    #[test]
    fn the_whole_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    fn check_mistake(line: &str, expected: &str) {
        let error = parse(&words(line)).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(text.contains(expected), "{line}: {text}");
    }

    #[test]
    fn mistakes_are_told() {
        check_mistake("putt a b", "a similar subcommand exists: 'put'");
        check_mistake("put", "<KEY>");
        check_mistake("get a b --prefix", "cannot be used with");
        check_mistake("get a --rev x", "invalid value 'x'");
        check_mistake("get a --timeout 5x", "invalid value '5x'");
        check_mistake("get a --endpoint ftp://h", "http://HOST:PORT or https://HOST:PORT");
        check_mistake("restore --data-dir d", "<FILE>");
        check_mistake("restore f --from-etcd f --data-dir d", "cannot be used with");
        check_mistake("lease revoke xyz", "hexadecimal");
        check_mistake("role grant r own k", "[possible values: read, write, readwrite]");
        check_mistake("role grant r read a b --prefix", "cannot be used with");
        check_mistake("role revoke r", "<KEY>");
    }

    #[test]
    fn no_password_is_ever_printed() {
        for line in ["--user a:secret get k", "get k --user a --password secret", "user add b:secret"] {
            let debugged = format!("{:?}", parse(&words(line)).unwrap());
            assert!(!debugged.contains("secret"), "{debugged}");
        }
    }

    #[test]
    fn options_stand_before_or_after_the_command() {
        for line in ["--json --timeout 2s get a", "get a --json --timeout 2s"] {
            let cli = parse(&words(line)).unwrap();
            assert!(cli.connection.json && cli.connection.timeout == Duration::from_secs(2), "{line}");
        }
    }

    #[test]
    fn help_names_every_command_and_the_server() {
        let help = parse(&words("--help")).unwrap_err().to_string();
        for word in ["put", "watch", "txn", "snapshot", "watchers", "serve --help", "--json", "Exit codes"] {
            assert!(help.contains(word), "{word} is not in {help}");
        }
    }
}
