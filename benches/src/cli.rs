//! The command line: which workloads, how large, and where the raw results go.

use std::env::current_exe;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::catalogue::{WORKLOADS, Workload};
use crate::gear::Gear;
use crate::memory::LiveBytes;
use crate::scale::Scale;
use crate::{Outcome, child, report};

/// Measures Watchful.
#[derive(Parser)]
#[command(name = "cargo xtask bench --")]
struct Args {
    /// Which workloads; all, if none is named. `p9` means both of its parts.
    names: Vec<String>,
    /// Smaller sizes, for a look. The figures are marked and prove nothing.
    #[arg(long)]
    quick: bool,
    /// Says what can be measured.
    #[arg(long)]
    list: bool,
    /// Measures this peer too, in turn with ours, where a workload knows it. Without names: those workloads that do.
    #[arg(long)]
    peer: Option<Peer>,
    /// The program `watchful`; beside this program, if nothing is said.
    #[arg(long, value_name = "PATH")]
    watchful: Option<PathBuf>,
    /// Writes every round of every row to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Runs this one workload in this process and prints its rows as JSON.
    #[arg(long, hide = true)]
    inside: Option<String>,
}

/// Servers of others that speak the same API.
#[derive(Clone, Copy, ValueEnum)]
enum Peer {
    /// Found on PATH
    Etcd,
}

/// Runs the program. `live_bytes` tells what is allocated now, where that is counted.
#[must_use]
pub fn main(live_bytes: LiveBytes) -> ExitCode {
    match run(&Args::parse(), live_bytes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args, live_bytes: LiveBytes) -> Outcome {
    if args.list {
        WORKLOADS.iter().for_each(|workload| println!("{:14} {}", workload.name, workload.question));
        return Ok(());
    }
    let gear = gear(args, live_bytes)?;
    let scale = gear.scale;
    if let Some(name) = &args.inside {
        return inside(name, &gear);
    }
    let rows = chosen(args)?.into_iter().map(|workload| child::run(workload, &gear));
    let rows: Vec<_> = rows.collect::<Outcome<Vec<_>>>()?.concat();
    if let Some(file) = &args.record {
        report::record(file, scale, &rows)?;
    }
    report::print(scale, &rows);
    if report::is_whole(&rows) { Ok(()) } else { Err("not every workload came to its end".into()) }
}

fn gear(args: &Args, live_bytes: LiveBytes) -> Outcome<Gear> {
    Ok(Gear {
        scale: Scale { quick: args.quick },
        live_bytes,
        watchful: args
            .watchful
            .clone()
            .map_or_else(|| Ok(current_exe()?.with_file_name("watchful")), Outcome::Ok)?,
        beside_etcd: args.peer.is_some(),
    })
}

fn inside(name: &str, gear: &Gear) -> Outcome {
    child::end_with_parent();
    let workload =
        WORKLOADS.iter().find(|workload| workload.name == name).ok_or("there is no such workload")?;
    for row in (workload.run)(gear)? {
        println!("{}", row.to_json());
    }
    Ok(())
}

fn chosen(args: &Args) -> Outcome<Vec<&'static Workload>> {
    let is_meant = |workload: &&Workload| match args.names.as_slice() {
        [] => args.peer.is_none() || workload.has_etcd,
        names => names.iter().any(|name| is_named(workload, name)),
    };
    let found: Vec<_> = WORKLOADS.iter().filter(is_meant).collect();
    if found.is_empty() { Err("no workload has such a name: see --list".into()) } else { Ok(found) }
}

/// `p9` means `p9-keys` and `p9-prefixes`, and `p1` does not mean `p10`; `a` means all from `a1` on.
fn is_named(workload: &Workload, name: &str) -> bool {
    let name = name.to_lowercase();
    let is_letter = name.len() == 1 && name.starts_with(|c: char| c.is_ascii_alphabetic());
    let rest = workload.name.strip_prefix(name.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-') || is_letter)
}
