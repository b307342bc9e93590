//! The Maintenance service: status, alarms, copies, hashes.

use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use tonic::{Request, Response, Status};
use watchful::Error;
use watchful_wire::etcdserverpb::alarm_request::AlarmAction;
use watchful_wire::etcdserverpb::downgrade_request::DowngradeAction;
use watchful_wire::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmResponse, AlarmType, DefragmentRequest, DefragmentResponse,
    DowngradeInfo, DowngradeRequest, DowngradeResponse, HashKvRequest, HashKvResponse, HashRequest,
    HashResponse, MoveLeaderRequest, MoveLeaderResponse, SnapshotRequest, SnapshotResponse, StatusRequest,
    StatusResponse, maintenance_server,
};

use crate::answers;
use crate::auth::Need;
use crate::snapshot;
use crate::state::{ETCD_VERSION, Shared};

/// The Maintenance service.
#[derive(Clone, Debug)]
pub(crate) struct Maintenance {
    shared: Arc<Shared>,
}

impl Maintenance {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn member(&self, alarm: AlarmType) -> AlarmMember {
        AlarmMember { member_id: self.shared.identity.member_id, alarm: alarm.into() }
    }

    fn is_us(&self, member_id: u64) -> bool {
        member_id == 0 || member_id == self.shared.identity.member_id
    }

    async fn alarms(&self, request: &AlarmRequest) -> Result<Vec<AlarmMember>, Status> {
        let asked = request.alarm();
        let raise = match request.action() {
            AlarmAction::Get => {
                let raised = self.shared.alarms.raised();
                let is_asked = |alarm: &AlarmType| asked == AlarmType::None || asked == *alarm;
                return Ok(raised.into_iter().filter(is_asked).map(|alarm| self.member(alarm)).collect());
            }
            AlarmAction::Activate => true,
            AlarmAction::Deactivate => false,
        };
        if asked == AlarmType::None || !self.is_us(request.member_id) {
            return Ok(Vec::new());
        }
        // As in etcd, raising tells the alarm in any case, and disarming only one that was raised.
        let changed = self.shared.set_alarm(asked, raise).await?;
        Ok(if changed || raise { vec![self.member(asked)] } else { Vec::new() })
    }

    fn status_now(&self) -> StatusResponse {
        let (shared, stats) = (&self.shared, self.shared.store.stats());
        let member_id = shared.identity.member_id;
        let index = stats.mvcc.current_revision;
        let told = |alarm: AlarmType| format!("memberID:{member_id} alarm:{} ", alarm.as_str_name());
        StatusResponse {
            header: Some(shared.header()),
            version: ETCD_VERSION.to_owned(),
            db_size: stats.mvcc.file_bytes.cast_signed(),
            leader: member_id,
            raft_index: index,
            raft_term: shared.identity.raft_term,
            raft_applied_index: index,
            errors: shared.alarms.raised().into_iter().map(told).collect(),
            db_size_in_use: stats.mvcc.used_bytes.cast_signed(),
            is_learner: false,
            storage_version: ETCD_VERSION.to_owned(),
            db_size_quota: stats.mvcc.quota_bytes.cast_signed(),
            downgrade_info: Some(DowngradeInfo::default()),
        }
    }
}

/// The compact revision as a hash tells it: −1 where nothing was ever compacted.
fn compact_revision(revision: u64) -> i64 {
    if revision == 0 { -1 } else { revision.cast_signed() }
}

/// Runs what may take long on a thread that nobody waits for.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Status> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(answers::of),
        Err(panic) => Err(Status::internal(format!("watchful: {panic}"))),
    }
}

/// Whether a text is a version of etcd's form: numbers with dots.
fn is_version(text: &str) -> bool {
    let numbers: Vec<&str> = text.trim_start_matches('v').split('.').collect();
    (2..=3).contains(&numbers.len()) && numbers.iter().all(|number| number.parse::<u32>().is_ok())
}

#[tonic::async_trait]
impl maintenance_server::Maintenance for Maintenance {
    async fn alarm(&self, request: Request<AlarmRequest>) -> Result<Response<AlarmResponse>, Status> {
        let is_look = request.get_ref().action() == AlarmAction::Get;
        self.shared.require(&request, if is_look { &Need::User } else { &Need::Root })?;
        let alarms = self.alarms(request.get_ref()).await?;
        Ok(Response::new(AlarmResponse { header: Some(self.shared.header()), alarms }))
    }

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        self.shared.require(&request, &Need::User)?;
        Ok(Response::new(self.status_now()))
    }

    async fn defragment(
        &self,
        request: Request<DefragmentRequest>,
    ) -> Result<Response<DefragmentResponse>, Status> {
        self.shared.require(&request, &Need::Root)?;
        let store = self.shared.store.clone();
        let done = blocking(move || store.defragment()).await?;
        tracing::info!(bytes_before = done.bytes_before, bytes_after = done.bytes_after, "defragmented");
        Ok(Response::new(DefragmentResponse { header: Some(self.shared.header()) }))
    }

    async fn hash(&self, request: Request<HashRequest>) -> Result<Response<HashResponse>, Status> {
        self.shared.require(&request, &Need::Root)?;
        let store = self.shared.store.clone();
        let hash = blocking(move || store.hash_all()).await?;
        Ok(Response::new(HashResponse { header: Some(self.shared.header()), hash }))
    }

    async fn hash_kv(&self, request: Request<HashKvRequest>) -> Result<Response<HashKvResponse>, Status> {
        self.shared.require(&request, &Need::Root)?;
        let store = self.shared.store.clone();
        // As in etcd, a revision below 1 means the newest.
        let revision = u64::try_from(request.get_ref().revision).unwrap_or(0);
        let hashed = blocking(move || store.hash(revision)).await?;
        Ok(Response::new(HashKvResponse {
            header: Some(self.shared.header()),
            hash: hashed.hash,
            compact_revision: compact_revision(hashed.compact_revision),
            hash_revision: hashed.revision.cast_signed(),
        }))
    }

    type SnapshotStream = Pin<Box<dyn Stream<Item = Result<SnapshotResponse, Status>> + Send + 'static>>;

    async fn snapshot(
        &self,
        request: Request<SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        self.shared.require(&request, &Need::Root)?;
        let parts = snapshot::stream(Arc::clone(&self.shared)).await?;
        Ok(Response::new(Box::pin(parts)))
    }

    async fn move_leader(
        &self,
        request: Request<MoveLeaderRequest>,
    ) -> Result<Response<MoveLeaderResponse>, Status> {
        self.shared.require(&request, &Need::Root)?;
        if request.get_ref().target_id != self.shared.identity.member_id {
            return Err(answers::bad_transferee());
        }
        Ok(Response::new(MoveLeaderResponse { header: Some(self.shared.header()) }))
    }

    async fn downgrade(
        &self,
        request: Request<DowngradeRequest>,
    ) -> Result<Response<DowngradeResponse>, Status> {
        self.shared.require(&request, &Need::Root)?;
        let request = request.get_ref();
        Err(match request.action() {
            DowngradeAction::Cancel => answers::no_downgrade(),
            _ if is_version(&request.version) => answers::invalid_downgrade_version(),
            _ => answers::wrong_downgrade_version(),
        })
    }
}
