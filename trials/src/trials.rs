//! The trials there are. A new one is a module and a line in [`ALL`].

use std::error::Error;
use std::path::Path;

use watchful_testkit::SplitMix64;

use crate::tally::Tally;
use crate::{compaction, damage, disk, failpoints, hostile, kill, linear, server, threads};

/// Why a round failed. A panic is a failure as well.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// A kind of trial.
pub(crate) struct Trial {
    pub(crate) name: &'static str,
    /// One line: what is done, and what has to hold.
    pub(crate) about: &'static str,
    /// A round takes a second or so, never longer than ten.
    pub(crate) round: fn(&mut Round<'_>) -> Outcome,
    /// What is not 0 of its tally after twenty rounds, or it does not do what it says.
    pub(crate) counted: &'static [&'static str],
}

/// One round of a trial: whatever it decides, it decides by `rng`.
pub(crate) struct Round<'a> {
    /// Its number, where things are to take turns from round to round.
    pub(crate) seed: u64,
    pub(crate) rng: SplitMix64,
    /// A folder of its own, which stays if the round fails.
    pub(crate) dir: &'a Path,
    pub(crate) tally: &'a mut Tally,
}

pub(crate) const ALL: &[Trial] = &[
    Trial {
        name: "threads",
        about: "writers, watchers of every manner, compactions, backups: every promise holds",
        round: threads::round,
        counted: &["watches", "events", "backups"],
    },
    Trial {
        name: "kill",
        about: "kill -9 under load: what was acknowledged or seen is there, watches go on, leases keep their time",
        round: kill::round,
        counted: &[
            "kills",
            "writes kept that nobody was told of",
            "exchanges of the file broken off",
            "leases ended",
            "watches resumed",
            "backups",
        ],
    },
    Trial {
        name: "compaction",
        about: "kill -9 in a large compaction: it goes on, and ends where it would have ended",
        round: compaction::round,
        counted: &["kills in a compaction"],
    },
    Trial {
        name: "linear",
        about: "concurrent clients in process, some of whose calls nobody knows the outcome of: the history is linear",
        round: linear::round,
        counted: &["of unknown outcome", "refused by a closed store", "revisions"],
    },
    Trial {
        name: "failpoints",
        about: "delays, errors, panics and kills at named places of the product: nothing lost, nobody waits for ever",
        round: failpoints::round,
        counted: &[
            "rounds with delays",
            "errors told",
            "rounds with a panic",
            "rounds with a panic in a compaction",
            "at a chosen place",
        ],
    },
    Trial {
        name: "server",
        about: "kill -9 of the server under gRPC load: the clients' history is linear, watches go on, leases stay",
        round: server::round,
        counted: &["kills", "of unknown outcome", "watches resumed", "leases"],
    },
    Trial {
        name: "power",
        about: "the power fails at any moment: what was acknowledged is there, as the durability says",
        round: disk::power::round,
        counted: &["images of synced", "of relaxed", "of unsynced", "refused", "checked offline first"],
    },
    Trial {
        name: "faults",
        about: "calls to the disk fail: every answer is true, and nothing acknowledged is lost",
        round: disk::faults::round,
        counted: &["faults met", "outcomes unknown", "groups of callers"],
    },
    damage::TRIAL,
    Trial {
        name: "hostile",
        about: "clients that mean harm, mixed; memory stays bounded, and one who means well is served without a gap",
        round: hostile::round,
        counted: &["puts of a bystander"],
    },
];
