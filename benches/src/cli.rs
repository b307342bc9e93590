//! The command line: which workloads, how large, where the raw results go; and what can be made of records afterwards.

use std::env::current_exe;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::catalogue::{WORKLOADS, Workload};
use crate::gear::Gear;
use crate::machine;
use crate::measure::{Books, measure};
use crate::memory::LiveBytes;
use crate::progress::clock;
use crate::report::{Form, Record, compare, print};
use crate::scale::Scale;
use crate::{Outcome, child, laws, plots};

/// Measures Watchful.
#[derive(Parser)]
#[command(name = "cargo xtask bench --")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
struct Args {
    /// Which workloads; all, if none is named. `p9` means both of its parts, and `a` all from `a1` on.
    names: Vec<String>,
    /// Smaller sizes, for a look. The figures are marked and prove nothing.
    #[arg(long)]
    quick: bool,
    /// Says what can be measured, and about how long it takes.
    #[arg(long)]
    list: bool,
    /// Measures this peer too, in turn with ours, where a workload knows it. Without names: those workloads that do.
    #[arg(long)]
    peer: Option<Peer>,
    /// Takes the peer's cells that need minutes from this record, where it has them, and marks them with its day.
    #[arg(long, value_name = "RECORD")]
    peer_record: Option<PathBuf>,
    /// The program `watchful`; beside this program, if nothing is said.
    #[arg(long, value_name = "PATH")]
    watchful: Option<PathBuf>,
    /// Adds every round of every row to this record; without a name to docs/bench/records/<date>-<full|quick>.json.
    #[arg(long, value_name = "RECORD", num_args = 0..=1)]
    record: Option<Option<PathBuf>>,
    /// Prints the table as Markdown, as docs/BENCHMARKS.md holds it.
    #[arg(long)]
    markdown: bool,
    /// Prints the table of these records, each workload as it was measured last. Measures nothing.
    #[arg(long, value_name = "RECORD", num_args = 1.., conflicts_with_all = ["names", "record", "peer"])]
    table: Vec<PathBuf>,
    /// Says what changed from record A to record B. Measures nothing.
    #[arg(long, value_names = ["A", "B"], num_args = 2, exclusive = true)]
    compare: Vec<PathBuf>,
    /// Draws these records' pictures into docs/bench/plots. Measures nothing.
    #[arg(long, value_name = "RECORD", num_args = 1.., exclusive = true)]
    plot: Vec<PathBuf>,
    /// Says what these records' laws (`scale`) lead to at sizes that were not measured, as docs/SCALE.md holds it. Measures
    /// nothing.
    #[arg(long, value_name = "RECORD", num_args = 1.., exclusive = true)]
    outlook: Vec<PathBuf>,
    /// Runs this one workload in this process and prints its rows as JSON.
    #[arg(long, hide = true)]
    inside: Option<String>,
    /// Does not measure the peer's long cells.
    #[arg(long, hide = true)]
    leave_long_cells: bool,
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
    let form = if args.markdown { Form::Markdown } else { Form::Terminal };
    if args.list {
        list();
        return Ok(());
    }
    if let [before, after] = args.compare.as_slice() {
        print!("{}", compare(&Record::read(before)?, &Record::read(after)?));
        return Ok(());
    }
    if !args.plot.is_empty() {
        return plots::draw(&Record::read_all(&args.plot)?, &machine::root().join(PLOTS));
    }
    if !args.outlook.is_empty() {
        print!("{}", laws::outlook(&Record::read_all(&args.outlook)?));
        return Ok(());
    }
    if !args.table.is_empty() {
        print(form, &Record::read_all(&args.table)?.newest());
        return Ok(());
    }
    let gear = gear(args, live_bytes)?;
    match &args.inside {
        Some(name) => inside(name, &gear),
        None => {
            let record =
                args.record.as_ref().map(|named| record_file(named.as_deref(), gear.scale)).transpose()?;
            let lender = args.peer_record.as_deref().map(Record::read).transpose()?;
            measure(&chosen(args)?, &gear, &Books { record, lender }, form)
        }
    }
}

