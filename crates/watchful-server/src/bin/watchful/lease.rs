//! `watchful lease`: keys that go when nobody says any more that they should stay.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde::Serialize;
use watchful_wire::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseLeasesRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
};

use crate::failure::Failure;
use crate::json::{Base64, revision};
use crate::lease_id::LeaseId;
use crate::output::Output;
use crate::server::Server;
use crate::session::is_token_refused;
use crate::text::shown;

/// How long to wait before a keep-alive that did not get through is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Grant, keep alive, look at and revoke leases
#[derive(Args, Clone, Debug)]
#[command(disable_help_subcommand = true)]
pub(crate) struct LeaseArgs {
    #[command(subcommand)]
    command: LeaseCommand,
}

const KEEP_ALIVE_HELP: &str = r#"Prints a line each time, and ends with 1 when the lease is not there any more. Over a broken connection
it is tried again for as long as the lease may still be there.
JSON, each time: {"revision":7,"lease":HEX,"ttl":60}"#;

const TTL_HELP: &str = r#"JSON: {"revision":7,"lease":HEX,"ttl":37,"granted_ttl":60,"keys":[BASE64]}
  A lease that is not there has ttl -1. The keys are told only with --keys."#;

#[derive(Clone, Debug, Subcommand)]
enum LeaseCommand {
    /// Grant a lease
    #[command(after_help = r#"A TTL below the server's minimum is raised to it; the answer tells.
JSON: {"revision":7,"lease":HEX,"ttl":60}"#)]
    Grant {
        /// How long it lasts, in seconds, unless it is kept alive
        #[arg(value_parser = clap::value_parser!(i64).range(1..))]
        ttl: i64,
        /// Its id, hexadecimal; the server chooses one where this is left out
        #[arg(long, value_name = "ID")]
        id: Option<LeaseId>,
    },
    /// Revoke a lease, and delete its keys in one revision
    #[command(after_help = r#"JSON: {"revision":8,"lease":HEX}"#)]
    Revoke {
        /// The lease, hexadecimal
        id: LeaseId,
    },
    /// Keep a lease alive, until this command is ended
    #[command(alias = "keepalive", after_help = KEEP_ALIVE_HELP)]
    KeepAlive {
        /// The lease, hexadecimal
        id: LeaseId,
        /// Once only
        #[arg(long)]
        once: bool,
    },
    /// Tell how long a lease still lasts
    #[command(alias = "timetolive", after_help = TTL_HELP)]
    Ttl {
        /// The lease, hexadecimal
        id: LeaseId,
        /// Its keys too
        #[arg(long)]
        keys: bool,
    },
    /// List all leases
    #[command(after_help = r#"JSON, a line for each: {"lease":HEX}"#)]
    List,
}

#[derive(Serialize)]
struct JsonLease {
    revision: i64,
    lease: LeaseId,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<i64>,
}

#[derive(Serialize)]
struct JsonTtl<'a> {
    revision: i64,
    lease: LeaseId,
    ttl: i64,
    granted_ttl: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<Base64<'a>>>,
}

#[derive(Serialize)]
struct JsonId {
    lease: LeaseId,
}

pub(crate) async fn run(args: LeaseArgs, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    match args.command {
        LeaseCommand::Grant { ttl, id } => grant(ttl, id, server, out).await,
        LeaseCommand::Revoke { id } => revoke(id, server, out).await,
        LeaseCommand::KeepAlive { id, once: true } => keep_alive_once(id, server, out).await.map(drop),
        LeaseCommand::KeepAlive { id, once: false } => keep_alive(id, server, out).await,
        LeaseCommand::Ttl { id, keys } => {
            let request = LeaseTimeToLiveRequest { id: id.0, keys };
            let response = server.answer(server.lease().lease_time_to_live(request)).await?;
            print_ttl(&response, keys, out)
        }
        LeaseCommand::List => list(server, out).await,
    }
}

async fn grant(ttl: i64, id: Option<LeaseId>, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    let request = LeaseGrantRequest { ttl, id: id.map_or(0, |id| id.0) };
    let response = server.answer(server.lease().lease_grant(request)).await?;
    if !response.error.is_empty() {
        return Err(Failure::Told(response.error));
    }
    let (lease, ttl) = (LeaseId(response.id), response.ttl);
    let answer = JsonLease { revision: revision(response.header.as_ref()), lease, ttl: Some(ttl) };
    out.answer(&answer, format_args!("lease {lease} granted with TTL({ttl}s)"))
}

async fn revoke(lease: LeaseId, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    let response = server.answer(server.lease().lease_revoke(LeaseRevokeRequest { id: lease.0 })).await?;
    let answer = JsonLease { revision: revision(response.header.as_ref()), lease, ttl: None };
    out.answer(&answer, format_args!("lease {lease} revoked"))
}

