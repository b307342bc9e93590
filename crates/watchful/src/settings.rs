//! What a user may choose, and why nobody has to.

use std::sync::Arc;
use std::time::Duration;

use watchful_mvcc::{Durability, MvccSettings};
use watchful_sync::EngineSettings;

use crate::{Clock, Error, SystemClock};

/// Settings of a [`Store`](crate::Store). Every default is meant to be left alone.
///
/// ```
/// use std::time::Duration;
/// use watchful::{CompactionPolicy, Durability, Settings};
///
/// let settings = Settings::default()
///     .with_durability(Durability::Relaxed)
///     .with_compaction(CompactionPolicy::KeepFor(Duration::from_secs(3600)));
/// assert_eq!(settings.quota_bytes, 8 << 30);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// When a write counts as done. On the disk, by default: that is what a database is for.
    pub durability: Durability,
    /// How many bytes of pages may be in use before writes get [`Error::NoSpace`]. 8 GiB by default: what one process
    /// can rebuild its index from in seconds.
    pub quota_bytes: u64,
    /// Which old revisions are forgotten by themselves. None by default: whoever watches decides what may go.
    pub compaction: CompactionPolicy,
    /// The most that one receiver's outbox holds. 1 MiB by default: some milliseconds of the fastest catch-up.
    pub outbox_bytes_max: usize,
    /// The most that one read of history hands out. 512 KiB by default, half an outbox, so that a receiver empties one
    /// half while the other is filled.
    pub chunk_bytes_max: usize,
    /// The most that is held, over all watchers, in buffers that several share. 64 MiB by default. Beyond it each event
    /// has a buffer of its own.
    pub shared_bytes_max: usize,
    /// The most that is queued between the writer and the watchers. 16 MiB by default. What does not fit is read from
    /// the disk.
    pub publish_queue_bytes_max: usize,
    /// How often quiet watches that asked for it hear how far they are. 10 minutes by default, as in etcd.
    pub progress_interval: Duration,
    /// The most transactions that share one commit. 4,096 by default: beyond that a commit's cost no longer shrinks.
    pub group_transactions_max: usize,
    /// How many superseded records one commit forgets along the way. 256 by default: about 0.2 ms.
    pub compaction_slice_rows: usize,
    /// How many reads may be open at once. 1,024 by default; each lasts microseconds.
    pub readers_max: u32,
    /// Where the time comes from. The machine's monotonic clock by default; tests give their own.
    pub clock: Arc<dyn Clock>,
}

/// Which old revisions are forgotten by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompactionPolicy {
    /// None: compaction is by hand.
    #[default]
    Manual,
    /// All but the newest so many revisions. Looked at every ten seconds.
    KeepRevisions(u64),
    /// All but those of the last so long. After a restart the window begins anew, so nothing is forgotten early.
    KeepFor(Duration),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            durability: Durability::Synced,
            quota_bytes: 8 << 30,
            compaction: CompactionPolicy::Manual,
            outbox_bytes_max: 1 << 20,
            chunk_bytes_max: 512 << 10,
            shared_bytes_max: 64 << 20,
            publish_queue_bytes_max: 16 << 20,
            progress_interval: Duration::from_secs(600),
            group_transactions_max: 4096,
            compaction_slice_rows: 256,
            readers_max: 1024,
            clock: Arc::new(SystemClock::default()),
        }
    }
}

/// One `with_` method a setting.
macro_rules! with {
    ($($with:ident, $field:ident: $kind:ty;)*) => {
        impl Settings {
            $(
                #[doc = concat!("These settings with another [`", stringify!($field), "`](Self::", stringify!($field), ").")]
                #[must_use]
                pub fn $with(self, $field: $kind) -> Self {
                    Self { $field, ..self }
                }
            )*
        }
    };
}

with! {
    with_durability, durability: Durability;
    with_quota_bytes, quota_bytes: u64;
    with_compaction, compaction: CompactionPolicy;
    with_outbox_bytes_max, outbox_bytes_max: usize;
    with_chunk_bytes_max, chunk_bytes_max: usize;
    with_shared_bytes_max, shared_bytes_max: usize;
    with_publish_queue_bytes_max, publish_queue_bytes_max: usize;
    with_progress_interval, progress_interval: Duration;
    with_group_transactions_max, group_transactions_max: usize;
    with_compaction_slice_rows, compaction_slice_rows: usize;
    with_readers_max, readers_max: u32;
}

impl Settings {
    /// These settings with another [`clock`](Self::clock).
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |reason| Err(Error::Settings { reason });
        if self.chunk_bytes_max == 0 || self.chunk_bytes_max > self.outbox_bytes_max / 2 {
            return refuse("chunk_bytes_max must be above 0 and at most half of outbox_bytes_max");
        }
        if self.group_transactions_max == 0 || self.compaction_slice_rows == 0 {
            return refuse("group_transactions_max and compaction_slice_rows must be above 0");
        }
        if self.progress_interval.is_zero() {
            return refuse("progress_interval must be above 0");
        }
        match self.compaction {
            CompactionPolicy::KeepRevisions(0) => {
                refuse("a compaction policy must keep at least one revision")
            }
            CompactionPolicy::KeepFor(window) if window.is_zero() => {
                refuse("a compaction policy must keep some time")
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn mvcc(&self) -> MvccSettings {
        MvccSettings::default()
            .with_durability(self.durability)
            .with_quota_bytes(self.quota_bytes)
            .with_readers_max(self.readers_max)
            .with_boot_id(boot_id())
    }

    pub(crate) fn engine(&self) -> EngineSettings {
        let defaults = EngineSettings::default();
        // What is kept holds shared buffers; most of them are to be for what is being read.
        let kept_bytes_max = defaults.kept_bytes_max.min(self.shared_bytes_max / 4);
        EngineSettings { chunk_bytes_max: self.chunk_bytes_max, kept_bytes_max, ..defaults }
    }
}

/// What tells this run of the machine from the one before; none where the system does not say.
fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}
