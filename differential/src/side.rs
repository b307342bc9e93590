//! One server as the workload sees it: it takes requests and gives answers that can be compared.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::time::Duration;

use tonic::{Response, Status};
use watchful_wire::etcdserverpb::auth_client::AuthClient;
use watchful_wire::etcdserverpb::cluster_client::ClusterClient;
use watchful_wire::etcdserverpb::kv_client::KvClient;
use watchful_wire::etcdserverpb::lease_client::LeaseClient;
use watchful_wire::etcdserverpb::maintenance_client::MaintenanceClient;
use watchful_wire::etcdserverpb::{
    AlarmRequest, AlarmType, DefragmentRequest, HashRequest, LeaseKeepAliveRequest, LeaseKeepAliveResponse,
    Member, RangeRequest, RangeResponse, ResponseHeader, SnapshotRequest, StatusRequest,
    alarm_request::AlarmAction,
};

use crate::Failure;
use crate::answer::{Answer, Members, anonymous, anonymous_txn};
use crate::auth;
use crate::caller::{Bearer, Called, Caller, Tokens};
use crate::leases::LeaseNames;
use crate::patience::{OutOfPatience, Patience};
use crate::program::{Program, Running};
use crate::request::{Request, Standing, Upkeep, Watches};
use crate::stream::WatchStream;

/// How long an answer may take. A server that is slower than this is taken for one that does not answer.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// One server, with what the workload has open there.
pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) running: Running,
    kv: KvClient<Called>,
    lease: LeaseClient<Called>,
    cluster: ClusterClient<Called>,
    maintenance: MaintenanceClient<Called>,
    auth: AuthClient<Called>,
    /// What the clients send with each request.
    bearer: Bearer,
    tokens: Tokens,
    /// Who asks.
    pub(crate) caller: Caller,
    names: LeaseNames,
    streams: HashMap<usize, WatchStream>,
}

