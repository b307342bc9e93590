//! `watchful status`: how the server is.

use indicatif::BinaryBytes;
use serde::Serialize;
use tonic::Code;
use watchful_wire::etcdserverpb::{AlarmRequest, AlarmType, StatusRequest, StatusResponse};

use crate::failure::Failure;
use crate::json::revision;
use crate::output::Output;
use crate::server::Server;
use crate::watchers::{Standings, list};

pub(crate) const HELP: &str = "\
JSON: {\"endpoint\":URL,\"version\":\"3.6.0\",\"revision\":9,\"compact_revision\":5,\"db_size\":20480,
  \"db_size_in_use\":16384,\"db_size_quota\":8589934592,\"alarms\":[\"NOSPACE\"],\"errors\":[],
  \"watchers\":{\"synced\":3,\"unsynced\":1,\"blocked\":0,\"future\":0}}
  compact_revision, db_size_quota and watchers are there only where the server tells them; an etcd does not tell all.";

/// What is known of a server.
#[derive(Debug, Default, Serialize)]
struct Known {
    endpoint: String,
    version: String,
    revision: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    compact_revision: Option<i64>,
    db_size: i64,
    db_size_in_use: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    db_size_quota: Option<i64>,
    alarms: Vec<String>,
    errors: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    watchers: Option<Standings>,
}

pub(crate) async fn run(server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    let mut maintenance = server.maintenance();
    let status = server.answer(maintenance.status(StatusRequest {})).await?;
    let mut known = Known::of_status(server, status);
    // The defaults are what etcd calls "get" and "all".
    let alarms = server.answer(maintenance.alarm(AlarmRequest::default())).await?;
    known.alarms = alarms.alarms.iter().map(|member| alarm_name(member.alarm)).collect();
    known.learn_watchers(server).await?;
    print(&known, out)
}

impl Known {
    fn of_status(server: &Server, status: StatusResponse) -> Self {
        Self {
            endpoint: server.endpoint.clone(),
            revision: revision(status.header.as_ref()),
            version: status.version,
            db_size: status.db_size,
            db_size_in_use: status.db_size_in_use,
            // Older servers do not tell it.
            db_size_quota: (status.db_size_quota != 0).then_some(status.db_size_quota),
            errors: status.errors,
            ..Self::default()
        }
    }

    /// From Watchful's own service, which an etcd does not have.
    async fn learn_watchers(&mut self, server: &Server) -> Result<(), Failure> {
        let mut standings = Standings::default();
        match list(server, |watcher| standings.count(&watcher)).await? {
            Ok(listed) => {
                (self.watchers, self.compact_revision) = (Some(standings), Some(listed.compact_revision));
                Ok(())
            }
            Err(status) if status.code() == Code::Unimplemented => Ok(()),
            Err(status) => Err(server.failure(&status)),
        }
    }
}

fn alarm_name(alarm: i32) -> String {
    AlarmType::try_from(alarm)
        .map_or_else(|_| format!("alarm {alarm}"), |alarm| alarm.as_str_name().to_owned())
}

fn print(known: &Known, out: &mut Output<'_>) -> Result<(), Failure> {
    if out.json {
        return out.object(known);
    }
    let compact_revision = match known.compact_revision {
        Some(0) => "never compacted".to_owned(),
        Some(revision) => revision.to_string(),
        None => "not told".to_owned(),
    };
    let quota = known.db_size_quota.map_or_else(|| "not told".to_owned(), bytes);
    let lines = [
        ("endpoint", known.endpoint.clone()),
        ("version", known.version.clone()),
        ("revision", known.revision.to_string()),
        ("compact revision", compact_revision),
        ("size on disk", bytes(known.db_size)),
        ("in use", bytes(known.db_size_in_use)),
        ("quota", quota),
        ("alarms", words(&known.alarms)),
        ("errors", words(&known.errors)),
        ("watchers", known.watchers.as_ref().map_or_else(|| "not told".to_owned(), ToString::to_string)),
    ];
    lines.iter().try_for_each(|(name, value)| out.line(format_args!("{name:<17} {value}")))
}

fn bytes(number: i64) -> String {
    BinaryBytes(u64::try_from(number).unwrap_or_default()).to_string()
}

fn words(words: &[String]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::printed;

    #[test]
    fn what_is_known_and_what_is_not() {
        let mut known =
            Known { version: "3.6.0".to_owned(), revision: 9, db_size: 20480, ..Default::default() };
        let text = printed(false, |out| print(&known, out));
        for line in [
            "revision          9",
            "size on disk      20.00 KiB",
            "watchers          not told",
            "alarms            none",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
        }
        let json = printed(true, |out| print(&known, out));
        assert!(!json.contains("watchers") && !json.contains("quota"), "{json}");
        known.alarms = vec![alarm_name(1), alarm_name(99)];
        known.compact_revision = Some(0);
        let text = printed(false, |out| print(&known, out));
        assert!(text.contains("NOSPACE, alarm 99") && text.contains("never compacted"), "{text}");
    }
}