/// Where pictures lie in the repository.
const PLOTS: &str = "docs/bench/plots";

/// Where records lie in the repository.
const RECORDS: &str = "docs/bench/records";

fn list() {
    let all = |scale, beside_etcd| {
        clock(WORKLOADS.iter().map(|workload| workload.seconds(scale, beside_etcd)).sum())
    };
    let (full, quick) = (Scale { quick: false }, Scale { quick: true });
    println!("{:14} {:>13} {:>13}  question", "name", "full, about", "quick, about");
    for workload in WORKLOADS {
        let times = [full, quick].map(|scale| clock(workload.seconds(scale, false)));
        println!("{:14} {:>13} {:>13}  {}", workload.name, times[0], times[1], workload.question);
    }
    println!(
        "{:14} {:>13} {:>13}  with --peer etcd: {}",
        "all",
        all(full, false),
        all(quick, false),
        all(full, true)
    );
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
        leaves_long_cells: args.leave_long_cells,
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

/// The named record, or the day's. A name of a workload behind `--record` is a mistake that would hide a measurement.
fn record_file(named: Option<&Path>, scale: Scale) -> Outcome<PathBuf> {
    match named {
        None => {
            let name = format!("{}-{}.json", machine::today(), scale.name());
            Ok(machine::root().join(RECORDS).join(name))
        }
        Some(file) if file.extension().is_some_and(|extension| extension == "json") => Ok(file.to_owned()),
        Some(other) => Err(format!(
            "--record {}: a record's name ends in .json; names of workloads go before --record",
            other.display()
        )
        .into()),
    }
}

fn chosen(args: &Args) -> Outcome<Vec<&'static Workload>> {
    let is_meant = |workload: &&Workload| match args.names.as_slice() {
        [] => args.peer.is_none() || workload.has_etcd(),
        names => names.iter().any(|name| is_named(workload.name, name)),
    };
    let unknown = |name: &&String| !WORKLOADS.iter().any(|workload| is_named(workload.name, name));
    match args.names.iter().find(unknown) {
        Some(name) => Err(format!("no workload is called {name}: see --list").into()),
        None => Ok(WORKLOADS.iter().filter(is_meant).collect()),
    }
}

/// `p9` means `p9-keys` and `p9-prefixes`, and `p1` does not mean `p10`; `a` means all from `a1` on, and `scale` is `s`.
fn is_named(workload: &str, name: &str) -> bool {
    let name = if name.eq_ignore_ascii_case("scale") { "s".to_owned() } else { name.to_lowercase() };
    let is_letter = name.len() == 1 && name.starts_with(|c: char| c.is_ascii_alphabetic());
    let rest = workload.strip_prefix(name.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-') || is_letter)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn names_mean_their_parts_and_not_their_neighbours() {
        let meant = |name| ["p1", "p10", "p9-keys", "p9-prefixes", "s1", "s10"].map(|of| is_named(of, name));
        assert_eq!(meant("p1"), [true, false, false, false, false, false]);
        assert_eq!(meant("P9"), [false, false, true, true, false, false]);
        assert_eq!(meant("scale"), meant("s"));
        assert_eq!(meant("s"), [false, false, false, false, true, true]);
    }

    #[test]
    fn a_name_that_nobody_has_is_refused() {
        let args = Args::parse_from(["bench", "p1", "p99"]);
        let error = chosen(&args).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("p99") && error.contains("--list"), "{error}");
    }

    #[test]
    fn a_record_is_named_or_the_days_own() {
        let scale = Scale { quick: true };
        let args = Args::parse_from(["bench", "p1", "--record"]);
        let own = record_file(args.record.unwrap().as_deref(), scale).unwrap();
        assert!(
            own.starts_with(machine::root().join(RECORDS)) && own.to_string_lossy().ends_with("-quick.json")
        );
        let args = Args::parse_from(["bench", "--record", "p1"]);
        let error = record_file(args.record.unwrap().as_deref(), scale).unwrap_err().to_string();
        assert!(error.contains("before --record"), "{error}");
    }
}
