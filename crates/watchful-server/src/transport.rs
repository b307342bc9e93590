//! Where tonic's transport answers otherwise than etcd's: put right on the way out.

use http::{HeaderValue, Response};
use tonic::Code;

/// How tonic's text for a message above the limit begins, as a header has it.
const TOO_LARGE: &str = "Error,%20decoded%20message%20length%20too%20large";

/// A message above the limit is refused unread. tonic says `OutOfRange` then; etcd's clients know `ResourceExhausted`.
pub(crate) fn translate<B>(mut answer: Response<B>) -> Response<B> {
    let headers = answer.headers_mut();
    let is_out_of_range =
        headers.get(tonic::Status::GRPC_STATUS).is_some_and(|status| *status == code(Code::OutOfRange));
    let text = headers.get(tonic::Status::GRPC_MESSAGE).and_then(|text| text.to_str().ok());
    if let Some(text) = text.filter(|_| is_out_of_range).and_then(too_large) {
        headers.insert(tonic::Status::GRPC_STATUS, code(Code::ResourceExhausted));
        headers.insert(tonic::Status::GRPC_MESSAGE, text);
    }
    answer
}

/// The text of an etcd for tonic's, where that is about a message above the limit. Both tell the two sizes.
fn too_large(text: &str) -> Option<HeaderValue> {
    let sizes = text.strip_prefix(TOO_LARGE)?.replace("%20", " ");
    let mut sizes = sizes.split(|one: char| !one.is_ascii_digit()).filter(|size| !size.is_empty());
    let (found, limit) = (sizes.next()?, sizes.next()?);
    let text = format!("grpc:%20received%20message%20larger%20than%20max%20({found}%20vs.%20{limit})");
    HeaderValue::try_from(text).ok()
}

fn code(code: Code) -> HeaderValue {
    HeaderValue::from(i32::from(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text is tonic's own and may change: then this is the test that says so.
    #[test]
    fn a_message_above_the_limit_is_resource_exhausted() {
        let text = "Error, decoded message length too large: found 9 bytes, the limit is: 8 bytes";
        let answer: Response<()> = tonic::Status::out_of_range(text).into_http();
        let status = tonic::Status::from_header_map(translate(answer).headers()).unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.message(), "grpc: received message larger than max (9 vs. 8)");
    }

    #[test]
    fn other_answers_stay_as_they_are() {
        let answer: Response<()> = crate::answers::compacted().into_http();
        let status = tonic::Status::from_header_map(translate(answer).headers()).unwrap();
        assert_eq!(status.code(), Code::OutOfRange);
    }
}
