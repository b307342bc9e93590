//! gRPC's own health service: `grpc.health.v1.Health`.
//!
//! It says of the server what `/livez` does, by the same look at the store. A server that nobody should ask any more because
//! it met an error of its own is not serving, though it still answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health as HealthService;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::state::Shared;

/// How often it looks for who watches.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The service.
#[derive(Debug)]
pub(crate) struct Health {
    shared: Arc<Shared>,
}

impl Health {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

/// As etcd's, it knows the server as a whole, which has the empty name.
fn status(shared: &Shared, service: &str) -> ServingStatus {
    match service {
        "" if shared.can_read().is_ok() => ServingStatus::Serving,
        "" => ServingStatus::NotServing,
        _ => ServingStatus::ServiceUnknown,
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl HealthService for Health {
    type WatchStream = ReceiverStream<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match status(&self.shared, &request.get_ref().service) {
            ServingStatus::ServiceUnknown => Err(Status::not_found("unknown service")),
            known => Ok(Response::new(answer(known))),
        }
    }

    /// Tells what is so, and then each change, until the server stops.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (shared, service) = (Arc::clone(&self.shared), request.into_inner().service);
        let (told, answers) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut ticks = interval(LOOK_INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut last = None;
            loop {
                let is_stopping = tokio::select! {
                    _ = ticks.tick() => false,
                    () = shared.stopping.cancelled() => true,
                    () = told.closed() => return,
                };
                let now = status(&shared, &service);
                if last.replace(now) != Some(now) && told.send(Ok(answer(now))).await.is_err() || is_stopping
                {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}
