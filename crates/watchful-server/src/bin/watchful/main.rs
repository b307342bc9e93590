//! The program `watchful`: a server, and a client for one.
//!
//! **What it is for:** `watchful` with a server's flags, or with none, serves; `watchful COMMAND` does one thing and ends.
//!
//! **What it is not for:** nothing here stores or answers: that is `watchful` and `watchful_server`. This file only says
//! who is meant: `args` reads a client's words, `serve` starts the server, and each command has a file of its own.
#![forbid(unsafe_code)]

mod args;

mod serve;

mod put;

mod get;

mod del;

mod compact;

mod txn;

mod watch;

mod lease;

mod auth;

mod user;

mod role;

mod status;

mod snapshot;

mod check;

mod restore;

mod snapshot_file;

mod watchers;

mod range;

mod pages;

mod server;

mod session;

mod login;

mod tls;

mod duration;

mod lease_id;

mod text;

mod json;

mod output;

mod failure;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use args::{Cli, Command, Meant};
use failure::Failure;
use output::Output;
use server::Server;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    match args::meant(&args) {
        Meant::Server(flags) => serve::serve(flags),
        Meant::Client => client(&args),
    }
}

fn client(args: &[OsString]) -> ExitCode {
    let cli = match args::parse(args) {
        Ok(cli) => cli,
        // Help and mistakes: clap knows where each goes, and that mistakes end with 2.
        Err(told) => {
            let code = u8::try_from(told.exit_code()).unwrap_or(2);
            // Nobody may be reading.
            let _ = told.print();
            return ExitCode::from(code);
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough: `watchful get … | head`.
        Err(Failure::NobodyReads) => ExitCode::SUCCESS,
        Err(Failure::Told(what)) => {
            let _ = writeln!(io::stderr(), "error: {what}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    // A worker of its own keeps the connection alive while this thread waits for whoever reads the output.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::told(format!("no threads can be started: {error}")))?;
    let mut stdout = io::BufWriter::new(io::stdout());
    let mut out = Output::new(&mut stdout, cli.connection.json);
    runtime.block_on(command(cli, &mut out))?;
    out.flush()
}

async fn command(cli: Cli, out: &mut Output<'_>) -> Result<(), Failure> {
    let to = cli.connection;
    match cli.command {
        Command::Put(args) => put::run(args, &Server::connect(&to).await?, out).await,
        Command::Get(args) => get::run(args, &Server::connect(&to).await?, out).await,
        Command::Del(args) => del::run(args, &Server::connect(&to).await?, out).await,
        Command::Watch(args) => watch::run(args, &to, out).await,
        Command::Txn(args) => txn::run(args, &to, out).await,
        Command::Lease(args) => lease::run(args, &Server::connect(&to).await?, out).await,
        Command::Auth(args) => auth::run(args, &Server::connect(&to).await?, out).await,
        Command::User(args) => user::run(args, &Server::connect(&to).await?, out).await,
        Command::Role(args) => role::run(args, &Server::connect(&to).await?, out).await,
        Command::Compact(args) => compact::run(&args, &Server::connect(&to).await?, out).await,
        Command::Status => status::run(&Server::connect(&to).await?, out).await,
        Command::Watchers(args) => watchers::run(&args, &Server::connect(&to).await?, out).await,
        Command::Snapshot(args) => snapshot::run(args, &Server::connect(&to).await?, out).await,
        Command::Check(args) => check::run(&args, out),
        Command::Restore(args) => restore::run(&args, out),
    }
}
