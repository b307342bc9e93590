//! What the server says of itself: who it is, its calls, its health.

use std::fmt;

use prometheus_client::metrics::MetricType;
use watchful_wire::etcdserverpb::AlarmType;

use super::calls::{CODE_LABELS, Calls, Method};
use super::page::{Labels, Page};
use crate::counts::Counter;
use crate::state::{ETCD_VERSION, Shared};

pub(super) fn write(page: &mut Page<'_>, shared: &Shared) -> fmt::Result {
    write_identity(page, shared)?;
    write_alarms(page, shared)?;
    let counts = &shared.counts;
    page.counter(
        "etcd_server_health_success",
        "Checks of health that were passed.",
        counts.health_successes.get(),
    )?;
    page.counter(
        "etcd_server_health_failures",
        "Checks of health that were not.",
        counts.health_failures.get(),
    )?;
    page.counter(
        "watchful_slow_requests_total",
        "Unary requests that took longer than the setting.",
        counts.slow_requests.get(),
    )?;
    page.gauge("watchful_connections", "Connections that are open.", counts.connections.get())?;
    page.gauge(
        "watchful_unread_answer_bytes",
        "Answers that were made and that their connections have not taken.",
        counts.unread_bytes.get(),
    )?;
    page.gauge(
        "watchful_kept_request_bytes",
        "Requests that have begun to come and are not answered yet.",
        counts.kept_bytes.get(),
    )?;
    page.counter(
        "watchful_connections_failed_total",
        "Connections that broke before their first request, TLS handshakes that failed among them.",
        counts.connections_failed.get(),
    )
}

/// There is one member, and it leads.
fn write_identity(page: &mut Page<'_>, shared: &Shared) -> fmt::Result {
    page.gauge("etcd_server_has_leader", "Whether there is a leader: always, here.", 1_u64)?;
    page.gauge("etcd_server_is_leader", "Whether this member is the leader: always, here.", 1_u64)?;
    page.gauge("etcd_server_is_learner", "Whether this member is a learner: never, here.", 0_u64)?;
    let one = |page: &mut Page<'_>, name, help, label, value: &str| {
        page.gauges(name, help, &[(&[(label, value)], 1)])
    };
    let id = format!("{:x}", shared.identity.member_id);
    one(page, "etcd_server_version", "The version of etcd that is kept to.", "server_version", ETCD_VERSION)?;
    one(page, "etcd_cluster_version", "The same, of the cluster.", "cluster_version", ETCD_VERSION)?;
    one(page, "etcd_server_id", "The member's id.", "server_id", &id)?;
    one(page, "watchful_version", "The version of Watchful.", "version", env!("CARGO_PKG_VERSION"))
}

fn write_alarms(page: &mut Page<'_>, shared: &Shared) -> fmt::Result {
    let line = |name, alarm| -> (Labels<'_>, u64) { (name, u64::from(shared.alarms.is_raised(alarm))) };
    let lines = [
        line(&[("alarm_type", "NOSPACE")], AlarmType::Nospace),
        line(&[("alarm_type", "CORRUPT")], AlarmType::Corrupt),
    ];
    page.gauges("watchful_alarms", "Whether an alarm is raised.", &lines)
}

pub(super) fn write_calls(page: &mut Page<'_>, calls: &Calls) -> fmt::Result {
    page.counter(
        "etcd_network_client_grpc_received_bytes_total",
        "Bytes that were received in gRPC calls.",
        calls.received_bytes.get(),
    )?;
    page.counter(
        "etcd_network_client_grpc_sent_bytes_total",
        "Bytes that were sent in answers to gRPC calls.",
        calls.sent_bytes.get(),
    )?;
    let each = |page: &mut Page<'_>, name, help, count: fn(&Method) -> &Counter| {
        let mut family = page.begin(name, help, MetricType::Counter)?;
        calls.methods().try_for_each(|method| {
            family.encode_family(&labels(method).as_slice())?.encode_gauge(&count(method).get())
        })
    };
    each(page, "grpc_server_started_total", "Calls that began.", |method| &method.started)?;
    each(page, "grpc_server_msg_received_total", "Messages that were received.", |method| &method.received)?;
    each(page, "grpc_server_msg_sent_total", "Messages that were sent.", |method| &method.sent)?;
    write_handled(page, calls)?;
    write_durations(page, calls)
}

/// `OK` is there for every method, another code once it has come.
fn write_handled(page: &mut Page<'_>, calls: &Calls) -> fmt::Result {
    let mut family = page.begin("grpc_server_handled_total", "Calls that ended.", MetricType::Counter)?;
    for method in calls.methods() {
        for (code, label) in CODE_LABELS {
            let count = method.handled(code);
            if count > 0 || code == tonic::Code::Ok {
                let [kind, service, name] = labels(method);
                let labels = [("grpc_code", label), kind, service, name];
                family.encode_family(&labels.as_slice())?.encode_gauge(&count)?;
            }
        }
    }
    Ok(())
}

/// Only of methods that were called: each takes twenty lines.
fn write_durations(page: &mut Page<'_>, calls: &Calls) -> fmt::Result {
    let help = "How long calls took, a stream from its beginning to its end.";
    let mut family = page.begin("grpc_server_handling_seconds", help, MetricType::Histogram)?;
    for method in calls.methods().filter(|method| method.started.get() > 0) {
        let (sum, buckets) = method.seconds();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let labels = labels(method);
        let mut metric = family.encode_family(&labels)?;
        metric.encode_histogram::<Labels<'_>>(sum, count, &buckets, None)?;
    }
    Ok(())
}

fn labels(method: &Method) -> [(&'static str, &str); 3] {
    [("grpc_type", method.kind().label()), ("grpc_service", method.service()), ("grpc_method", method.name())]
}
