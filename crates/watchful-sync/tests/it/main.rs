//! The engine's tests, one binary.

#![allow(unreachable_pub, reason = "one binary, nothing is public")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod schedules;

mod hand_over;

mod compaction;

mod lag;

mod progress;

mod members;

mod scans;

mod etcd_stories;
