//! Records made by hand: added to, merged, refused, lent from.

use super::*;
use crate::report::Goal;
use crate::rounds::Series;

fn run(date: &str, workloads: &[(&str, f64)]) -> Run {
    let measured = |(name, figure): &(&str, f64)| Measured {
        name: (*name).into(),
        seconds: 1.0,
        rows: vec![Row::new(name.to_uppercase(), "a case", "µs", Series(vec![*figure]))],
        failed: None,
    };
    Run {
        date: date.into(),
        commit: "c0ffee".into(),
        command: "cargo xtask bench".into(),
        scale: "full".into(),
        machine: Machine {
            cpu: "a cpu".into(),
            cores: 2,
            memory_mib: 4096,
            kernel: "6.1".into(),
            file_system: "ext4".into(),
        },
        versions: BTreeMap::new(),
        workloads: workloads.iter().map(measured).collect(),
    }
}

fn append(file: &Path, run: Run) -> Outcome {
    Record::open_for(file, &run)?.write_with(file, run)
}

fn figures(record: &Record) -> Vec<(String, f64)> {
    record.rows().map(|row| (row.workload.clone(), row.ours.median())).collect()
}

#[test]
fn runs_of_one_file_add_up_and_the_later_one_counts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deeper/record.json");
    append(&file, run("2026-01-01", &[("p2", 2.0), ("p1", 1.0)])).unwrap();
    append(&file, run("2026-01-02", &[("a1", 3.0), ("p2", 4.0)])).unwrap();
    let record = Record::read(&file).unwrap();
    assert_eq!(record.runs.len(), 2, "nothing that was measured is lost");
    let expected = [("P1", 1.0), ("P2", 4.0), ("A1", 3.0)].map(|(name, figure)| (name.to_owned(), figure));
    assert_eq!(figures(&record), expected, "in the catalogue's order, each as it was measured last");
}

#[test]
fn several_files_make_one_record_whatever_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let (early, late) = (folder.path().join("early.json"), folder.path().join("late.json"));
    append(&early, run("2026-01-01", &[("p1", 1.0)])).unwrap();
    append(&late, run("2026-01-02", &[("p1", 2.0)])).unwrap();
    for files in [[early.clone(), late.clone()], [late, early]] {
        assert_eq!(figures(&Record::read_all(&files).unwrap()), [("P1".to_owned(), 2.0)]);
    }
}

#[test]
fn quick_and_full_runs_are_not_mixed() {
    let mut record = Record::default();
    record.add(run("2026-01-01", &[])).unwrap();
    let quick = Run { scale: "quick".into(), ..run("2026-01-01", &[]) };
    let error = record.add(quick.clone()).unwrap_err().to_string();
    assert!(error.contains("a record of its own"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("full.json");
    append(&file, run("2026-01-01", &[("p1", 1.0)])).unwrap();
    assert!(append(&file, quick).is_err());
    assert_eq!(Record::read(&file).unwrap().runs.len(), 1);
}

#[test]
fn a_place_where_nothing_can_be_written_is_refused_before_anything_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let no_folder = folder.path().join("no-folder");
    fs::write(&no_folder, "").unwrap();
    let error = Record::open_for(&no_folder.join("record.json"), &run("2026-01-01", &[])).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("no-folder/record.json") && error.contains("--record"), "{error}");
}

#[test]
fn a_record_that_cannot_be_written_to_its_end_leaves_the_old_one_and_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("record.json");
    let before = Record::open_for(&file, &run("2026-01-01", &[])).unwrap();
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "a look whether it can be written leaves nothing"
    );
    // A folder of this name is something that no file takes the place of.
    fs::create_dir(&file).unwrap();
    let error = before.write_with(&file, run("2026-01-01", &[])).unwrap_err().to_string();
    assert!(error.contains("record.json: cannot be written"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_is_no_record_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.json");
    fs::write(&file, "[1]").unwrap();
    let error = Record::read(&file).unwrap_err().to_string();
    assert!(error.contains("other.json") && error.contains("--record"), "{error}");
    let error = Record::read(&folder.path().join("none.json")).unwrap_err().to_string();
    assert!(error.contains("none.json"), "{error}");
}

#[test]
fn a_peer_is_lent_with_its_day_and_judged_by_it() {
    let row = |ours| Row::new("A7", "1000 watchers", "events/s", Series(vec![ours]));
    let mut old = run("2026-01-01", &[]);
    let measured =
        row(8.0).with_peer("etcd", Series(vec![2.0])).with("seconds of etcd", 250.0).with("seconds", 1.0);
    let rows = vec![measured];
    old.workloads.push(Measured { name: "a7".into(), seconds: 1.0, rows, failed: None });
    let record = Record { runs: vec![old] };

    let mut lent = row(9.0).with_goal(Goal::TimesPeerAtLeast(5.0));
    assert!(record.has_peer_in("a7", |case| case == "1000 watchers"));
    record.lend_peer(&mut lent);
    let peer = lent.peer.as_ref().unwrap();
    assert_eq!((peer.name.as_str(), peer.recorded.as_deref()), ("etcd", Some("2026-01-01")));
    assert_eq!(lent.is_met(), Some(false), "9 is not five times 2");
    assert_eq!(
        lent.more.keys().collect::<Vec<_>>(),
        ["seconds of etcd"],
        "of ours, only what this run measured"
    );

    let mut other = Row::new("A7", "1 watcher", "events/s", Series(vec![1.0]));
    record.lend_peer(&mut other);
    assert!(other.peer.is_none());
    let twice = Run {
        workloads: vec![Measured { name: "a7".into(), seconds: 1.0, rows: vec![lent], failed: None }],
        ..run("2026-01-02", &[])
    };
    assert!(!Record { runs: vec![twice] }.has_peer_in("a7", |_| true), "what was lent is not lent on");
}
