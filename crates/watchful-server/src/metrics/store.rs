//! What the store says: keys, pages, commits, history, watches.

use std::fmt;

use watchful::{Gauges, MvccStats, Stats};

use super::page::Page;
use crate::counts::Counts;

pub(super) fn write(page: &mut Page<'_>, stats: &Stats) -> fmt::Result {
    write_revisions(page, &stats.mvcc)?;
    write_space(page, &stats.mvcc)?;
    write_memory(page, stats)?;
    write_commits(page, stats)?;
    page.counter("watchful_history_reads_total", "Reads of history for watches.", stats.history_reads)?;
    page.counter("watchful_history_rows_total", "Rows of the log that they passed.", stats.history_rows)?;
    page.counter("watchful_history_revisions_total", "Revisions that they passed.", stats.history_revisions)
}

fn write_revisions(page: &mut Page<'_>, mvcc: &MvccStats) -> fmt::Result {
    page.gauge("etcd_debugging_mvcc_current_revision", "The newest revision.", mvcc.current_revision)?;
    page.gauge(
        "etcd_debugging_mvcc_compact_revision",
        "The oldest revision that can be read; 0 before any compaction.",
        mvcc.compact_revision,
    )?;
    page.gauge(
        "etcd_debugging_mvcc_keys_total",
        "Keys, deleted ones that compaction has not removed yet among them.",
        mvcc.keys,
    )?;
    page.gauge("watchful_versions", "Versions of keys, tombstones among them.", mvcc.versions)?;
    page.gauge(
        "watchful_versions_superseded",
        "Versions that compaction has yet to remove.",
        mvcc.superseded,
    )?;
    page.counter(
        "etcd_debugging_mvcc_db_compaction_keys_total",
        "Versions that compaction has read to remove them.",
        mvcc.compaction_rows_read,
    )?;
    page.gauge("watchful_leases", "Leases.", mvcc.leases)?;
    page.gauge("watchful_leased_keys", "Keys on leases.", mvcc.leased_keys)
}

fn write_space(page: &mut Page<'_>, mvcc: &MvccStats) -> fmt::Result {
    page.gauge(
        "etcd_mvcc_db_total_size_in_bytes",
        "The length of the data file, which never shrinks by itself.",
        mvcc.file_bytes,
    )?;
    page.gauge(
        "etcd_mvcc_db_total_size_in_use_in_bytes",
        "The bytes of the pages in use, which the quota is for.",
        mvcc.used_bytes,
    )?;
    page.gauge("etcd_server_quota_backend_bytes", "The quota.", mvcc.quota_bytes)?;
    page.gauge("etcd_mvcc_db_open_read_transactions", "Reads of the data file that are open.", mvcc.readers)?;
    page.gauge(
        "watchful_oldest_reader_commits",
        "How many commits ago the oldest open read began: their freed pages cannot be used again yet.",
        mvcc.oldest_reader_lag,
    )?;
    page.gauge(
        "watchful_store_poisoned",
        "Whether writes are refused, because nobody knows whether the last one is on the disk.",
        u64::from(mvcc.is_poisoned),
    )
}

fn write_memory(page: &mut Page<'_>, stats: &Stats) -> fmt::Result {
    page.gauge("watchful_index_bytes", "What the key index takes in memory.", stats.mvcc.index_bytes)?;
    page.gauge(
        "watchful_superseded_bytes",
        "What the list of superseded versions takes in memory.",
        stats.mvcc.superseded_bytes,
    )?;
    page.gauge("watchful_shared_bytes", "What buffers take that watches share.", stats.shared_bytes)
}

fn write_commits(page: &mut Page<'_>, stats: &Stats) -> fmt::Result {
    page.distribution(
        "watchful_commit_group_transactions",
        "How many transactions one commit carried.",
        &stats.commit_group_sizes,
        1.0,
    )?;
    page.distribution(
        "etcd_disk_backend_commit_duration_seconds",
        "How long commits took, the disk's sync among it.",
        &stats.commit_microseconds,
        1e-6,
    )
}

