//! What can be measured: names, questions, and how long it takes.

use std::time::Duration;

use crate::Outcome;
use crate::api;
use crate::gear::Gear;
use crate::laws;
use crate::report::Row;
use crate::scale::Scale;
use crate::workloads::{
    at_the_tail, churn, huge_revision, matching, previous, random_starts, slow_readers, staller,
};
use crate::workloads::{
    cancel, catch_up, compact, compacting, fan_out, group_commit, idle, index, laggard, open, put, read,
    reader, stab,
};

/// One workload of the catalogue.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) question: &'static str,
    /// When it is given up: some three times what it took on two cores.
    pub(crate) time_max: Duration,
    takes: Takes,
    pub(crate) run: fn(&Gear) -> Outcome<Vec<Row>>,
}

/// About how many seconds a workload takes, for the estimate of what is left: on two cores with nothing else to do, from the
/// `seconds` of the records of 2026-11-26; over the API ours alone is half of both.
struct Takes {
    full: f64,
    quick: f64,
    /// Full, with etcd in turn; none where etcd takes no part.
    beside_etcd: Option<f64>,
}

impl Workload {
    /// Whether `--peer etcd` measures it beside etcd.
    pub(crate) fn has_etcd(&self) -> bool {
        self.takes.beside_etcd.is_some()
    }

