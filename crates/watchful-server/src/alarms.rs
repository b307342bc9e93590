//! Alarms: what is wrong with the server, and stays so until somebody disarms it.
//!
//! They are asked about on every write, so they are bits in one number. They are kept in the store as notes, because a
//! restart disarms nothing.

use std::sync::atomic::{AtomicU8, Ordering};

use watchful::{Error, Store};
use watchful_wire::etcdserverpb::AlarmType;

/// The alarms that are raised.
#[derive(Debug, Default)]
pub struct Alarms {
    raised: AtomicU8,
}

/// The alarms there are.
pub(crate) const ALL: [AlarmType; 2] = [AlarmType::Nospace, AlarmType::Corrupt];

impl Alarms {
    /// The alarms that were raised when the store was closed.
    ///
    /// # Errors
    ///
    /// As [`Store::note`].
    pub(crate) fn noted_in(store: &Store) -> Result<Self, Error> {
        let alarms = Self::default();
        for alarm in ALL {
            alarms.set(alarm, store.note(note_of(alarm))?.is_some());
        }
        Ok(alarms)
    }

    /// Alarms that are raised from the start.
    #[must_use]
    pub fn of(raised: impl IntoIterator<Item = AlarmType>) -> Self {
        let alarms = Self::default();
        for alarm in raised {
            alarms.set(alarm, true);
        }
        alarms
    }

    /// Whether this alarm is raised.
    #[must_use]
    pub fn is_raised(&self, alarm: AlarmType) -> bool {
        self.raised.load(Ordering::Acquire) & bit(alarm) != 0
    }

    /// The alarms that are raised.
    #[must_use]
    pub fn raised(&self) -> Vec<AlarmType> {
        ALL.into_iter().filter(|alarm| self.is_raised(*alarm)).collect()
    }

    /// Raises or disarms an alarm. Tells whether that changed anything.
    pub(crate) fn set(&self, alarm: AlarmType, raised: bool) -> bool {
        let bit = bit(alarm);
        let before = match raised {
            true => self.raised.fetch_or(bit, Ordering::AcqRel),
            false => self.raised.fetch_and(!bit, Ordering::AcqRel),
        };
        (before & bit != 0) != raised
    }
}

/// The name of the note that keeps an alarm.
pub(crate) fn note_of(alarm: AlarmType) -> String {
    format!("alarm/{}", alarm.as_str_name())
}

fn bit(alarm: AlarmType) -> u8 {
    match alarm {
        AlarmType::None => 0,
        AlarmType::Nospace => 1,
        AlarmType::Corrupt => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_alarm_is_raised_and_disarmed_by_itself() {
        let alarms = Alarms::of([AlarmType::Corrupt]);
        assert!(alarms.set(AlarmType::Nospace, true));
        assert!(!alarms.set(AlarmType::Nospace, true), "it was raised already");
        assert_eq!(alarms.raised(), ALL);
        assert!(alarms.set(AlarmType::Corrupt, false));
        assert!(!alarms.set(AlarmType::Corrupt, false));
        assert_eq!(alarms.raised(), [AlarmType::Nospace]);
    }
}