/// What the services have counted.
pub(super) fn write_counts(page: &mut Page<'_>, counts: &Counts) -> fmt::Result {
    page.counter("etcd_mvcc_put_total", "Puts.", counts.puts.get())?;
    page.counter("etcd_mvcc_range_total", "Reads of ranges.", counts.ranges.get())?;
    page.counter("etcd_mvcc_delete_total", "Deletes of ranges.", counts.deletes.get())?;
    page.counter("etcd_mvcc_txn_total", "Transactions.", counts.txns.get())?;
    page.counter(
        "watchful_range_copied_bytes_total",
        "Bytes of stored records that were copied into answers to reads.",
        counts.range_copied_bytes.get(),
    )?;
    page.counter(
        "etcd_debugging_lease_granted_total",
        "Leases that were granted.",
        counts.leases_granted.get(),
    )?;
    page.counter(
        "etcd_debugging_lease_revoked_total",
        "Leases that were revoked.",
        counts.leases_revoked.get(),
    )?;
    page.counter(
        "etcd_debugging_lease_renewed_total",
        "How often leases were kept alive.",
        counts.leases_renewed.get(),
    )?;
    page.counter(
        "etcd_debugging_mvcc_events_total",
        "Events that were sent, each once for each watch that got it.",
        counts.watch_events.get(),
    )?;
    page.counter(
        "watchful_watch_responses_total",
        "Answers that were sent on watch streams.",
        counts.watch_responses.get(),
    )?;
    page.counter(
        "watchful_watch_encoded_bytes_total",
        "Bytes of events that were encoded: once a batch.",
        counts.watch_encoded_bytes.get(),
    )?;
    page.counter(
        "watchful_watch_copied_bytes_total",
        "Bytes of events that were copied into connections: once a batch and watch.",
        counts.watch_copied_bytes.get(),
    )?;
    page.gauge("etcd_debugging_mvcc_watch_stream_total", "Watch streams.", counts.watch_streams.get())
}

/// What the driver said.
pub(super) fn write_watches(page: &mut Page<'_>, gauges: &Gauges) -> fmt::Result {
    let standings = gauges.standings;
    let lines = [
        ("synced", standings.synced),
        ("unsynced", standings.unsynced),
        ("blocked", standings.blocked),
        ("future", standings.future),
    ];
    let labels = lines.map(|(standing, _)| [("standing", standing)]);
    let lines: Vec<_> =
        labels.iter().zip(lines).map(|(labels, (_, count))| (labels.as_slice(), count as u64)).collect();
    page.gauges("watchful_watchers", "Watches by where they stand.", &lines)?;
    page.gauge("etcd_debugging_mvcc_watcher_total", "Watches.", gauges.watches)?;
    page.gauge(
        "etcd_debugging_mvcc_slow_watcher_total",
        "Watches that are owed history.",
        standings.unsynced + standings.blocked,
    )?;
    page.gauge(
        "watchful_watch_groups",
        "Groups of watches with the same ranges and options.",
        gauges.groups,
    )?;
    page.gauge(
        "watchful_watch_lag_revisions_max",
        "The most revisions that any watch has not been given.",
        gauges.lag_revisions_max,
    )?;
    page.gauge("watchful_outbox_bytes", "What outboxes hold.", gauges.queued_bytes)?;
    page.gauge(
        "watchful_outbox_reserved_bytes",
        "What outboxes keep free for reads that are out.",
        gauges.reserved_bytes,
    )?;
    page.gauge(
        "watchful_recent_bytes",
        "What is kept of new batches while history is read.",
        gauges.recent_bytes,
    )?;
    page.gauge(
        "watchful_kept_bytes",
        "What is kept of history that has been read, for watches that had no room for it.",
        gauges.kept_bytes,
    )
}
