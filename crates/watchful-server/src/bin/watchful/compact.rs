//! `watchful compact`: forgets old versions.

use clap::Args;
use serde::Serialize;
use watchful_wire::etcdserverpb::CompactionRequest;

use crate::failure::Failure;
use crate::json::revision;
use crate::output::Output;
use crate::server::Server;

/// Forget what was overwritten or deleted before a revision
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "What can be read at REV and after stays as it is.\nJSON: {\"revision\":9,\"compact_revision\":5}"
)]
pub(crate) struct CompactArgs {
    /// The oldest revision that can still be read
    #[arg(value_name = "REV", value_parser = clap::value_parser!(i64).range(0..))]
    revision: i64,
    /// Wait until it is done on disk
    #[arg(long)]
    physical: bool,
}

#[derive(Serialize)]
struct Compacted {
    revision: i64,
    compact_revision: i64,
}

pub(crate) async fn run(args: &CompactArgs, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    let request = CompactionRequest { revision: args.revision, physical: args.physical };
    let response = server.answer(server.kv().compact(request)).await?;
    let answer = Compacted { revision: revision(response.header.as_ref()), compact_revision: args.revision };
    out.answer(&answer, format_args!("compacted revision {}", args.revision))
}
