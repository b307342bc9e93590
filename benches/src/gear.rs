//! What every workload is handed.

use crate::memory::LiveBytes;
use crate::scale::Scale;

/// How large to be, and how to count memory.
pub(crate) struct Gear {
    pub(crate) scale: Scale,
    pub(crate) live_bytes: LiveBytes,
}

impl Gear {
    pub(crate) fn new(scale: Scale, live_bytes: LiveBytes) -> Self {
        Self { scale, live_bytes }
    }
}
