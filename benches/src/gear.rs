//! What every workload is handed.

use std::path::PathBuf;

use crate::memory::LiveBytes;
use crate::scale::Scale;

/// How large to be, how to count memory, and which servers there are.
#[derive(Clone)]
pub(crate) struct Gear {
    pub(crate) scale: Scale,
    pub(crate) live_bytes: LiveBytes,
    /// The program `watchful`.
    pub(crate) watchful: PathBuf,
    /// Whether etcd takes its turns.
    pub(crate) beside_etcd: bool,
    /// Whether etcd's long cells are left out, because a record has them.
    pub(crate) leaves_long_cells: bool,
}
