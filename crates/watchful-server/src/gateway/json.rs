//! JSON to a message's bytes and back.

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions};
use tonic::Status;

/// The bytes of the first message in `json`, as etcd takes it: what comes after it is not looked at. Nothing at all is
/// the empty message.
pub(super) fn to_bytes(input: &MessageDescriptor, json: &[u8]) -> Result<Bytes, Status> {
    if json.trim_ascii().is_empty() {
        return Ok(Bytes::new());
    }
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let mut json = serde_json::Deserializer::from_slice(json);
    let message = DynamicMessage::deserialize_with_options(input.clone(), &mut json, &options);
    let message = message.map_err(|error| {
        Status::invalid_argument(format!("this is no JSON of a {}: {error}", input.full_name()))
    })?;
    Ok(message.encode_to_vec().into())
}

/// Writes a message as JSON at the end of `to`.
pub(super) fn write(output: &MessageDescriptor, message: Bytes, to: &mut Vec<u8>) -> Result<(), Status> {
    const OPTIONS: SerializeOptions = SerializeOptions::new().use_proto_field_name(true);
    let internal = |error: &dyn std::error::Error| {
        Status::internal(format!("the answer, a {}, is no JSON: {error}", output.full_name()))
    };
    let message = DynamicMessage::decode(output.clone(), message).map_err(|error| internal(&error))?;
    let mut json = serde_json::Serializer::new(to);
    message.serialize_with_options(&mut json, &OPTIONS).map_err(|error| internal(&error))
}
