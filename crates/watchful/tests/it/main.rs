//! The proof of the facade: what callers may rely on, case by case (`behaviour`), what other stores' users suffered from
//! (`etcd_stories`), all promises at once under load (`stress`), damage, crashes and full disks (`open`), reads against
//! compaction (`reads`), and the rest of the interface (`watch_api`, `writes`, `upkeep`).

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod support;

mod behaviour;

mod etcd_stories;

mod watch_api;

mod writes;

mod own_panics;

mod upkeep;

mod reads;

mod open;

mod stress;

mod git_history;

mod golden;
