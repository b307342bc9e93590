//! Plain HTTP: whether the server is well, which version it is, and its metrics.
//!
//! **What it is not for:** nothing of the store can be read or changed here; that is the gateway's.
//!
//! Paths, answers and checks are etcd's. `/health` is the old one, for load balancers and `etcdctl`; `/livez` and
//! `/readyz` are Kubernetes' style, with a check each under a path of its own.

mod front;

mod health;

pub use front::{Answer, Front, FrontLayer};
pub(crate) use front::{Services, is_grpc};

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::metrics;
use crate::state::{ETCD_VERSION, Shared};
use crate::unread::Unread;

/// The routes of plain HTTP, for the client port and for the addresses that are for metrics only.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .merge(health::router())
        .route("/version", get(version))
        .route("/metrics", get(scraped))
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .with_state(shared)
}

async fn version() -> Response {
    let versions = serde_json::json!({
        "etcdserver": ETCD_VERSION,
        "etcdcluster": ETCD_VERSION,
        "storage": ETCD_VERSION,
        "watchful": env!("CARGO_PKG_VERSION"),
    });
    axum::Json(versions).into_response()
}

async fn scraped(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    // A page is large, and others go on while it is written.
    let unread = Unread::of(request.extensions());
    let _turn = match unread {
        Some(unread) => unread.turn().await,
        None => None,
    };
    match metrics::page(&shared).await {
        Ok(page) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            (StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n").into_response()
        }
    }
}

async fn not_found() -> Response {
    let text =
        "404 page not found: there are /health, /livez, /readyz, /version, /metrics, and POST /v3/...\n";
    (StatusCode::NOT_FOUND, text).into_response()
}

async fn not_allowed() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n").into_response()
}
