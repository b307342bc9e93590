//! Pictures of a record made by hand.

use std::collections::BTreeMap;

use super::*;
use crate::machine::Machine;
use crate::report::{Measured, Row, Run};
use crate::rounds::Series;

fn record(rows: Vec<Row>) -> Record {
    let machine =
        Machine { cpu: "x".into(), cores: 2, memory_mib: 1, kernel: "6".into(), file_system: "ext4".into() };
    let measured = Measured { name: "a9".into(), seconds: 1.0, rows, failed: None };
    let run = Run {
        date: "2026-01-02".into(),
        commit: String::new(),
        command: String::new(),
        scale: "full".into(),
        machine,
        versions: BTreeMap::new(),
        workloads: vec![measured],
    };
    Record { runs: vec![run] }
}

fn sample() -> Record {
    let series = |figure: f64| Series(vec![figure, figure / 2.0, figure * 2.0]);
    let behind = |count: u64, ours: f64, etcd: f64| {
        Row::new("A9", format!("put, a watcher {count} behind"), "p99 ms", series(ours))
            .with_peer("etcd", series(etcd))
    };
    let put = |case: &str, peer: &str, figure: f64| {
        Row::new("P2", case, "µs a put", series(figure)).with_peer(peer, series(figure / 2.0))
    };
    record(vec![
        behind(500_000, 3.0, 4000.0),
        behind(0, 2.0, 3.0),
        behind(1000, 2.5, 9.0),
        put("put, synced, 1 blocking", "LMDB", 500.0),
        put("put, synced, 128 tasks", "LMDB", 9.0),
        put("put, synced, 128 tasks", "redb", 9.0),
        put("put, synced, 128 blocking", "LMDB", 20.0),
    ])
}

#[test]
fn the_same_record_makes_the_same_bytes() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let drawn = folders.each_ref().map(|folder| {
        draw(&sample(), folder.path()).unwrap();
        fs::read(folder.path().join("put-p99-behind.svg")).unwrap()
    });
    assert!(drawn[0] == drawn[1]);
    assert!(!folders[0].path().join("memory-watchers.svg").exists(), "there are no rows for it");
}

#[test]
fn a_picture_has_its_lines_axes_and_origin() {
    let svg = pictures::all(&sample()).into_iter().find(|picture| picture.file == "put-p99-behind.svg");
    let svg = svg.unwrap().chart.svg().unwrap().unwrap();
    for expected in [
        "Watchful, over the API",
        "etcd, over the API",
        "p99 of a put, ms",
        "nobody",
        "2026-01-02",
        "2 cores",
    ] {
        assert!(svg.contains(expected), "{expected} is not in the picture");
    }
    assert!(!svg.contains("Watchful, in process"), "it has no points");
    assert_eq!(svg.matches("<circle").count(), 3, "a point for each row of ours");
}

#[test]
fn puts_of_one_thread_and_of_many_tasks_are_one_line() {
    let picture = pictures::all(&sample()).into_iter().next().unwrap();
    let points = |name: &str| {
        let line = picture.chart.lines.iter().find(|line| line.name == name).unwrap();
        line.points.iter().map(|point| (point.at, point.median)).collect::<Vec<_>>()
    };
    assert_eq!(points("Watchful"), [(1.0, 500.0), (128.0, 9.0)]);
    assert_eq!(points("LMDB"), [(1.0, 250.0), (128.0, 4.5)]);
    assert_eq!(points("redb"), [(128.0, 4.5)]);
}