impl Side {
    pub(crate) async fn start(program: &Program) -> Result<Self, Failure> {
        let running = program.start().await?;
        let bearer = Bearer::default();
        let called = || Called::new(running.channel.clone(), bearer.clone());
        Ok(Self {
            name: program.name,
            kv: KvClient::new(called()).max_decoding_message_size(usize::MAX),
            lease: LeaseClient::new(called()),
            cluster: ClusterClient::new(called()),
            maintenance: MaintenanceClient::new(called()),
            auth: AuthClient::new(called()),
            tokens: Tokens::default(),
            caller: Caller::Nobody,
            names: LeaseNames::default(),
            streams: HashMap::new(),
            bearer,
            running,
        })
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask(&mut self, request: &Request) -> Answer {
        let chosen = matches!(request, Request::LeaseGrant(grant) if grant.id == 0);
        let asked = self.names.with_ids(request.clone());
        self.bearer.set(self.tokens.of(self.caller));
        let answer = match Patience::new(ANSWER_WITHIN).wait(self.dispatch(asked)).await {
            Ok(answer) => answer,
            Err(OutOfPatience) => Answer::Late { waited_for: format!("an answer, {ANSWER_WITHIN:?}") },
        };
        if chosen {
            self.names.name_chosen(if let Answer::LeaseGrant(granted) = &answer {
                Some(granted.id)
            } else {
                None
            });
        }
        self.names.with_names(answer)
    }

    /// Takes note that the other server is asked this, and this one is not.
    pub(crate) fn pass_over(&mut self, request: &Request) {
        if matches!(request, Request::LeaseGrant(grant) if grant.id == 0) {
            self.names.name_chosen(None);
        }
    }

    /// The stream that a workload calls `stream`; opened when it is first asked for, by whoever asks then.
    pub(crate) fn stream(&mut self, stream: usize) -> &mut WatchStream {
        let (channel, token) = (&self.running.channel, self.tokens.of(self.caller));
        self.streams.entry(stream).or_insert_with(|| {
            let bearer = Bearer::default();
            bearer.set(token);
            WatchStream::open(Called::new(channel.clone(), bearer))
        })
    }

    pub(crate) fn close_stream(&mut self, stream: usize) {
        self.streams.remove(&stream);
    }

    /// Closes all streams but those to keep.
    pub(crate) fn close_streams(&mut self, keep: impl Fn(usize) -> bool) {
        self.streams.retain(|stream, _| keep(*stream));
    }

    /// What the watch was given since this was last asked.
    pub(crate) fn take_delivered(&mut self, stream: usize, watch_id: i64) -> Answer {
        let delivered = Answer::Delivered(self.stream(stream).take(watch_id));
        self.names.with_names(delivered)
    }

    /// Whatever came over the streams and was not taken, by stream and watch.
    pub(crate) fn leftovers(&mut self) -> BTreeSet<(usize, i64)> {
        let of = |(stream, watches): (&usize, &mut WatchStream)| {
            watches.drain();
            watches.untaken().into_iter().map(|watch_id| (*stream, watch_id)).collect::<Vec<_>>()
        };
        self.streams.iter_mut().flat_map(of).collect()
    }

    async fn dispatch(&mut self, request: Request) -> Answer {
        match request {
            Request::Range(_)
            | Request::RangeStream(_)
            | Request::Put(_)
            | Request::DeleteRange(_)
            | Request::Txn(_)
            | Request::Compact(_) => self.dispatch_kv(request).await,
            Request::LeaseGrant(_)
            | Request::LeaseRevoke(_)
            | Request::LeaseKeepAlive(_)
            | Request::LeaseTimeToLive(_)
            | Request::LeaseLeases(_) => self.dispatch_lease(request).await,
            Request::Watch { stream, create } => self.stream(stream).create(create).await,
            Request::Cancel { stream, watch_id, standing } => {
                self.stream(stream).cancel(watch_id, standing == Standing::Open).await
            }
            Request::Progress { stream, watches } => {
                self.stream(stream).progress(watches == Watches::Synced).await
            }
            Request::Delivered { stream, watch_id, .. } => self.take_delivered(stream, watch_id),
            Request::Auth(call) => plain(auth::call(&mut self.auth, &mut self.tokens, call).await),
            other => self.dispatch_cluster(other).await,
        }
    }

    async fn dispatch_kv(&mut self, request: Request) -> Answer {
        match request {
            Request::Range(range) => answer(self.kv.range(range), Answer::Range).await,
            Request::RangeStream(range) => match self.range_stream(range).await {
                Ok(whole) => plain(Answer::Range(whole)),
                Err(status) => Answer::refused(&status),
            },
            Request::Put(put) => answer(self.kv.put(put), Answer::Put).await,
            Request::DeleteRange(delete) => answer(self.kv.delete_range(delete), Answer::DeleteRange).await,
            Request::Txn(txn) => answer(self.kv.txn(txn), Answer::Txn).await,
            Request::Compact(compact) => answer(self.kv.compact(compact), Answer::Compact).await,
            _ => Answer::Nothing,
        }
    }

    async fn dispatch_lease(&mut self, request: Request) -> Answer {
        match request {
            Request::LeaseGrant(grant) => answer(self.lease.lease_grant(grant), Answer::LeaseGrant).await,
            Request::LeaseRevoke(revoke) => {
                answer(self.lease.lease_revoke(revoke), Answer::LeaseRevoke).await
            }
            Request::LeaseKeepAlive(keep) => match self.keep_alive(keep).await {
                Ok(kept) => plain(Answer::LeaseKeepAlive(kept)),
                Err(status) => Answer::refused(&status),
            },
            Request::LeaseTimeToLive(ask) => {
                answer(self.lease.lease_time_to_live(ask), Answer::LeaseTimeToLive).await
            }
            Request::LeaseLeases(ask) => answer(self.lease.lease_leases(ask), Answer::LeaseLeases).await,
            _ => Answer::Nothing,
        }
    }

    async fn dispatch_cluster(&mut self, request: Request) -> Answer {
        let (cluster, maintenance) = (&mut self.cluster, &mut self.maintenance);
        match request {
            Request::MemberList(ask) => members(cluster.member_list(ask), |a| (a.header, a.members)).await,
            Request::MemberAdd(ask) => members(cluster.member_add(ask), |a| (a.header, a.members)).await,
            Request::MemberRemove(ask) => {
                members(cluster.member_remove(ask), |a| (a.header, a.members)).await
            }
            Request::MemberUpdate(ask) => {
                members(cluster.member_update(ask), |a| (a.header, a.members)).await
            }
            Request::MemberPromote(ask) => {
                members(cluster.member_promote(ask), |a| (a.header, a.members)).await
            }
            Request::Alarm(ask) => answer(maintenance.alarm(ask), Answer::Alarm).await,
            Request::HashKv(ask) => {
                let first = answer(maintenance.hash_kv(ask), Answer::HashKv).await;
                same(first, answer(maintenance.hash_kv(ask), Answer::HashKv).await)
            }
            Request::MoveLeader(ask) => answer(maintenance.move_leader(ask), |_| Answer::Nothing).await,
            Request::Upkeep(ask) => upkeep(maintenance, ask).await,
            _ => Answer::Nothing,
        }
    }

    /// A streamed range, put together again.
    async fn range_stream(&mut self, range: RangeRequest) -> Result<RangeResponse, Status> {
        let mut chunks = self.kv.range_stream(range).await?.into_inner();
        let mut whole = RangeResponse::default();
        while let Some(chunk) = chunks.message().await? {
            let Some(mut chunk) = chunk.range_response else { continue };
            whole.kvs.append(&mut chunk.kvs);
            whole.header = chunk.header.or(whole.header);
            whole.more |= chunk.more;
            whole.count = whole.count.max(chunk.count);
        }
        Ok(whole)
    }

    async fn keep_alive(&mut self, keep: LeaseKeepAliveRequest) -> Result<LeaseKeepAliveResponse, Status> {
        let kept =
            self.lease.lease_keep_alive(tokio_stream::once(keep)).await?.into_inner().message().await?;
        kept.ok_or_else(|| Status::unknown("the stream ended without an answer"))
    }
}

/// Whether it was done.
async fn upkeep(maintenance: &mut MaintenanceClient<Called>, ask: Upkeep) -> Answer {
    match ask {
        Upkeep::Status => answer(maintenance.status(StatusRequest {}), |_| Answer::Nothing).await,
        Upkeep::Hash => answer(maintenance.hash(HashRequest {}), |_| Answer::Nothing).await,
        Upkeep::Defragment => answer(maintenance.defragment(DefragmentRequest {}), |_| Answer::Nothing).await,
        Upkeep::Snapshot => {
            let first =
                async { maintenance.snapshot(SnapshotRequest {}).await?.into_inner().message().await };
            answer(async { first.await.map(Response::new) }, |_| Answer::Nothing).await
        }
        Upkeep::Disarm => {
            let (action, alarm) = (AlarmAction::Deactivate.into(), AlarmType::Nospace.into());
            answer(maintenance.alarm(AlarmRequest { action, alarm, member_id: 0 }), |_| Answer::Nothing).await
        }
    }
}

async fn answer<T>(
    asked: impl Future<Output = Result<Response<T>, Status>>,
    of: impl FnOnce(T) -> Answer,
) -> Answer {
    match asked.await {
        Ok(response) => plain(of(response.into_inner())),
        Err(status) => Answer::refused(&status),
    }
}

async fn members<T>(
    asked: impl Future<Output = Result<Response<T>, Status>>,
    parts: impl FnOnce(T) -> (Option<ResponseHeader>, Vec<Member>),
) -> Answer {
    answer(asked, |response| {
        let (header, members) = parts(response);
        let id = header.as_ref().map_or(0, |header| header.member_id);
        Answer::Members(Members {
            header,
            names: members.iter().map(|member| member.name.clone()).collect(),
            learners: members.iter().filter(|member| member.is_learner).count(),
            with_client_urls: members.iter().filter(|member| !member.client_ur_ls.is_empty()).count(),
            listed_itself: members.iter().any(|member| member.id == id),
        })
    })
    .await
}

/// A hash must be the same when it is asked for again.
fn same(first: Answer, second: Answer) -> Answer {
    match (&first, &second) {
        (Answer::HashKv(one), Answer::HashKv(other)) if one.hash != other.hash => Answer::Refused {
            code: tonic::Code::DataLoss,
            message: format!("the hash was {} and then {}", one.hash, other.hash),
        },
        _ => first,
    }
}

/// The answer without what differs from server to server by its nature.
fn plain(mut answer: Answer) -> Answer {
    match &mut answer {
        Answer::Range(inner) => anonymous(&mut inner.header),
        Answer::Put(inner) => anonymous(&mut inner.header),
        Answer::DeleteRange(inner) => anonymous(&mut inner.header),
        Answer::Txn(inner) => anonymous_txn(inner),
        Answer::Compact(inner) => anonymous(&mut inner.header),
        Answer::LeaseGrant(inner) => anonymous(&mut inner.header),
        Answer::LeaseRevoke(inner) => anonymous(&mut inner.header),
        Answer::LeaseKeepAlive(inner) => anonymous(&mut inner.header),
        Answer::LeaseTimeToLive(inner) => {
            anonymous(&mut inner.header);
            // etcd gives them in the order of a hash table.
            inner.keys.sort();
        }
        Answer::LeaseLeases(inner) => anonymous(&mut inner.header),
        Answer::Alarm(inner) => anonymous(&mut inner.header),
        Answer::Members(inner) => anonymous(&mut inner.header),
        Answer::HashKv(inner) => anonymous(&mut inner.header),
        Answer::Auth(inner) => anonymous(&mut inner.header),
        _ => {}
    }
    answer
}
