//! gRPC, JSON and plain HTTP on one port: who is asked is seen by the content type.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, Response, header};
use axum::routing::future::RouteFuture;
use http_body_util::Either;
use pin_project_lite::pin_project;
use tonic::service::Routes;
use tower::util::MapResponse;
use tower::{Layer, Service};

use crate::bounded::Bounded;
use crate::observe::{Answered, Observe, ObserveLayer};
use crate::state::Shared;
use crate::{gateway, transport};

/// The gRPC services, with what tonic's transport says otherwise than etcd's put right, and observed.
pub(crate) type Services = Observe<MapResponse<Routes, fn(GrpcAnswer) -> GrpcAnswer>>;

type GrpcAnswer = Response<tonic::body::Body>;

/// Puts everything that is not gRPC beside the services, observes those, and bounds what a connection takes of all.
#[derive(Clone, Debug)]
pub struct FrontLayer {
    shared: Arc<Shared>,
}

/// The services, the gateway and plain HTTP.
#[derive(Clone, Debug)]
pub struct Front {
    grpc: Services,
    http: Router,
}

impl FrontLayer {
    /// For the server whose services share `shared`.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl Layer<Routes> for FrontLayer {
    type Service = Bounded<Front>;

    fn layer(&self, routes: Routes) -> Self::Service {
        let translated: fn(GrpcAnswer) -> GrpcAnswer = transport::translate;
        let grpc = MapResponse::new(routes.prepare(), translated);
        let grpc = ObserveLayer::new(Arc::clone(&self.shared)).layer(grpc);
        let gateway = gateway::router(grpc.clone(), &self.shared.settings.limits);
        let http = super::router(Arc::clone(&self.shared)).merge(gateway);
        Bounded::new(Front { grpc, http: http.with_state(()) }, Arc::clone(&self.shared))
    }
}

type GrpcBody = Answered<tonic::body::Body>;

type GrpcFuture = <Services as Service<Request<Body>>>::Future;

impl<B> Service<Request<B>> for Front
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<tonic::codegen::StdError>,
{
    type Response = Response<Either<GrpcBody, Body>>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Neither ever makes anybody wait: both are routers.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answer {
        let asked = match is_grpc(request.headers()) {
            true => Asked::Grpc { answer: self.grpc.call(request) },
            false => Asked::Http { answer: self.http.call(request) },
        };
        Answer { asked }
    }
}

/// `application/grpc`, with or without what the messages are.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

pin_project! {
    /// The answer of whoever was asked.
    pub struct Answer {
        #[pin]
        asked: Asked,
    }
}

pin_project! {
    #[project = AskedProjected]
    enum Asked {
        Grpc { #[pin] answer: GrpcFuture },
        Http { #[pin] answer: RouteFuture<Infallible> },
    }
}

impl Future for Answer {
    type Output = Result<Response<Either<GrpcBody, Body>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.project().asked.project() {
            AskedProjected::Grpc { answer } => {
                ready!(answer.poll(cx)).map(|response| response.map(Either::Left))
            }
            AskedProjected::Http { answer } => {
                ready!(answer.poll(cx)).map(|response| response.map(Either::Right))
            }
        })
    }
}
