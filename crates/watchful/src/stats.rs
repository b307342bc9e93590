//! Counts and sizes of a store, all in one answer.

use std::sync::atomic::{AtomicU64, Ordering};

use watchful_mvcc::MvccStats;

use crate::commit::CommitCounts;
use crate::distribution::Distribution;
use crate::reader::ReadCounts;

/// Counts and sizes of a store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Keys, versions, pages, leases.
    pub mvcc: MvccStats,
    /// How many groups were committed.
    pub commit_groups: u64,
    /// How many transactions were in them.
    pub commit_transactions: u64,
    /// The most transactions that were in one.
    pub commit_group_max: u64,
    /// How many transactions the groups had.
    pub commit_group_sizes: Distribution,
    /// How long their commits took, in microseconds: the disk's part of a write, and the little that makes it visible.
    pub commit_microseconds: Distribution,
    /// How many reads of history there were.
    pub history_reads: u64,
    /// How many rows they passed.
    pub history_rows: u64,
    /// How many revisions they passed. A watcher D revisions behind adds D, alone or in company.
    pub history_revisions: u64,
    /// What is held in buffers that several watchers share.
    pub shared_bytes: usize,
    /// The store's own code has panicked: writes, watches or both are refused until it is opened again.
    pub has_panicked: bool,
}

impl Stats {
    pub(crate) fn new(
        mvcc: MvccStats,
        commits: &CommitCounts,
        reads: &ReadCounts,
        shared_bytes: usize,
        has_panicked: bool,
    ) -> Self {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Self {
            mvcc,
            commit_groups: load(&commits.groups),
            commit_transactions: load(&commits.transactions),
            commit_group_max: load(&commits.largest_group),
            commit_group_sizes: commits.group_sizes.now(),
            commit_microseconds: commits.microseconds.now(),
            history_reads: load(&reads.reads),
            history_rows: load(&reads.rows),
            history_revisions: load(&reads.revisions),
            shared_bytes,
            has_panicked,
        }
    }
}
