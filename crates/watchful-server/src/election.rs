//! The Election service.

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};
use watchful::{Committed, EventKind, KeyRange, PutOptions, Record, Update, Watch, WatchOptions};
use watchful_wire::v3electionpb::{
    CampaignRequest, CampaignResponse, LeaderKey, LeaderRequest, LeaderResponse, ProclaimRequest,
    ProclaimResponse, ResignRequest, ResignResponse, election_server,
};

use crate::answers;
use crate::concurrency::{Contender, contenders, delete_created_at, first, may_change, may_see, relayed};
use crate::rights::{Refused, Rights};
use crate::state::Shared;

/// The Election service.
#[derive(Clone, Debug)]
pub(crate) struct Election {
    shared: Arc<Shared>,
}

impl Election {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    async fn proclaim_as(
        &self,
        rights: Rights,
        leader: LeaderKey,
        value: &Bytes,
    ) -> Result<ProclaimResponse, Status> {
        self.shared.refuse_growth().map_err(relayed)?;
        may_change(&rights, &leader.key)?;
        let (value, options) = (value.clone(), PutOptions { lease: leader.lease, ..PutOptions::default() });
        let proclaimed = self.shared.store.transact(move |txn| {
            rights.hold_in()?;
            rights.may_attach(txn, [(&*leader.key, leader.lease)])?;
            let own = txn.get(&leader.key)?;
            let is_leader = own.is_some_and(|own| own.create_revision().cast_signed() == leader.rev);
            if is_leader {
                txn.put_with(&leader.key, &value, options)?;
            }
            Ok::<_, Refused>(is_leader)
        });
        let Committed { revision, value: is_leader, .. } =
            self.shared.written(proclaimed.await).await.map_err(relayed)?;
        let header = Some(self.shared.header_at(revision));
        if is_leader { Ok(ProclaimResponse { header }) } else { Err(Status::unknown("election: not leader")) }
    }
}

fn leader_of(leader: Option<&LeaderKey>) -> Result<LeaderKey, Status> {
    leader.cloned().ok_or_else(|| Status::unknown("\"leader\" field must be provided"))
}

#[tonic::async_trait]
impl election_server::Election for Election {
    async fn campaign(
        &self,
        request: Request<CampaignRequest>,
    ) -> Result<Response<CampaignResponse>, Status> {
        let CampaignRequest { name, lease, value } = request.get_ref();
        let enter = |rights| Contender::enter(&self.shared, rights, name, *lease, value);
        let mut contender = self.shared.decided(&request, enter).await.map_err(relayed)?;
        // etcd would call a contender the leader whose key went with its lease while it waited.
        if !contender.wait().await? {
            return Err(Status::unknown("election: not leader"));
        }
        let leader = LeaderKey {
            name: name.clone(),
            key: contender.key.clone(),
            rev: contender.create_revision.cast_signed(),
            lease: contender.lease,
        };
        Ok(Response::new(CampaignResponse { header: Some(contender.header), leader: Some(leader) }))
    }

    async fn proclaim(
        &self,
        request: Request<ProclaimRequest>,
    ) -> Result<Response<ProclaimResponse>, Status> {
        let ProclaimRequest { leader, value } = request.get_ref();
        let leader = leader_of(leader.as_ref())?;
        let proclaim = |rights| self.proclaim_as(rights, leader.clone(), value);
        self.shared.decided(&request, proclaim).await.map_err(relayed).map(Response::new)
    }

    async fn leader(&self, request: Request<LeaderRequest>) -> Result<Response<LeaderResponse>, Status> {
        let look = |rights| ready(first(&self.shared, &rights, &request.get_ref().name));
        let (header, found) = self.shared.decided(&request, look).await.map_err(relayed)?;
        let leader = found.ok_or_else(|| Status::unknown("election: no leader"))?;
        Ok(Response::new(LeaderResponse { header: Some(header), kv: Some(leader.into()) }))
    }

    type ObserveStream = Observed;

    async fn observe(
        &self,
        request: Request<LeaderRequest>,
    ) -> Result<Response<Self::ObserveStream>, Status> {
        let rights = self.shared.rights(&request).map_err(relayed)?;
        let name = request.into_inner().name;
        may_see(&rights, &name)?;
        let (leaders, observed) = mpsc::channel(1);
        let observer = Observer { shared: Arc::clone(&self.shared), rights, name, leaders };
        Ok(Response::new(Observed { run: Some(Box::pin(observer.run())), observed }))
    }

