//! Steps of a script, in the store and in the model.

use watchful_mvcc::{Group, MvccError};
use watchful_testkit as kit;

use crate::words::{request, result};

/// What a step of a script answers, in the testkit's words.
pub type Answer = Result<Option<kit::Applied>, String>;

/// Runs a step in the model; none for what has no answer.
///
/// # Errors
///
/// Why it was refused, in the store's words.
pub fn run_in_model(model: &mut kit::Model, step: &kit::script::Step) -> Answer {
    use kit::script::Step;
    match step {
        Step::Txn(ops) => model.apply(ops).map(Some).map_err(|error| in_words_of_model(&error)),
        Step::Compact(revision) => {
            model.compact(*revision).map(|()| None).map_err(|error| format!("{error:?}"))
        }
        Step::Grant { id, ttl } => {
            model.lease_grant(*id, *ttl).map(|()| None).map_err(|error| format!("Lease{error:?}"))
        }
        Step::Revoke { id } => {
            let applied = model.lease_revoke(*id).map_err(|error| format!("Lease{error:?}"))?;
            Ok(Some(kit::Applied { revision: applied.revision, results: Vec::new() }))
        }
        Step::Call { .. } => Ok(None),
    }
}

fn in_words_of_model(error: &kit::ApplyError) -> String {
    match error {
        kit::ApplyError::Read(error) => format!("{error:?}"),
        other => format!("{other:?}"),
    }
}

/// Runs a step in a group of a store.
///
/// # Errors
///
/// Why it was refused.
pub fn run_step(group: &mut Group<'_>, step: &kit::script::Step) -> Answer {
    use kit::script::Step;
    let words = |error: MvccError| match error {
        MvccError::LeaseExists { id } => format!("LeaseExists {{ id: {id} }}"),
        error => format!("{error:?}"),
    };
    match step {
        Step::Txn(ops) => {
            let outcome = group.execute(&request(ops)).map_err(words)?;
            let results = outcome.value.responses.iter().map(result).collect();
            Ok(Some(kit::Applied { revision: outcome.revision, results }))
        }
        Step::Compact(revision) => group.schedule_compaction(*revision).map(|()| None).map_err(words),
        Step::Grant { id, ttl } => group.txn(|txn| txn.lease_grant(*id, *ttl)).map(|_| None).map_err(words),
        Step::Revoke { id } => {
            let outcome = group.txn(|txn| txn.lease_revoke(*id)).map_err(words)?;
            Ok(Some(kit::Applied { revision: outcome.revision, results: Vec::new() }))
        }
        Step::Call { .. } => Ok(None),
    }
}
