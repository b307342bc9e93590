//! A gRPC status as etcd's gateway says it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tonic::{Code, Status};

/// An answer that is an error.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    code: Code,
    message: String,
    body: Value,
}

impl Refused {
    /// Of a call with one answer.
    pub(super) fn of(status: &Status) -> Self {
        Self { code: status.code(), message: status.message().to_owned(), body: body(status) }
    }

    /// Of a stream that ends before its first answer.
    pub(super) fn of_a_stream(status: &Status) -> Self {
        Self { body: in_stream(status), ..Self::of(status) }
    }
}

/// The line that ends a stream.
pub(super) fn in_stream(status: &Status) -> Value {
    json!({ "error": body(status) })
}

fn body(status: &Status) -> Value {
    json!({ "code": status.code() as i32, "message": status.message() })
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (http_status(self.code), axum::Json(self.body)).into_response();
        let text = HeaderValue::from_str(&self.message).ok();
        if let Some(text) = text.filter(|_| self.code == Code::Unauthenticated) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, text);
        }
        response
    }
}

/// As every gRPC gateway maps them.
fn http_status(code: Code) -> StatusCode {
    /// The client went before it was answered: nginx' number, of which the registry knows nothing.
    const CLIENT_CLOSED_REQUEST: u16 = 499;
    match code {
        Code::Ok => StatusCode::OK,
        Code::Cancelled => StatusCode::from_u16(CLIENT_CLOSED_REQUEST).unwrap_or(StatusCode::BAD_REQUEST),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
