//! What all services share: the store, who this server is, its limits, its alarms and its counts.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tonic::Status;
use watchful::{Error, Store};
use watchful_wire::etcdserverpb::{AlarmType, ResponseHeader};

use crate::alarms::{Alarms, note_of};
use crate::answers;
use crate::auth::Authority;
use crate::counts::Counts;
use crate::rights::Refused;
use crate::settings::ServerSettings;
use crate::streams::Streams;
use crate::watch::EncodedBudget;

/// The version of etcd whose behaviour is kept. Clients gate on it.
pub const ETCD_VERSION: &str = "3.6.0";

/// What the services share.
#[derive(Debug)]
pub struct Shared {
    /// The store.
    pub store: Store,
    /// What the server was told.
    pub settings: ServerSettings,
    /// Who it is.
    pub identity: Identity,
    /// What is wrong, and stays so until it is disarmed.
    pub alarms: Alarms,
    /// What is counted.
    pub counts: Arc<Counts>,
    /// Whose the open watch streams are.
    pub streams: Arc<Streams>,
    /// Who may do what.
    pub(crate) authority: Authority,
    /// Alarms change one at a time, so that what is noted is what is so.
    pub(crate) alarm_turn: tokio::sync::Mutex<()>,
    /// The places for snapshots that are being taken.
    pub(crate) snapshots: Arc<tokio::sync::Semaphore>,
    /// What encodings of batches may take up.
    pub(crate) encoded: Arc<EncodedBudget>,
    /// Cancelled when the server is told to stop: streams end then, so that connections can.
    pub(crate) stopping: CancellationToken,
}

/// Who answers: in every header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster, which has this one member.
    pub cluster_id: u64,
    /// The member.
    pub member_id: u64,
    /// The store's epoch, counted from 2 as etcd's terms are: it grows where revisions may have been given out again.
    pub raft_term: u64,
}

impl Shared {
    /// A header that tells `revision`.
    #[must_use]
    pub fn header_at(&self, revision: u64) -> ResponseHeader {
        let Identity { cluster_id, member_id, raft_term } = self.identity;
        ResponseHeader { cluster_id, member_id, revision: revision.cast_signed(), raft_term }
    }

    /// A header that tells the newest revision.
    #[must_use]
    pub fn header(&self) -> ResponseHeader {
        self.header_at(self.store.current_revision())
    }

    /// Whether the server is not about to stop, a read is answered, and what was written is known. Costs a few microseconds.
    pub(crate) fn can_read(&self) -> Result<(), String> {
        if self.stopping.is_cancelled() {
            return Err("etcdserver: server stopped".to_owned());
        }
        let stats = self.store.stats();
        let reason = if stats.mvcc.is_poisoned {
            "nobody knows whether the last write is on the disk"
        } else if stats.has_panicked {
            "the store met an error of its own, which is in the log"
        } else {
            return self.store.get(b"\0").map(drop).map_err(|error| error.to_string());
        };
        Err(format!("{reason}: start the server again"))
    }

    /// Refuses what needs room while the alarm NOSPACE is raised, and everything while CORRUPT is.
    pub(crate) fn refuse_growth(&self) -> Result<(), Status> {
        self.refuse_damaged()?;
        if self.alarms.is_raised(AlarmType::Nospace) { Err(answers::no_space()) } else { Ok(()) }
    }

    /// Refuses everything while the alarm CORRUPT is raised.
    pub(crate) fn refuse_damaged(&self) -> Result<(), Status> {
        if self.alarms.is_raised(AlarmType::Corrupt) { Err(answers::corrupt()) } else { Ok(()) }
    }

    /// What became of a write. Where there was no room for it, the alarm is raised, and stays so after a restart.
    pub(crate) async fn written<T>(&self, outcome: Result<T, impl Into<Refused>>) -> Result<T, Status> {
        match outcome.map_err(Into::into) {
            Ok(written) => Ok(written),
            Err(refused) => {
                if matches!(refused, Refused::Store(Error::NoSpace { .. })) {
                    self.set_alarm(AlarmType::Nospace, true).await?;
                }
                Err(refused.into())
            }
        }
    }

    /// Raises or disarms an alarm, in memory and on the disk.
    pub(crate) async fn set_alarm(&self, alarm: AlarmType, raised: bool) -> Result<bool, Status> {
        let _turn = self.alarm_turn.lock().await;
        let changed = self.alarms.set(alarm, raised);
        if changed {
            tracing::warn!(alarm = alarm.as_str_name(), raised, "an alarm changed");
            if let Err(error) = self.note_alarm(alarm, raised).await {
                // Raised it stays while the server runs, and whatever made it so will raise it again; disarmed it was not.
                tracing::error!(alarm = alarm.as_str_name(), %error, "an alarm's change could not be kept");
                if !raised {
                    self.alarms.set(alarm, true);
                    return Err(error);
                }
            }
        }
        Ok(changed)
    }

    async fn note_alarm(&self, alarm: AlarmType, raised: bool) -> Result<(), Status> {
        let noted = self.store.transact(move |txn| match raised {
            true => txn.set_note(note_of(alarm), b""),
            false => txn.remove_note(note_of(alarm)).map(drop),
        });
        noted.await.map(drop).map_err(answers::of)
    }
}