    async fn resign(&self, request: Request<ResignRequest>) -> Result<Response<ResignResponse>, Status> {
        let LeaderKey { key, rev, .. } = leader_of(request.get_ref().leader.as_ref())?;
        // No key was created below revision 2, so a number without a revision's meaning deletes nothing.
        let create_revision = u64::try_from(rev).unwrap_or(0);
        let resign = async |rights| {
            may_change(&rights, &key)?;
            delete_created_at(&self.shared.store, rights, &key, create_revision).await
        };
        let resigned = self.shared.decided(&request, resign).await.map_err(relayed)?;
        Ok(Response::new(ResignResponse { header: Some(self.shared.header_at(resigned.revision)) }))
    }
}

/// What an observer is told. It looks when it is asked, and not before: whoever does not listen has nothing read for them.
pub(crate) struct Observed {
    /// None once it is over.
    run: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    observed: mpsc::Receiver<Result<LeaderResponse, Status>>,
}

impl Stream for Observed {
    type Item = Result<LeaderResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let told = self.observed.poll_recv(cx);
        if told.is_ready() {
            return told;
        }
        if let Some(run) = &mut self.run
            && run.as_mut().poll(cx).is_ready()
        {
            self.run = None;
        }
        // It may have told something, or be over.
        self.observed.poll_recv(cx)
    }
}

/// Tells one observer of each leader and of what it proclaims. Never all of it: always the newest.
struct Observer {
    shared: Arc<Shared>,
    rights: Rights,
    name: Bytes,
    leaders: mpsc::Sender<Result<LeaderResponse, Status>>,
}

/// The observer has gone, or the store, or the right to look.
struct Over;

impl Observer {
    async fn run(self) {
        let stopping = self.shared.stopping.clone();
        tokio::select! {
            Over = self.observe() => {}
            () = stopping.cancelled() => drop(self.leaders.send(Err(answers::stopped())).await),
        }
    }

    async fn observe(&self) -> Over {
        loop {
            if let Err(over) = self.observe_one().await {
                return over;
            }
        }
    }

    /// Waits for a leader, and tells what it says until its key is deleted.
    async fn observe_one(&self) -> Result<(), Over> {
        let looked = self.rights.read_renewed(|rights| first(&self.shared, rights, &self.name));
        let (header, leader) = self.or_over(looked).await?;
        let read_at = header.revision.cast_unsigned();
        let Some(leader) = leader else { return self.wait_for_anyone(read_at).await };
        let key = KeyRange::key(leader.key());
        self.tell(read_at, leader).await?;
        let mut watch = self.watch(key, read_at)?;
        loop {
            let Some(batch) = events(&mut watch).await? else { return Ok(()) };
            for event in batch.events() {
                if event.kind() == EventKind::Delete {
                    return Ok(());
                }
                self.tell(batch.head(), event.record().clone()).await?;
            }
        }
    }

    async fn wait_for_anyone(&self, read_at: u64) -> Result<(), Over> {
        let mut watch = self.watch(contenders(&self.name), read_at)?;
        while let Some(batch) = events(&mut watch).await? {
            if batch.has(EventKind::Put) {
                break;
            }
        }
        Ok(())
    }

    fn watch(&self, range: KeyRange, after: u64) -> Result<Watch, Over> {
        self.shared.store.watch(&WatchOptions::new(range).start_at(after + 1)).map_err(|_| Over)
    }

    /// Tells the observer why there is nothing more to see, where that is so.
    async fn or_over<T>(&self, looked: Result<T, Status>) -> Result<T, Over> {
        match looked {
            Ok(seen) => Ok(seen),
            Err(status) => {
                // Whether it is still there to hear it makes no difference.
                let _ = self.leaders.send(Err(status)).await;
                Err(Over)
            }
        }
    }

    async fn tell(&self, revision: u64, leader: Record) -> Result<(), Over> {
        let may = may_see(&self.rights.renewed(), &self.name);
        self.or_over(may).await?;
        let header = Some(self.shared.header_at(revision));
        self.leaders.send(Ok(LeaderResponse { header, kv: Some(leader.into()) })).await.map_err(|_| Over)
    }
}

/// The next events; none where they were compacted away, so that a new look is needed.
async fn events(watch: &mut Watch) -> Result<Option<Arc<watchful::Batch>>, Over> {
    loop {
        match watch.next().await {
            Some(Ok(Update::Events(batch))) => return Ok(Some(batch)),
            Some(Ok(Update::Progress { .. })) => {}
            Some(Err(watchful::End::Compacted { .. })) => return Ok(None),
            Some(Err(_)) | None => return Err(Over),
        }
    }
}