    /// About how many seconds it takes.
    pub(crate) fn seconds(&self, scale: Scale, beside_etcd: bool) -> f64 {
        let Takes { full, quick, beside_etcd: with } = self.takes;
        scale.pick(with.filter(|_| beside_etcd).unwrap_or(full), quick)
    }
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

const fn takes(full: f64, quick: f64) -> Takes {
    Takes { full, quick, beside_etcd: None }
}

const fn beside_etcd(full: f64, quick: f64, beside_etcd: f64) -> Takes {
    Takes { full, quick, beside_etcd: Some(beside_etcd) }
}

pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "p1",
        question: "what a put costs one blocking caller, unsynced, beside LMDB alone",
        time_max: minutes(5),
        takes: takes(15.0, 4.0),
        run: put::run,
    },
    Workload {
        name: "p2",
        question: "what a synced put costs with 1 to 1,024 callers, beside LMDB with the same groups",
        time_max: minutes(10),
        takes: takes(154.0, 15.0),
        run: group_commit::run,
    },
    Workload {
        name: "p3",
        question: "what a get among a million keys costs, beside LMDB alone",
        time_max: minutes(5),
        takes: takes(20.0, 4.0),
        run: read::gets,
    },
    Workload {
        name: "p4",
        question: "what a range of 100 keys among a million costs, beside LMDB alone",
        time_max: minutes(5),
        takes: takes(14.0, 4.0),
        run: read::ranges,
    },
    Workload {
        name: "p5",
        question: "what somebody who reads 100,000 keys all the time costs those who put",
        time_max: minutes(5),
        takes: takes(46.0, 3.0),
        run: reader::run,
    },
    Workload {
        name: "p6",
        question: "what one more watcher of a key costs, from the put to its own check",
        time_max: minutes(5),
        takes: takes(4.0, 5.0),
        run: fan_out::run,
    },
    Workload {
        name: "p7",
        question: "how fast 1, 100 and 10,000 watchers catch up over kept history",
        time_max: minutes(10),
        takes: takes(18.0, 5.0),
        run: catch_up::run,
    },
    Workload {
        name: "p8",
        question: "what it costs to cancel a million synced watchers in random order",
        time_max: minutes(5),
        takes: takes(18.0, 1.0),
        run: cancel::run,
    },
    Workload {
        name: "p9-keys",
        question: "what an idle watcher of a key of its own weighs",
        time_max: minutes(3),
        takes: takes(2.0, 2.0),
        run: idle::keys,
    },
    Workload {
        name: "p9-prefixes",
        question: "what an idle watcher of a prefix of its own weighs",
        time_max: minutes(3),
        takes: takes(2.0, 2.0),
        run: idle::prefixes,
    },
    Workload {
        name: "p10",
        question: "how long it takes to open a store, a key, with 1, 10 and 20 revisions of each",
        time_max: minutes(15),
        takes: takes(48.0, 15.0),
        run: open::run,
    },
    Workload {
        name: "p11",
        question: "how long a compaction of 1,000 superseded rows takes, among few and many keys",
        time_max: minutes(3),
        takes: takes(2.0, 1.0),
        run: compact::run,
    },
    Workload {
        name: "p12",
        question: "what a compaction of a million superseded rows costs those who put",
        time_max: minutes(8),
        takes: takes(155.0, 3.0),
        run: compacting::run,
    },
    Workload {
        name: "p13",
        question: "how long it takes to find who watches a key",
        time_max: minutes(3),
        takes: takes(9.0, 3.0),
        run: stab::run,
    },
    Workload {
        name: "p14",
        question: "what a key weighs in the key index, and a version of it",
        time_max: minutes(5),
        takes: takes(45.0, 3.0),
        run: index::run,
    },
    Workload {
        name: "w1",
        question: "what a watcher far behind costs the writers, in latency, reading and memory",
        time_max: minutes(15),
        takes: takes(140.0, 10.0),
        run: laggard::run,
    },
    Workload {
        name: "w2",
        question: "how often history is read for ten thousand that start anywhere in it",
        time_max: minutes(5),
        takes: takes(17.0, 2.0),
        run: random_starts::anywhere,
    },
    Workload {
        name: "w3",
        question: "how often, and how fast, for ten thousand that start together",
        time_max: minutes(5),
        takes: takes(10.0, 2.0),
        run: random_starts::together,
    },
    Workload {
        name: "w4",
        question: "what one of ten thousand that stalls, and goes on, costs the others",
        time_max: minutes(8),
        takes: takes(37.0, 7.0),
        run: staller::run,
    },
    Workload {
        name: "w5",
        question: "how long it takes to find who is to be told, among many keys and nested prefixes",
        time_max: minutes(3),
        takes: takes(7.0, 2.0),
        run: matching::run,
    },
    Workload {
        name: "w6",
        question: "what one revision of a hundred thousand events weighs on its way",
        time_max: minutes(3),
        takes: takes(9.0, 1.0),
        run: huge_revision::run,
    },
    Workload {
        name: "w7",
        question: "what watches that come and go cost those who put",
        time_max: minutes(5),
        takes: takes(33.0, 3.0),
        run: churn::run,
    },
    Workload {
        name: "w8",
        question: "what a watcher five million behind costs ten thousand at the tail",
        time_max: minutes(10),
        takes: takes(63.0, 7.0),
        run: at_the_tail::run,
    },
    Workload {
        name: "w9",
        question: "what the record before each event costs a watcher",
        time_max: minutes(3),
        takes: takes(2.0, 1.0),
        run: previous::run,
    },
    Workload {
        name: "w10",
        question: "what a thousand slow watchers of large values weigh",
        time_max: minutes(5),
        takes: takes(26.0, 7.0),
        run: slow_readers::run,
    },
    Workload {
        name: "a1",
        question: "what a put over the API gives a client and costs the server, 1 to 512 in flight",
        time_max: minutes(15),
        takes: beside_etcd(54.0, 2.0, 107.0),
        run: api::unary::puts,
    },
    Workload {
        name: "a2",
        question: "what a get over the API gives and costs, 1 to 128 in flight",
        time_max: minutes(10),
        takes: beside_etcd(40.0, 2.0, 81.0),
        run: api::unary::gets,
    },
    Workload {
        name: "a3",
        question: "what a list of 1,000 keys gives and costs",
        time_max: minutes(10),
        takes: beside_etcd(28.0, 2.0, 57.0),
        run: api::unary::lists,
    },
    Workload {
        name: "a4",
        question: "what a transaction of a compare and a put gives and costs",
        time_max: minutes(10),
        takes: beside_etcd(40.0, 2.0, 81.0),
        run: api::unary::txns,
    },
    Workload {
        name: "a5",
        question: "how fast a burst reaches 100 to 10,000 watchers of one prefix",
        time_max: minutes(15),
        takes: beside_etcd(24.0, 2.0, 47.0),
        run: api::burst::run,
    },
    Workload {
        name: "a6",
        question: "how long one put takes to 100 to 10,000 watchers",
        time_max: minutes(15),
        takes: beside_etcd(27.0, 2.0, 54.0),
        run: api::one_put::run,
    },
    Workload {
        name: "a7",
        question: "how fast 1 to 1,000 watchers catch up over the API",
        time_max: minutes(60),
        takes: beside_etcd(113.0, 2.0, 450.0),
        run: api::catch_up::run,
    },
    Workload {
        name: "a8",
        question: "what idle watchers and idle streams weigh in the server",
        time_max: minutes(15),
        takes: beside_etcd(47.0, 3.0, 94.0),
        run: api::idle::run,
    },
    Workload {
        name: "a9",
        question: "what a watcher 1,000 to 500,000 behind costs those who put",
        time_max: minutes(30),
        takes: beside_etcd(110.0, 4.0, 330.0),
        run: api::laggard::run,
    },
    Workload {
        name: "a10",
        question: "how long a start with a million keys takes to the first answer",
        time_max: minutes(20),
        takes: beside_etcd(41.0, 2.0, 82.0),
        run: api::start_up::run,
    },
    Workload {
        name: "a11",
        question: "how fast puts go, and how late they come, with 100,000 watchers on keys of their own",
        time_max: minutes(15),
        takes: beside_etcd(26.0, 2.0, 52.0),
        run: api::own_keys::run,
    },
    Workload {
        name: "s1",
        question: "how the memory of keys and of their versions grows",
        time_max: minutes(5),
        takes: takes(2.0, 1.0),
        run: laws::memory,
    },
    Workload {
        name: "s2",
        question: "how the time of an open grows with the keys",
        time_max: minutes(5),
        takes: takes(3.0, 1.0),
        run: laws::open,
    },
    Workload {
        name: "s3",
        question: "how a put and a get grow with the keys",
        time_max: minutes(5),
        takes: takes(2.0, 1.0),
        run: laws::access,
    },
    Workload {
        name: "s4",
        question: "how the memory of idle watchers grows",
        time_max: minutes(5),
        takes: takes(3.0, 1.0),
        run: laws::weight,
    },
    Workload {
        name: "s5",
        question: "how finding who watches a key grows with the watchers",
        time_max: minutes(5),
        takes: takes(6.0, 2.0),
        run: laws::stab,
    },
    Workload {
        name: "s6",
        question: "how telling one put grows with the watchers of its key",
        time_max: minutes(5),
        takes: takes(1.0, 1.0),
        run: laws::fan_out,
    },
    Workload {
        name: "s7",
        question: "how catching up grows with the distance",
        time_max: minutes(5),
        takes: takes(12.0, 2.0),
        run: laws::catch_up,
    },
    Workload {
        name: "s8",
        question: "how a put and its room on the disk grow with the value",
        time_max: minutes(5),
        takes: takes(2.0, 2.0),
        run: laws::values,
    },
    Workload {
        name: "s9",
        question: "how a compaction grows with what it removes, and with what lives on",
        time_max: minutes(5),
        takes: takes(3.0, 1.0),
        run: laws::compaction,
    },
    Workload {
        name: "s10",
        question: "how the room on the disk grows with the records",
        time_max: minutes(5),
        takes: takes(1.0, 1.0),
        run: laws::file,
    },
    Workload {
        name: "s11",
        question: "what a second core gives puts, gets and catching up",
        time_max: minutes(5),
        takes: takes(23.0, 5.0),
        run: laws::cores,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_workload_is_given_up_before_it_can_be_done() {
        for workload in WORKLOADS {
            let longest = workload.seconds(Scale { quick: false }, true);
            assert!(longest < workload.time_max.as_secs_f64(), "{}", workload.name);
        }
    }
}
