//! A run: one workload after the other, into a record and a table.

use std::path::PathBuf;

use crate::catalogue::Workload;
use crate::gear::Gear;
use crate::machine::{self, Machine};
use crate::progress::Progress;
use crate::report::{Form, Measured, Record, Run, print};
use crate::{Outcome, api, child};

/// Records that a run has to do with.
pub(crate) struct Books {
    /// Where it goes.
    pub(crate) record: Option<PathBuf>,
    /// What lends the peer's long cells.
    pub(crate) lender: Option<Record>,
}

/// Cells that take a peer a minute and more: they are measured once in a run, or taken from an older record. Of one workload,
/// all cases that have these words.
struct LongCell {
    workload: &'static str,
    case: &'static str,
}

const LONG_CELLS: &[LongCell] = &[LongCell { workload: "a7", case: "watchers catch up over" }];

/// Measures, and prints the table.
///
/// The record is written after each workload, so that a run which is broken off leaves what it has.
pub(crate) fn measure(chosen: &[&'static Workload], gear: &Gear, books: &Books, form: Form) -> Outcome {
    let mut run = new_run(gear);
    // What cannot be added to is better known now than in an hour.
    let before = books.record.as_deref().map(|file| Record::open_for(file, &run)).transpose()?;
    if let Some(lender) = &books.lender {
        lender.clone().add(run.clone()).map_err(|error| format!("--peer-record: {error}"))?;
    }
    if chosen.iter().any(|workload| workload.has_etcd()) {
        api::look_for_servers(gear)?;
    }
    let lasting = chosen.iter().map(|workload| workload.seconds(gear.scale, gear.beside_etcd));
    let mut progress = Progress::new(lasting);
    // Each time all of the run is written, so that only the last time counts.
    let mut recorded = Ok(());
    for workload in chosen {
        run.workloads.push(measure_one(workload, gear, books.lender.as_ref(), &mut progress)?);
        if let Some((file, before)) = books.record.as_deref().zip(before.as_ref()) {
            recorded = before.write_with(file, run.clone());
            if let Err(error) = &recorded {
                progress.tell(&error.to_string());
            }
        }
    }
    progress.finish();
    print(form, &run.workloads.iter().map(|workload| (&run, workload)).collect::<Vec<_>>());
    recorded?;
    if let Some(file) = &books.record {
        eprintln!("added to {}", file.display());
    }
    let is_whole = run.workloads.iter().all(|workload| workload.failed.is_none());
    if is_whole { Ok(()) } else { Err("not every workload came to its end".into()) }
}

/// With the peer's long cells from the lender, where it has them.
fn measure_one(
    workload: &'static Workload,
    gear: &Gear,
    lender: Option<&Record>,
    progress: &mut Progress,
) -> Outcome<Measured> {
    let is_long =
        |case: &str| LONG_CELLS.iter().any(|long| long.workload == workload.name && case.contains(long.case));
    let lender = lender.filter(|lender| lender.has_peer_in(workload.name, is_long));
    let Some(lender) = lender else { return child::run(workload, gear, progress) };
    let gear = Gear { leaves_long_cells: true, ..gear.clone() };
    let mut measured = child::run(workload, &gear, progress)?;
    let long = measured.rows.iter_mut().filter(|row| is_long(&row.case));
    long.for_each(|row| lender.lend_peer(row));
    Ok(measured)
}

fn new_run(gear: &Gear) -> Run {
    let args = std::env::args().skip(1).collect::<Vec<_>>();
    Run {
        date: machine::today(),
        commit: machine::commit(),
        command: ["cargo xtask bench", &args.join(" ")].join(" ").trim_end().to_owned(),
        scale: gear.scale.name().to_owned(),
        machine: Machine::this(),
        versions: machine::versions(gear.beside_etcd),
        workloads: Vec::new(),
    }
}
