//! Alarms: what is wrong with the server, and stays so until somebody disarms it.

use std::collections::BTreeSet;

use parking_lot::RwLock;
use watchful_wire::etcdserverpb::AlarmType;

/// The alarms that are raised.
#[derive(Debug, Default)]
pub struct Alarms {
    raised: RwLock<BTreeSet<i32>>,
}

impl Alarms {
    /// Whether this alarm is raised.
    #[must_use]
    pub fn is_raised(&self, alarm: AlarmType) -> bool {
        self.raised.read().contains(&(alarm as i32))
    }

    /// The alarms that are raised.
    #[must_use]
    pub fn raised(&self) -> Vec<AlarmType> {
        self.raised.read().iter().filter_map(|alarm| AlarmType::try_from(*alarm).ok()).collect()
    }
}
