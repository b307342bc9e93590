//! What all services share: the store, who this server is, its limits, its alarms and its counts.

use std::sync::Arc;

use watchful::Store;
use watchful_wire::etcdserverpb::ResponseHeader;

use crate::alarms::Alarms;
use crate::counts::Counts;
use crate::settings::ServerSettings;
use crate::streams::Streams;

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
}

/// Who answers: in every header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster, which has this one member.
    pub cluster_id: u64,
    /// The member.
    pub member_id: u64,
    /// The store's epoch, counted from 1: it grows where revisions may have been given out again.
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
}
