//! How long each workload takes, about, on two cores, and which of a peer's cells are long: for the estimate of what is left,
//! and for what a record may lend.

use crate::scale::Scale;

/// About how long a workload takes, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Takes {
    name: &'static str,
    full: f64,
    quick: f64,
    /// Full, with etcd in turn; as without, where etcd takes no part.
    beside_etcd: f64,
}

/// On two cores with nothing else to do, from the `seconds` of the records of 2026-11-26; over the API ours alone is half of both.
const TAKES: &[Takes] = &[
    takes("p1", 15.0, 4.0),
    takes("p2", 154.0, 15.0),
    takes("p3", 20.0, 4.0),
    takes("p4", 14.0, 4.0),
    takes("p5", 46.0, 3.0),
    takes("p6", 4.0, 5.0),
    takes("p7", 18.0, 5.0),
    takes("p8", 18.0, 1.0),
    takes("p9-keys", 2.0, 2.0),
    takes("p9-prefixes", 2.0, 2.0),
    takes("p10", 48.0, 15.0),
    takes("p11", 2.0, 1.0),
    takes("p12", 155.0, 3.0),
    takes("p13", 9.0, 3.0),
    takes("p14", 45.0, 3.0),
    takes("w1", 140.0, 10.0),
    takes("w2", 17.0, 2.0),
    takes("w3", 10.0, 2.0),
    takes("w4", 37.0, 7.0),
    takes("w5", 7.0, 2.0),
    takes("w6", 9.0, 1.0),
    takes("w7", 33.0, 3.0),
    takes("w8", 63.0, 7.0),
    takes("w9", 2.0, 1.0),
    takes("w10", 26.0, 7.0),
    beside_etcd("a1", 54.0, 2.0, 107.0),
    beside_etcd("a2", 40.0, 2.0, 81.0),
    beside_etcd("a3", 28.0, 2.0, 57.0),
    beside_etcd("a4", 40.0, 2.0, 81.0),
    beside_etcd("a5", 24.0, 2.0, 47.0),
    beside_etcd("a6", 27.0, 2.0, 54.0),
    beside_etcd("a7", 113.0, 2.0, 450.0),
    beside_etcd("a8", 47.0, 3.0, 94.0),
    beside_etcd("a9", 110.0, 4.0, 330.0),
    beside_etcd("a10", 41.0, 2.0, 82.0),
    beside_etcd("a11", 26.0, 2.0, 52.0),
    takes("s1", 2.0, 1.0),
    takes("s2", 3.0, 1.0),
    takes("s3", 2.0, 1.0),
    takes("s4", 3.0, 1.0),
    takes("s5", 6.0, 2.0),
    takes("s6", 1.0, 1.0),
    takes("s7", 12.0, 2.0),
    takes("s8", 2.0, 2.0),
    takes("s9", 3.0, 1.0),
    takes("s10", 1.0, 1.0),
    takes("s11", 23.0, 5.0),
];

const fn takes(name: &'static str, full: f64, quick: f64) -> Takes {
    Takes { name, full, quick, beside_etcd: full }
}

const fn beside_etcd(name: &'static str, full: f64, quick: f64, beside_etcd: f64) -> Takes {
    Takes { name, full, quick, beside_etcd }
}

/// Cells that take a peer a minute and more: they are measured once in a run, or taken from an older record.
pub(crate) const LONG_CELLS: &[LongCell] = &[LongCell { workload: "a7", case: "watchers catch up over" }];

/// Of one workload, all cases that have these words.
pub(crate) struct LongCell {
    pub(crate) workload: &'static str,
    case: &'static str,
}

impl LongCell {
    pub(crate) fn is_of(&self, case: &str) -> bool {
        case.contains(self.case)
    }

    pub(crate) fn of(workload: &str) -> Option<&'static Self> {
        LONG_CELLS.iter().find(|cell| cell.workload == workload)
    }
}

/// Seconds that the workload takes, about; none where nobody has said.
pub(crate) fn expected(name: &str, scale: Scale, beside_etcd: bool) -> Option<f64> {
    let takes = TAKES.iter().find(|takes| takes.name == name)?;
    let full = if beside_etcd { takes.beside_etcd } else { takes.full };
    Some(scale.pick(full, takes.quick))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::WORKLOADS;

    #[test]
    fn every_workload_says_how_long_it_takes() {
        let all: Vec<_> = WORKLOADS.iter().map(|workload| workload.name).collect();
        let said: Vec<_> = TAKES.iter().map(|takes| takes.name).collect();
        assert_eq!(said, all, "one line each, in the catalogue's order");
    }

    #[test]
    fn no_workload_is_given_up_before_it_can_be_done() {
        for (takes, workload) in TAKES.iter().zip(WORKLOADS) {
            assert!(takes.beside_etcd < workload.time_max.as_secs_f64(), "{}", takes.name);
        }
    }
}
