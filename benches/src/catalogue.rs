//! What can be measured: names, questions, and bounds on time.

use std::time::Duration;

use crate::Outcome;
use crate::gear::Gear;
use crate::report::Row;
use crate::workloads::{catch_up, fan_out, group_commit, idle, laggard, open, put, stab};

/// One workload of the catalogue.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) question: &'static str,
    /// When it is given up: some three times what it took on two cores.
    pub(crate) time_max: Duration,
    pub(crate) run: fn(&Gear) -> Outcome<Vec<Row>>,
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "p1",
        question: "what a put costs one blocking caller, unsynced, beside LMDB alone",
        time_max: minutes(3),
        run: put::run,
    },
    Workload {
        name: "p2",
        question: "what a synced put costs with 1, 128 and 1,024 callers, beside LMDB with the same groups",
        time_max: minutes(10),
        run: group_commit::run,
    },
    Workload {
        name: "p6",
        question: "what one more watcher of a key costs, from the put to its own check",
        time_max: minutes(5),
        run: fan_out::run,
    },
    Workload {
        name: "p7",
        question: "how fast 1, 100 and 10,000 watchers catch up over kept history",
        time_max: minutes(10),
        run: catch_up::run,
    },
    Workload {
        name: "p9-keys",
        question: "what an idle watcher of a key of its own weighs",
        time_max: minutes(3),
        run: idle::keys,
    },
    Workload {
        name: "p9-prefixes",
        question: "what an idle watcher of a prefix of its own weighs",
        time_max: minutes(3),
        run: idle::prefixes,
    },
    Workload {
        name: "p10",
        question: "how long it takes to open a store, a key, with 1, 10 and 20 revisions of each",
        time_max: minutes(15),
        run: open::run,
    },
    Workload {
        name: "p13",
        question: "how long it takes to find who watches a key",
        time_max: minutes(3),
        run: stab::run,
    },
    Workload {
        name: "w1",
        question: "what a watcher far behind costs the writers, in latency, reading and memory",
        time_max: minutes(15),
        run: laggard::run,
    },
];
