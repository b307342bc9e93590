//! What a transaction answered, each part as its own command prints it.

use serde::Serialize;
use watchful_wire::etcdserverpb::response_op::Response;
use watchful_wire::etcdserverpb::{ResponseOp, TxnResponse};

use crate::del::JsonDel;
use crate::failure::Failure;
use crate::get::{JsonRange, key_and_value};
use crate::json::revision;
use crate::output::Output;
use crate::put::JsonPut;
use crate::{del, put};

#[derive(Serialize)]
struct JsonTxn<'a> {
    revision: i64,
    succeeded: bool,
    responses: Vec<JsonOp<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum JsonOp<'a> {
    Put(JsonPut<'a>),
    Get(JsonRange<'a>),
    Del(JsonDel<'a>),
    Txn(JsonTxn<'a>),
}

impl<'a> From<&'a TxnResponse> for JsonTxn<'a> {
    fn from(response: &'a TxnResponse) -> Self {
        Self {
            revision: revision(response.header.as_ref()),
            succeeded: response.succeeded,
            responses: response.responses.iter().filter_map(json_op).collect(),
        }
    }
}

fn json_op(op: &ResponseOp) -> Option<JsonOp<'_>> {
    Some(match op.response.as_ref()? {
        Response::ResponsePut(response) => JsonOp::Put(response.into()),
        Response::ResponseRange(response) => JsonOp::Get(response.into()),
        Response::ResponseDeleteRange(response) => JsonOp::Del(response.into()),
        Response::ResponseTxn(response) => JsonOp::Txn(response.into()),
    })
}

pub(super) fn print(response: &TxnResponse, out: &mut Output<'_>) -> Result<(), Failure> {
    out.answer(&JsonTxn::from(response), if response.succeeded { "SUCCESS" } else { "FAILURE" })?;
    if out.json {
        return Ok(());
    }
    for op in &response.responses {
        out.line("")?;
        print_op(op, out)?;
    }
    Ok(())
}

fn print_op(op: &ResponseOp, out: &mut Output<'_>) -> Result<(), Failure> {
    match &op.response {
        Some(Response::ResponsePut(response)) => put::print(response, out),
        Some(Response::ResponseRange(response)) => {
            response.kvs.iter().try_for_each(|kv| out.line(key_and_value(kv)))
        }
        Some(Response::ResponseDeleteRange(response)) => del::print(response, out),
        Some(Response::ResponseTxn(response)) => print(response, out),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use watchful_wire::etcdserverpb::{DeleteRangeResponse, PutResponse, RangeResponse};

    use super::*;
    use crate::output::printed;

    #[test]
    fn every_part_is_printed() {
        let op = |response| ResponseOp { response: Some(response) };
        let inner = TxnResponse {
            responses: vec![op(Response::ResponsePut(PutResponse::default()))],
            ..Default::default()
        };
        let response = TxnResponse {
            succeeded: true,
            responses: vec![
                op(Response::ResponseRange(RangeResponse {
                    kvs: vec![Default::default()],
                    count: 1,
                    ..Default::default()
                })),
                op(Response::ResponseDeleteRange(DeleteRangeResponse { deleted: 2, ..Default::default() })),
                op(Response::ResponseTxn(inner)),
            ],
            ..Default::default()
        };
        assert_eq!(printed(false, |out| print(&response, out)), "SUCCESS\n\n\n\n\n2\n\nFAILURE\n\nOK\n");
        assert_eq!(
            printed(true, |out| print(&response, out)),
            "{\"revision\":0,\"succeeded\":true,\"responses\":[{\"get\":{\"revision\":0,\"count\":1,\"more\":false,\
             \"kvs\":[{\"key\":\"\",\"value\":\"\",\"create_revision\":0,\"mod_revision\":0,\"version\":0}]}},\
             {\"del\":{\"revision\":0,\"deleted\":2,\"prev_kvs\":[]}},\
             {\"txn\":{\"revision\":0,\"succeeded\":false,\"responses\":[{\"put\":{\"revision\":0}}]}}]}\n"
        );
    }
}
