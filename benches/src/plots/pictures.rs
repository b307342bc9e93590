//! Which pictures there are, and of which rows.

use super::chart::{Chart, Corner, Line};
use super::pick::{Pick, Point};
use crate::report::{Record, Run};

/// A picture and the name of its file.
pub(crate) struct Picture {
    pub(crate) file: &'static str,
    pub(crate) chart: Chart,
}

pub(crate) fn all(record: &Record) -> [Picture; 4] {
    [put_latency(record), behind(record), memory(record), deliveries(record)]
}

/// What a synced put costs, against how many are committed together.
fn put_latency(record: &Record) -> Picture {
    // One caller is a thread, and many are tasks.
    let pick = |case| Pick { record, workload: "P2", case, unit: "µs a put" };
    let (alone, many) = (pick("put, synced, # blocking"), pick("put, synced, # tasks"));
    let both = |of: &dyn Fn(&Pick<'_>) -> Vec<Point>| {
        let mut points: Vec<Point> = of(&alone).into_iter().filter(|point| point.at == 1.0).collect();
        points.extend(of(&many));
        points
    };
    let mut lines = vec![line("Watchful", both(&|pick| pick.ours(as_it_is)))];
    for peer in ["LMDB", "redb", "fjall"] {
        lines.push(line(peer, both(&|pick| pick.peer(peer, as_it_is))));
    }
    let chart = Chart {
        title: titled("A synced put", record, &["P2"]),
        x: "puts that wait together",
        y: "µs a put",
        zero: "",
        names: Corner::UpperRight,
        lines,
    };
    Picture { file: "put-latency.svg", chart }
}

/// What those who put notice of a watcher that is far behind.
fn behind(record: &Record) -> Picture {
    let in_process = Pick { record, workload: "W1", case: "put p99, a laggard # behind", unit: "µs" };
    let api = Pick { record, workload: "A9", case: "put, a watcher # behind", unit: "p99 ms" };
    let to_millis = |_, micros: f64| micros / 1e3;
    let mut ours = in_process.ours(to_millis);
    // The rounds without a laggard stand beside each row; those of the first are as good as any.
    let without = in_process.peer("without", to_millis).first().map(|first| Point { at: 0.0, ..*first });
    ours.splice(0..0, without);
    let chart = Chart {
        title: titled("Puts at half the highest rate, while one watcher catches up", record, &["W1", "A9"]),
        x: "revisions that the watcher is behind",
        y: "p99 of a put, ms",
        zero: "nobody",
        names: Corner::UpperLeft,
        lines: vec![
            line("Watchful, over the API", api.ours(as_it_is)),
            line("etcd, over the API", api.peer("etcd", as_it_is)),
            line("Watchful, in process", ours),
        ],
    };
    Picture { file: "put-p99-behind.svg", chart }
}

/// What idle watchers weigh.
fn memory(record: &Record) -> Picture {
    let api = |case, unit| Pick { record, workload: "A8", case, unit };
    let (shared, alone) =
        (api("# idle on 10 streams", "B a watcher"), api("# idle streams of one", "B a stream"));
    let in_process = |case| Pick { record, workload: "P9", case, unit: "B a watcher" };
    let mib = |count: f64, each: f64| count * each / f64::from(1 << 20);
    let chart = Chart {
        title: titled("Idle watchers", record, &["A8", "P9"]),
        x: "watchers",
        y: "memory, MiB",
        zero: "",
        names: Corner::UpperLeft,
        lines: vec![
            line("Watchful, on 10 streams", shared.ours(mib)),
            line("etcd, on 10 streams", shared.peer("etcd", mib)),
            line("Watchful, a stream each", alone.ours(mib)),
            line("etcd, a stream each", alone.peer("etcd", mib)),
            line("Watchful in process, of keys", in_process("# idle, distinct keys").ours(mib)),
            line("Watchful in process, of prefixes", in_process("# idle, distinct prefixes").ours(mib)),
        ],
    };
    Picture { file: "memory-watchers.svg", chart }
}

/// How many events reach watchers of one key or prefix.
fn deliveries(record: &Record) -> Picture {
    let api = Pick { record, workload: "A5", case: "burst to # watchers", unit: "events/s" };
    let pick = |case| Pick { record, workload: "P6", case, unit: "ns a watcher" };
    let (one, ten) = (pick("# watchers of one key, 1 streams"), pick("# watchers of one key, 10 streams"));
    let a_second = |_, nanos: f64| 1e9 / nanos;
    let chart = Chart {
        title: titled("Events delivered to watchers of the same keys", record, &["A5", "P6"]),
        x: "watchers",
        y: "events a second",
        zero: "",
        names: Corner::UpperLeft,
        lines: vec![
            line("Watchful, over the API, a burst", api.ours(as_it_is)),
            line("etcd, over the API, a burst", api.peer("etcd", as_it_is)),
            line("Watchful in process, one put, 1 stream", one.ours(a_second)),
            line("Watchful in process, one put, 10 streams", ten.ours(a_second)),
            line("broadcast channel, one message", one.peer("broadcast", a_second)),
        ],
    };
    Picture { file: "events-watchers.svg", chart }
}

fn as_it_is(_: f64, figure: f64) -> f64 {
    figure
}

fn line(name: &str, points: Vec<Point>) -> Line {
    Line { name: name.to_owned(), points }
}

/// With the size, the machine and the days of the runs that have these rows.
fn titled(what: &str, record: &Record, workloads: &[&str]) -> String {
    let mut days: Vec<&str> = Vec::new();
    let mut at: Option<&Run> = None;
    for (run, measured) in record.newest() {
        let is_meant = measured.rows.iter().any(|row| workloads.contains(&row.workload.as_str()));
        if is_meant && !days.contains(&run.date.as_str()) {
            days.push(&run.date);
            at = Some(run);
        }
    }
    days.sort_unstable();
    at.map_or(what.to_owned(), |run| {
        format!("{what} ({}, {} cores, {} size)", days.join(" and "), run.machine.cores, run.scale)
    })
}