/// Keeps it alive three times as often as it needs; ends when it is not there any more.
async fn keep_alive(lease: LeaseId, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    let mut ttl = keep_alive_once(lease, server, out).await?;
    loop {
        let kept = Instant::now();
        out.flush()?;
        tokio::time::sleep(ttl / 3).await;
        ttl = loop {
            match beat(lease, server).await {
                Ok(beat) => break beat.print(lease, out)?,
                // It may be there still.
                Err(_) if kept.elapsed() < ttl => tokio::time::sleep(RETRY_PAUSE).await,
                Err(failure) => return Err(failure),
            }
        };
    }
}

async fn keep_alive_once(lease: LeaseId, server: &Server, out: &mut Output<'_>) -> Result<Duration, Failure> {
    beat(lease, server).await?.print(lease, out)
}

/// What a keep-alive was answered.
struct Beat {
    revision: i64,
    ttl: i64,
}

async fn beat(lease: LeaseId, server: &Server) -> Result<Beat, Failure> {
    let requests = tokio_stream::iter([LeaseKeepAliveRequest { id: lease.0 }]);
    let mut responses = server.answer(server.lease().lease_keep_alive(requests)).await?;
    let answer = match server.in_time(responses.message()).await? {
        Ok(answer) => answer,
        Err(status) => {
            // Told within the stream, where nobody else sees it; the next beat is with another token.
            if is_token_refused(status.message()) {
                server.renew_session().await;
            }
            return Err(server.failure(&status));
        }
    };
    let response =
        answer.ok_or_else(|| Failure::told("the server ended the keep-alive without an answer"))?;
    Ok(Beat { revision: revision(response.header.as_ref()), ttl: response.ttl })
}

impl Beat {
    fn print(self, lease: LeaseId, out: &mut Output<'_>) -> Result<Duration, Failure> {
        let Self { revision, ttl } = self;
        let Some(lasts) = u64::try_from(ttl).ok().filter(|&ttl| ttl > 0) else {
            return Err(Failure::told(format!("lease {lease} is not there: it has expired, or was revoked")));
        };
        let answer = JsonLease { revision, lease, ttl: Some(ttl) };
        out.answer(&answer, format_args!("lease {lease} kept alive with TTL({ttl}s)"))?;
        Ok(Duration::from_secs(lasts))
    }
}

fn print_ttl(response: &LeaseTimeToLiveResponse, keys: bool, out: &mut Output<'_>) -> Result<(), Failure> {
    let (lease, ttl, granted_ttl) = (LeaseId(response.id), response.ttl, response.granted_ttl);
    if out.json {
        let keys = keys.then(|| response.keys.iter().map(|key| Base64(key)).collect());
        let revision = revision(response.header.as_ref());
        return out.object(&JsonTtl { revision, lease, ttl, granted_ttl, keys });
    }
    if ttl < 0 {
        return out.line(format_args!("lease {lease} is not there: it has expired, or was revoked"));
    }
    out.line(format_args!("lease {lease} granted with TTL({granted_ttl}s), remaining({ttl}s)"))?;
    response.keys.iter().try_for_each(|key| out.line(shown(key)))
}

async fn list(server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    let response = server.answer(server.lease().lease_leases(LeaseLeasesRequest {})).await?;
    for status in response.leases {
        let lease = LeaseId(status.id);
        out.answer(&JsonId { lease }, lease)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::printed;

    #[test]
    fn how_long_a_lease_lasts() {
        let check = |ttl, granted_ttl, keys: &[&'static str], text: &str, json: &str| {
            let keys_given = keys.iter().map(|key| (*key).into()).collect();
            let response =
                LeaseTimeToLiveResponse { header: None, id: 16, ttl, granted_ttl, keys: keys_given };
            assert_eq!(printed(false, |out| print_ttl(&response, !keys.is_empty(), out)), text);
            assert_eq!(printed(true, |out| print_ttl(&response, !keys.is_empty(), out)), json);
        };
        check(
            37,
            60,
            &["a", "b\n"],
            "lease 0000000000000010 granted with TTL(60s), remaining(37s)\na\n\"b\\n\"\n",
            "{\"revision\":0,\"lease\":\"0000000000000010\",\"ttl\":37,\"granted_ttl\":60,\"keys\":[\"YQ==\",\"Ygo=\"]}\n",
        );
        check(
            -1,
            0,
            &[],
            "lease 0000000000000010 is not there: it has expired, or was revoked\n",
            "{\"revision\":0,\"lease\":\"0000000000000010\",\"ttl\":-1,\"granted_ttl\":0}\n",
        );
    }

    #[test]
    fn a_lease_that_is_gone_is_no_longer_kept_alive() {
        let gone = |out: &mut Output<'_>| match (Beat { revision: 1, ttl: 0 }).print(LeaseId(1), out) {
            Err(Failure::Told(told)) if told.contains("is not there") => Ok(()),
            other => panic!("{other:?}"),
        };
        assert_eq!(printed(false, gone), "");
    }
}
