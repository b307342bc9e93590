//! What the process holds: what it asked the allocator for, and what the system counts.

/// Tells how many bytes are allocated now; none where nobody counts them.
pub type LiveBytes = fn() -> Option<usize>;

/// Memory at one moment, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) live: Option<usize>,
    /// What is resident and belongs to no file: the mapped pages of the data file do not count.
    pub(crate) anonymous: u64,
}

impl Memory {
    pub(crate) fn now(live_bytes: LiveBytes) -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self { live: live_bytes(), anonymous: field(&status, "RssAnon:") }
    }
}

/// A field of the status file, which counts in KiB; 0 where it is not told.
pub(crate) fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or_default() * 1024
}
