//! Whether the server is well: `/health`, `/livez`, `/readyz`.
//!
//! A check reads the store for real, and costs a few microseconds: it can be asked as often as anybody likes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use watchful_wire::etcdserverpb::AlarmType;

use crate::state::Shared;

type Parameters = Query<Vec<(String, String)>>;

/// A check's name, and what it finds wrong.
type Check = (&'static str, fn(&Shared) -> Result<(), String>);

const LIVE: &[Check] = &[("serializable_read", Shared::can_read)];

/// With one member both reads are the same, and there are no learners.
const READY: &[Check] = &[
    ("data_corruption", not_corrupt),
    ("serializable_read", Shared::can_read),
    ("linearizable_read", Shared::can_read),
    ("non_learner", |_| Ok(())),
];

pub(super) fn router() -> Router<Arc<Shared>> {
    let router = Router::new().route("/health", get(health));
    let router = with_checks(router, "/livez", LIVE);
    with_checks(router, "/readyz", READY)
}

/// All checks at `path`, and each below it.
fn with_checks(router: Router<Arc<Shared>>, path: &str, checks: &'static [Check]) -> Router<Arc<Shared>> {
    let answer = |checks: &'static [Check]| {
        get(move |shared: State<Arc<Shared>>, parameters: Parameters| async move {
            checked(&shared, &parameters, checks)
        })
    };
    checks.iter().fold(router.route(path, answer(checks)), |router, check| {
        router.route(&format!("{path}/{}", check.0), answer(std::slice::from_ref(check)))
    })
}

async fn health(State(shared): State<Arc<Shared>>, Query(parameters): Parameters) -> Response {
    let (well, reason) = match is_well(&shared, &excluded(&parameters)) {
        Ok(()) => ("true", String::new()),
        Err(reason) => ("false", reason),
    };
    let body = serde_json::json!({ "health": well, "reason": reason }).to_string();
    let json = [(header::CONTENT_TYPE, "application/json")];
    if reason.is_empty() {
        shared.counts.health_successes.add(1);
        return (json, body).into_response();
    }
    shared.counts.health_failures.add(1);
    tracing::warn!(reason, "the server is not well");
    (StatusCode::SERVICE_UNAVAILABLE, json, body + "\n").into_response()
}

fn is_well(shared: &Shared, excluded: &BTreeSet<&str>) -> Result<(), String> {
    let raised = shared.alarms.raised();
    let alarm = raised.iter().map(|alarm| alarm.as_str_name()).find(|name| !excluded.contains(name));
    if let Some(alarm) = alarm {
        return Err(format!("ALARM {alarm}"));
    }
    shared.can_read().map_err(|error| format!("RANGE ERROR:{error}"))
}

fn checked(shared: &Shared, parameters: &[(String, String)], checks: &[Check]) -> Response {
    let excluded = excluded(parameters);
    let (mut all_well, mut lines) = (true, String::new());
    for (name, check) in checks.iter().filter(|(name, _)| !excluded.contains(name)) {
        // Writing to a string cannot fail.
        let _ = match check(shared) {
            Ok(()) => writeln!(lines, "[+]{name} ok"),
            Err(error) => {
                all_well = false;
                writeln!(lines, "[-]{name} failed: {error}")
            }
        };
    }
    if !all_well {
        tracing::warn!(lines, "a check of the server's health failed");
        return (StatusCode::SERVICE_UNAVAILABLE, lines).into_response();
    }
    let verbose = parameters.iter().any(|(name, _)| name == "verbose");
    if verbose { lines + "ok\n" } else { "ok\n".to_owned() }.into_response()
}

fn excluded(parameters: &[(String, String)]) -> BTreeSet<&str> {
    let excluded = parameters.iter().filter(|(name, value)| name == "exclude" && !value.is_empty());
    excluded.map(|(_, value)| value.as_str()).collect()
}

fn not_corrupt(shared: &Shared) -> Result<(), String> {
    match shared.alarms.is_raised(AlarmType::Corrupt) {
        true => Err("alarm activated: CORRUPT".to_owned()),
        false => Ok(()),
    }
}
