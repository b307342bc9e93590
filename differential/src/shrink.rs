//! A failing workload, made small: steps are left out, in ever smaller pieces, for as long as it still fails alike.

use std::ops::Range;

use crate::Failure;
use crate::request::Request;
use crate::run::{Options, Pair, Report, run};
use crate::step::Step;

/// A workload that fails, and how.
pub(crate) struct Shrunk {
    pub(crate) steps: Vec<Step>,
    pub(crate) report: Report,
    pub(crate) tries: usize,
}

/// Leaves out what is not needed for a difference of the kind of `wanted`, in at most `tries_max` runs.
pub(crate) async fn shrink(
    pair: &Pair,
    steps: &[Step],
    wanted: &Request,
    tries_max: usize,
) -> Result<Option<Shrunk>, Failure> {
    let Some(whole) = attempt(pair, steps, wanted).await? else { return Ok(None) };
    let mut found = Shrunk { tries: 1, ..whole };
    let mut piece = found.steps.len().div_ceil(2);
    while piece > 0 && found.tries < tries_max {
        let removed = pass(pair, &mut found, wanted, piece, tries_max).await?;
        piece = if piece == 1 && !removed { 0 } else { piece.div_ceil(2).min(found.steps.len()) };
        if piece == 1 && found.steps.len() <= 1 {
            break;
        }
    }
    Ok(Some(found))
}

/// Tries to leave out each piece once. Whether one was.
async fn pass(
    pair: &Pair,
    found: &mut Shrunk,
    wanted: &Request,
    piece: usize,
    tries_max: usize,
) -> Result<bool, Failure> {
    let (mut at, mut removed) = (0, false);
    while at < found.steps.len() && found.tries < tries_max {
        let fewer = without(&found.steps, at..at + piece);
        let tries = found.tries + 1;
        match attempt(pair, &fewer, wanted).await? {
            Some(smaller) => (*found, removed) = (Shrunk { tries, ..smaller }, true),
            None => (found.tries, at) = (tries, at + piece),
        }
    }
    Ok(removed)
}

/// Runs the steps once. What came, where it is a difference of the kind that is wanted.
async fn attempt(pair: &Pair, steps: &[Step], wanted: &Request) -> Result<Option<Shrunk>, Failure> {
    let report = run(pair, steps, Options { transcript: true, keep_going: false }).await?;
    let failed = report.differences.first().filter(|difference| difference.request.kind() == wanted.kind());
    let Some(last) = failed.map(|difference| difference.step) else { return Ok(None) };
    // What comes after the difference is not needed for it.
    let steps = steps[..steps.len().min(last + 1)].to_vec();
    Ok(Some(Shrunk { steps, report, tries: 1 }))
}

fn without(steps: &[Step], left_out: Range<usize>) -> Vec<Step> {
    let end = left_out.end.min(steps.len());
    [&steps[..left_out.start], &steps[end..]].concat()
}
