//! The command line: which workloads, how large, and where the raw results go.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

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
    /// Writes every round of every row to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Runs this one workload in this process and prints its rows as JSON.
    #[arg(long, hide = true)]
    inside: Option<String>,
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
    let scale = Scale { quick: args.quick };
    if args.list {
        WORKLOADS.iter().for_each(|workload| println!("{:14} {}", workload.name, workload.question));
        return Ok(());
    }
    if let Some(name) = &args.inside {
        return inside(name, &Gear::new(scale, live_bytes));
    }
    let rows = chosen(&args.names)?.into_iter().map(|workload| child::run(workload, scale));
    let rows: Vec<_> = rows.collect::<Outcome<Vec<_>>>()?.concat();
    if let Some(file) = &args.record {
        report::record(file, scale, &rows)?;
    }
    report::print(scale, &rows);
    if report::is_whole(&rows) { Ok(()) } else { Err("not every workload came to its end".into()) }
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

fn chosen(names: &[String]) -> Outcome<Vec<&'static Workload>> {
    // `p9` means `p9-keys` and `p9-prefixes`, and `p1` does not mean `p10`.
    let is_named = |workload: &Workload, name: &String| {
        let rest = workload.name.strip_prefix(name.to_lowercase().as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let is_meant =
        |workload: &&Workload| names.is_empty() || names.iter().any(|name| is_named(workload, name));
    let found: Vec<_> = WORKLOADS.iter().filter(is_meant).collect();
    if found.is_empty() { Err("no workload has such a name: see --list".into()) } else { Ok(found) }
}
