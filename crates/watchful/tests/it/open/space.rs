//! No room left: under the quota, on the disk, and under the system's limit on a file. Every write that was acknowledged
//! is there, every other left no trace, and with room again everything goes on.

use std::path::Path;

use watchful::{Error, KeyRange, LeaseId, Settings, Store};
use watchful_testkit::{Model, Op, WatchSpec, checkers};

use super::check_says;
use super::child::{self, Program, Working};
use super::folder::Disk;
use crate::support::{Receiver, Twin, eventually, request, rows_at, settings};

const SAYS: [&str; 5] =
    ["no space left", "the quota is", "delete and compact", "free the disk", "raise the quota"];

const LEASE: LeaseId = 7;

fn ops(number: u64, len: usize) -> [Op; 2] {
    [Op::put(format!("key/{:03}", number % 500), vec![b'v'; len]), Op::put("last", number.to_string())]
}

/// Writes values of so many bytes until there is no room. The model has what was acknowledged.
fn fill(store: &Store, model: &mut Model, len: usize) -> Error {
    for number in 0_u64.. {
        let ops = ops(number, len);
        match store.execute(request(&ops)).wait() {
            Ok(done) => assert_eq!(model.apply(&ops).unwrap().revision, Some(done.revision)),
            Err(error) => return error,
        }
    }
    unreachable!("everything has an end")
}

/// What the store holds, and what a watch of everything tells, is the model's.
fn check_same(store: &Store, model: &Model) {
    let current = model.current_revision();
    checkers::durable(model, current, store.current_revision(), &rows_at(store, current)).unwrap();
    let mut seen = Receiver::open(store, WatchSpec::new(KeyRange::everything(), 1).with_prev_kv());
    seen.read_to(current);
    seen.check(model);
}

fn grant(store: &Store, model: &mut Model) {
    store.lease_grant(LEASE, 60).wait().unwrap();
    model.lease_grant(LEASE, 60).unwrap();
}

#[test]
fn past_the_quota_what_makes_room_goes_on() {
    let mut twin = Twin::with(settings().with_quota_bytes(1 << 20));
    twin.run("grant 7 60\nput leased 1 lease=7\nput small 1");
    let mut live = Receiver::open(&twin, WatchSpec::new(KeyRange::everything(), 1));
    let store = Store::clone(&twin);
    let error = fill(&store, &mut twin.model, 3000);
    assert!(
        matches!(error, Error::NoSpace { used_bytes, quota_bytes } if used_bytes >= quota_bytes),
        "{error:?}"
    );
    check_says(&error, &SAYS);
    for refused in [store.put("small", "2").wait().map(drop), store.lease_grant(8, 60).wait().map(drop)] {
        check_says(&refused.unwrap_err(), &SAYS);
    }
    drop(store);
    twin.check();
    // Opened again it is as full, and says so.
    twin.reopen();
    check_says(&twin.put("small", "2").wait().unwrap_err(), &SAYS);
    twin.check();

    twin.run("revoke 7\ndel key/*");
    let revision = twin.current_revision();
    twin.run(&format!("compact {revision}"));
    eventually("room", || twin.put("small", "2").wait().ok());
    twin.model.apply(&[Op::put("small", "2")]).unwrap();
    twin.check();
    // The receiver that read nothing all this time had been promised all of it: the reopening ended it, not the quota.
    while live.read_one() {}
    live.check(&twin.model);
}

#[test]
fn a_higher_quota_makes_room() {
    let mut twin = Twin::with(settings().with_quota_bytes(1 << 20));
    let store = Store::clone(&twin);
    fill(&store, &mut twin.model, 10_000);
    drop(store);
    twin.settings = settings().with_quota_bytes(2 << 20);
    twin.reopen();
    twin.run("put more 1");
    twin.check();
}

/// A disk of three megabytes fills with large commits, which meet its end in the middle, and with small ones, which meet it
/// at their start.
#[test]
fn a_full_disk_loses_nothing() {
    for len in [100_000, 900] {
        let Some(disk) = Disk::mount("3m") else { return };
        let path = disk.path().join("store");
        let mut model = Model::new();
        let store = Store::open(&path, settings()).unwrap();
        grant(&store, &mut model);
        for _ in 0..2 {
            let error = fill(&store, &mut model, len);
            assert!(matches!(error, Error::NoSpace { .. }), "{error:?}");
            check_says(&error, &SAYS);
            check_same(&store, &model);
        }
        drop(store);
        // With no room at all it can still be looked at; with a little, it goes on.
        let report = watchful::check(&path).unwrap();
        assert!(report.is_ok() && report.current_revision == model.current_revision(), "{report:?}");
        assert!(disk.remount("size=6m"));
        go_on(&path, settings(), &mut model);
    }
}

/// Opens the store, finds everything, and writes until the end of the new room.
fn go_on(path: &Path, settings: Settings, model: &mut Model) {
    let store = Store::open(path, settings).unwrap();
    check_same(&store, model);
    assert_eq!(store.leases(), [LEASE]);
    for op in [Op::put_with_lease("leased", "1", LEASE), Op::DeleteRange(KeyRange::prefix("key/"))] {
        let done = store.execute(request(std::slice::from_ref(&op))).wait().unwrap();
        assert_eq!(model.apply(&[op]).unwrap().revision, Some(done.revision));
    }
    check_same(&store, model);
}

/// The system refuses to let the file grow. Needs no right to mount anything. Where a write is cut short in its middle, this
/// looks like a disk that breaks, so what became of the commit may be unknown; then that is what is said.
#[test]
fn a_limit_on_the_file_loses_nothing() {
    const NAME: &str = "open::space::a_limit_on_the_file_loses_nothing";
    if let Some((folder, len)) = child::task() {
        return fill_under_a_limit(&folder, usize::try_from(len).unwrap());
    }
    for (len, blocks) in [(900, 2000), (900, 2001), (100_000, 2000), (100_000, 4000)] {
        let dir = tempfile::tempdir().unwrap();
        let told = Working::spawn_limited(blocks, Program::Test(NAME), dir.path(), len).finish();
        let [writes, error] = &told[..] else { panic!("{told:?}") };
        println!("{len} bytes a value, {blocks} blocks: {writes} writes, then {error}");
        let mut model = Model::new();
        model.lease_grant(LEASE, 60).unwrap();
        let (writes, len): (u64, _) = (writes.parse().unwrap(), usize::try_from(len).unwrap());
        (0..writes).for_each(|number| drop(model.apply(&ops(number, len)).unwrap()));
        let report = watchful::check(dir.path()).unwrap();
        assert!(report.is_ok(), "{:?}", report.problems);
        if report.current_revision > model.current_revision() {
            assert!(error.contains("unknown"), "{error}");
            model.apply(&ops(writes, len)).unwrap();
        }
        go_on(dir.path(), settings(), &mut model);
    }
}

fn fill_under_a_limit(folder: &Path, len: usize) {
    let store = Store::open(folder, settings()).unwrap();
    let mut model = Model::new();
    grant(&store, &mut model);
    let error = fill(&store, &mut model, len);
    check_same(&store, &model);
    if matches!(error, Error::OutcomeUnknown) {
        check_says(&error, &["unknown", "close the store and open it again"]);
        // It must not be tried again on top of what nobody knows.
        assert!(matches!(store.put("small", "1").wait(), Err(Error::OutcomeUnknown)));
        assert!(matches!(store.delete("last").wait(), Err(Error::OutcomeUnknown)));
        check_same(&store, &model);
    } else {
        check_says(&error, &SAYS);
    }
    child::tell(&(model.current_revision() - 1).to_string());
    child::tell(&error.to_string());
}
