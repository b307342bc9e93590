//! Promises 16 and 19, asked of a store.

use std::thread;

use watchful::{Gauges, Settings, Standings, Store};
use watchful_testkit::checkers::{self, BudgetSample};

use crate::{PATIENCE, answered};

/// Promise 16: nobody watches any more, and nothing of anybody is left. A read that was out when its asker went is given
/// the time to come back.
pub fn check_nothing_is_left(store: &Store) {
    let start = std::time::Instant::now();
    loop {
        let checked = checkers::gauges_return_to_zero(all_gauges(store));
        match checked {
            Ok(()) => return,
            Err(violation) if start.elapsed() > PATIENCE => panic!("{violation}"),
            Err(_) => thread::yield_now(),
        }
    }
}

fn all_gauges(store: &Store) -> [(&'static str, u64); 16] {
    let Gauges {
        streams,
        watches,
        standings: Standings { future, synced, unsynced, blocked },
        groups,
        members,
        synced_members,
        blocked_members,
        scans,
        reads_out,
        indexed_ranges,
        queued_bytes,
        reserved_bytes,
        recent_bytes,
        kept_bytes,
        lag_revisions_max,
    } = gauges(store);
    [
        ("streams", streams as u64),
        ("watches", watches as u64),
        ("watches by standing", (future + synced + unsynced + blocked) as u64),
        ("groups", groups as u64),
        ("members", members as u64),
        ("synced_members", synced_members as u64),
        ("blocked_members", blocked_members as u64),
        ("scans", scans as u64),
        ("reads_out", reads_out as u64),
        ("indexed_ranges", indexed_ranges as u64),
        ("queued_bytes", queued_bytes as u64),
        ("reserved_bytes", reserved_bytes as u64),
        ("recent_bytes", recent_bytes as u64),
        ("kept_bytes", kept_bytes as u64),
        ("lag_revisions_max", lag_revisions_max),
        ("shared_bytes", store.stats().shared_bytes as u64),
    ]
}

/// Promise 19: what is held at this moment, and `outboxes_max` says how much all outboxes may hold.
pub fn check_budgets(
    store: &Store,
    settings: &Settings,
    outboxes_max: impl FnOnce(&Gauges) -> usize,
) -> Gauges {
    let (found, shared_bytes) = (gauges(store), store.stats().shared_bytes);
    let sample = |name, used: usize, budget: usize| BudgetSample {
        name,
        used_bytes: used as u64,
        budget_bytes: budget as u64,
    };
    let samples = [
        sample("outboxes", found.queued_bytes, outboxes_max(&found)),
        sample("shared buffers", shared_bytes, settings.shared_bytes_max),
        sample("recent batches", found.recent_bytes, 8 << 20),
        sample("kept chunks", found.kept_bytes, (settings.shared_bytes_max / 4).min(16 << 20)),
    ];
    checkers::within_budget(samples).unwrap();
    found
}

/// What the store has to do with watching.
pub fn gauges(store: &Store) -> Gauges {
    answered(store.watch_gauges())
}
