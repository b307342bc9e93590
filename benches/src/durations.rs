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

/// On two cores with nothing else to do: worked out from windows and rates, and to be set anew from a record's `seconds`.
const TAKES: &[Takes] = &[
    takes("p1", 60.0, 4.0),
    takes("p2", 150.0, 15.0),
    takes("p3", 60.0, 4.0),
    takes("p4", 60.0, 4.0),
    takes("p5", 40.0, 3.0),
    takes("p6", 60.0, 5.0),
    takes("p7", 60.0, 5.0),
    takes("p8", 40.0, 1.0),
    takes("p9-keys", 10.0, 2.0),
    takes("p9-prefixes", 10.0, 2.0),
    takes("p10", 150.0, 15.0),
    takes("p11", 10.0, 1.0),
    takes("p12", 100.0, 3.0),
    takes("p13", 15.0, 3.0),
    takes("p14", 60.0, 3.0),
    takes("w1", 160.0, 10.0),
    takes("w2", 50.0, 2.0),
    takes("w3", 50.0, 2.0),
    takes("w4", 130.0, 7.0),
    takes("w5", 25.0, 2.0),
    takes("w6", 15.0, 1.0),
    takes("w7", 30.0, 3.0),
    takes("w8", 100.0, 7.0),
    takes("w9", 7.0, 1.0),
    takes("w10", 40.0, 7.0),
    beside_etcd("a1", 60.0, 2.0, 130.0),
    beside_etcd("a2", 45.0, 2.0, 100.0),
    beside_etcd("a3", 30.0, 2.0, 65.0),
    beside_etcd("a4", 45.0, 2.0, 100.0),
    beside_etcd("a5", 20.0, 2.0, 60.0),
    beside_etcd("a6", 30.0, 2.0, 90.0),
    beside_etcd("a7", 140.0, 2.0, 450.0),
    beside_etcd("a8", 30.0, 3.0, 80.0),
    beside_etcd("a9", 110.0, 4.0, 330.0),
    beside_etcd("a10", 45.0, 2.0, 150.0),
    beside_etcd("a11", 30.0, 2.0, 70.0),
    takes("s1", 6.0, 1.0),
    takes("s2", 10.0, 1.0),
    takes("s3", 6.0, 1.0),
    takes("s4", 6.0, 1.0),
    takes("s5", 10.0, 2.0),
    takes("s6", 12.0, 1.0),
    takes("s7", 20.0, 2.0),
    takes("s8", 15.0, 2.0),
    takes("s9", 12.0, 1.0),
    takes("s10", 6.0, 1.0),
    takes("s11", 30.0, 5.0),
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
