//! The store on a real folder against the model: groups committed and dropped, compaction broken off, reopening.

use arbitrary::{Result, Unstructured};
use watchful_mvcc_twin::{Action, Twin};
use watchful_testkit::script::Step;

use crate::input::{key_range, many, range_options, revision, step, weighted};

/// The most actions. After each the whole store is compared.
const ACTIONS_MAX: usize = 24;

pub(crate) fn run(input: &[u8]) {
    let mut u = Unstructured::new(input);
    let Ok(chunk_bytes) = u.int_in_range(1..=400) else { return };
    let mut twin = Twin::default();
    for action in many(&mut u, ACTIONS_MAX, action) {
        twin.run(&action);
        twin.check(chunk_bytes);
    }
    twin.check_closed();
}

fn action(u: &mut Unstructured<'_>) -> Result<Action> {
    Ok(match weighted(u, &[8, 2, 3, 1, 4])? {
        0 => {
            let count = u.int_in_range(1..=4)?;
            Action::Group {
                steps: (0..count).map(|_| step(u)).collect::<Result<_>>()?,
                is_committed: u.ratio(17, 20)?,
                slice: if u.ratio(1, 5)? { Some(u.int_in_range(0..=3)?) } else { None },
            }
        }
        1 => {
            let steps = vec![Step::Compact(u.int_in_range(0..=24)?)];
            Action::Group { steps, is_committed: true, slice: None }
        }
        2 => Action::Slice(u.int_in_range(0..=4)?),
        3 => Action::Reopen,
        _ => Action::Read { range: key_range(u)?, options: range_options(u)?, revision: revision(u)? },
    })
}
