//! `watchful del`: deletes keys.

use clap::Args;
use serde::Serialize;
use watchful_wire::etcdserverpb::{DeleteRangeRequest, DeleteRangeResponse};

use crate::failure::Failure;
use crate::get::key_and_value;
use crate::json::{JsonKeyValue, key_value_help, revision};
use crate::output::Output;
use crate::range::RangeArgs;
use crate::server::Server;

const HELP: &str = concat!(
    r#"Prints how many were deleted, and with --prev-kv their keys and values.
JSON: {"revision":8,"deleted":1,"prev_kvs":[KV]}; prev_kvs is empty without --prev-kv."#,
    key_value_help!()
);

/// Delete a key, or a range of them, in one revision
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub(crate) struct DelArgs {
    #[command(flatten)]
    range: RangeArgs,
    /// Tell what was deleted
    #[arg(long)]
    prev_kv: bool,
}

pub(crate) async fn run(args: DelArgs, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    let response = server.answer(server.kv().delete_range(args.request())).await?;
    print(&response, out)
}

impl DelArgs {
    pub(crate) fn request(self) -> DeleteRangeRequest {
        let range = self.range.range();
        DeleteRangeRequest { key: range.key.into(), range_end: range.range_end.into(), prev_kv: self.prev_kv }
    }
}

/// The answer to a delete, for programs.
#[derive(Serialize)]
pub(crate) struct JsonDel<'a> {
    revision: i64,
    deleted: i64,
    prev_kvs: Vec<JsonKeyValue<'a>>,
}

impl<'a> From<&'a DeleteRangeResponse> for JsonDel<'a> {
    fn from(response: &'a DeleteRangeResponse) -> Self {
        Self {
            revision: revision(response.header.as_ref()),
            deleted: response.deleted,
            prev_kvs: response.prev_kvs.iter().map(JsonKeyValue::from).collect(),
        }
    }
}

pub(crate) fn print(response: &DeleteRangeResponse, out: &mut Output<'_>) -> Result<(), Failure> {
    if out.json {
        return out.object(&JsonDel::from(response));
    }
    out.line(response.deleted)?;
    response.prev_kvs.iter().try_for_each(|kv| out.line(key_and_value(kv)))
}
