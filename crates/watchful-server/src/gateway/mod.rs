//! etcd's JSON gateway: every method as a POST of JSON under `/v3/…`, for clients without gRPC.
//!
//! A request's JSON becomes the message's bytes, goes through the same services in process, and what they answer becomes
//! JSON again. The mapping is protobuf's own, by descriptors, so there is no code for any one method: one table of paths.
//!
//! As with etcd: fields have their names of the `.proto` files, 64-bit integers are strings, bytes are base64, defaults
//! are left out, unknown fields are ignored; a stream's answers are a line of JSON each, sent as they come; an error is
//! `{"code":…,"message":…}` with the HTTP status that belongs to the code. What etcd has beside it and this has not: the
//! upgrade to a websocket.
//!
//! # Invariants
//!
//! - A request costs bounded memory, however it is sent: see [`body_bytes_max`].
//! - A stream's answer is made when the connection has room for the one before it. A client that reads slowly holds up itself, and one
//!   that goes takes its call with it.

mod answers;

mod errors;

mod json;

mod methods;

mod raw;

mod requests;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use tonic::{Code, Status};

use crate::http::Services;
use crate::settings::Limits;
use errors::Refused;
use methods::{Method, PATHS};

pub(crate) use methods::descriptors;

/// Where the gateway's methods are. Both mean the same in etcd since 3.4.
const PREFIXES: [&str; 2] = ["/v3", "/v3beta"];

/// What every call needs.
#[derive(Clone, Debug)]
struct Gateway {
    grpc: Services,
    body_bytes_max: usize,
}

/// The gateway to the services `grpc`.
pub(crate) fn router(grpc: Services, limits: &Limits) -> Router {
    let mut router = Router::new();
    for prefix in PREFIXES {
        for (path, grpc) in PATHS {
            let Some(method) = Method::named(grpc) else { continue };
            let method = Arc::new(method);
            let called =
                post(move |State(gateway): State<Gateway>, request| called(gateway, method, request));
            router = router.route(&format!("{prefix}/{path}"), called.fallback(not_allowed));
        }
        router = router.route(&format!("{prefix}/{{*rest}}"), any(not_found));
    }
    router.with_state(Gateway { grpc, body_bytes_max: body_bytes_max(limits) })
}

/// The gRPC path of the method with this path, if there is one.
pub(crate) fn grpc_path(path: &str) -> Option<&'static str> {
    let below = |prefix| path.strip_prefix(prefix).and_then(|path: &str| path.strip_prefix('/'));
    let path = PREFIXES.into_iter().find_map(below)?;
    PATHS.iter().find(|(json, _)| *json == path).map(|(_, grpc)| *grpc)
}

/// The most bytes that one JSON message may take. Base64 makes four bytes of three, and names and quotes come on top;
/// what is too large then as a message is refused as one.
pub(crate) fn body_bytes_max(limits: &Limits) -> usize {
    limits.message_bytes_max().saturating_mul(2)
}

async fn called(gateway: Gateway, method: Arc<Method>, request: Request) -> Response {
    let answered = match method.is_client_streaming {
        true => requests::streamed(gateway, &method, request).await,
        false => requests::single(gateway, &method, request).await,
    };
    match answered {
        Ok(called) if method.is_server_streaming => answers::streamed(called, method.output.clone()).await,
        Ok(called) => answers::single(called, &method.output).await,
        Err(status) if method.is_server_streaming => Refused::of_a_stream(&status).into_response(),
        Err(status) => Refused::of(&status).into_response(),
    }
}

async fn not_found() -> Response {
    Refused::of(&Status::new(Code::NotFound, "Not Found")).into_response()
}

async fn not_allowed() -> Response {
    Refused::of(&Status::new(Code::Unimplemented, "Method Not Allowed")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_known_for_its_method_and_no_other_is() {
        for (path, grpc) in PATHS {
            for prefix in PREFIXES {
                assert_eq!(grpc_path(&format!("{prefix}/{path}")), Some(*grpc));
            }
        }
        for path in
            ["", "/v3", "/v3/", "/v3/kv", "/v3/kv/range/", "/v3alpha/kv/range", "/kv/range", "/metrics"]
        {
            assert_eq!(grpc_path(path), None, "{path}");
        }
    }
}
