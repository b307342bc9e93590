//! A snapshot that is not whole, or is something else, is refused with what is wrong, and nothing is made of it.

use std::fs;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{run_watchful, save};
use crate::support::{Etcdctl, Server};

const TRAILER_LEN: usize = 32;
const PAGE_LEN: usize = 4096;

/// A snapshot of ours, with some pages.
fn snapshot(server: &Server) -> Option<Vec<u8>> {
    let etcdctl = Etcdctl::of(server)?;
    etcdctl.ok(&["lease", "grant", "100"]);
    for number in 0..60 {
        etcdctl.ok(&["put", &format!("key{number}"), &"some value ".repeat(10)]);
    }
    etcdctl.ok(&["put", "large", &"large ".repeat(2_000)]);
    Some(fs::read(save(server, &etcdctl, "snapshot")).unwrap())
}

/// What `watchful restore` says. A panic ends with another code than 1.
fn restore(scratch: &Path, bytes: &[u8], more: &[&str]) -> Result<(), String> {
    let (file, dir) = (scratch.join("damaged"), scratch.join("made"));
    fs::write(&file, bytes).unwrap();
    // It may not be there.
    let _ = fs::remove_dir_all(&dir);
    let arguments = ["restore", file.to_str().unwrap(), "--data-dir", dir.to_str().unwrap()];
    let ended = run_watchful(&[&arguments[..], more].concat());
    let said = String::from_utf8(ended.stderr).unwrap();
    match ended.status.code() {
        Some(0) => Ok(()),
        Some(1) => {
            assert!(said.starts_with("error: ") && said.lines().count() == 1, "{said}");
            let left = fs::read_dir(&dir).map_or(0, Iterator::count);
            assert_eq!(left, 0, "something was left of {said}");
            Err(said)
        }
        code => panic!("it ended with {code:?}: {said}"),
    }
}

#[test]
fn what_was_cut_or_changed_is_refused() {
    let server = Server::watchful();
    let Some(bytes) = snapshot(&server) else { return };
    let scratch = server.scratch();
    assert_eq!(restore(scratch, &bytes, &[]), Ok(()));
    for pages in 1..bytes.len() / PAGE_LEN {
        let refused = restore(scratch, &bytes[..pages * PAGE_LEN], &[]).unwrap_err();
        assert!(refused.contains("has no SHA-256 at its end"), "{refused}");
        let refused = restore(scratch, &bytes[..pages * PAGE_LEN], &["--skip-hash-check"]).unwrap_err();
        assert!(refused.contains("the file was cut short"), "{refused}");
    }
    let refused = restore(scratch, &bytes[..bytes.len() - 7], &[]).unwrap_err();
    assert!(refused.contains("has the length of no snapshot"), "{refused}");
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..30 {
        let mut bytes = bytes.clone();
        let at = random.random_range(0..bytes.len());
        bytes[at] ^= 1 << random.random_range(0..8);
        let refused = restore(scratch, &bytes, &[]).unwrap_err();
        assert!(refused.contains("its SHA-256 is not the one at its end"), "byte {at}: {refused}");
    }
}

/// Without a sum damage can go unseen where it hits a value; but nothing falls over, and what is refused leaves nothing.
#[test]
fn without_a_sum_damage_ends_with_an_answer() {
    let server = Server::watchful();
    let Some(bytes) = snapshot(&server) else { return };
    let content = &bytes[..bytes.len() - TRAILER_LEN];
    let mut random = StdRng::seed_from_u64(11);
    let mut refused = 0;
    for _ in 0..80 {
        let mut bytes = content.to_vec();
        for _ in 0..random.random_range(1..40) {
            let page = random.random_range(0..bytes.len() / PAGE_LEN);
            let at = page * PAGE_LEN + random.random_range(0..300);
            bytes[at] = random.random();
        }
        refused += usize::from(restore(server.scratch(), &bytes, &["--skip-hash-check"]).is_err());
    }
    assert!(refused > 40, "{refused} were refused");
}

/// What is whole, and was never a store of an etcd.
#[test]
fn what_is_no_snapshot_of_an_etcd_is_refused() {
    let server = Server::watchful();
    let check = |write: &dyn Fn(&mut watchful_bbolt::Writer<fs::File>), expected: &str| {
        let path = server.scratch().join("other");
        let mut writer = watchful_bbolt::Writer::new(fs::File::create(&path).unwrap()).unwrap();
        write(&mut writer);
        writer.finish().unwrap();
        let refused =
            restore(server.scratch(), &fs::read(&path).unwrap(), &["--skip-hash-check"]).unwrap_err();
        assert!(refused.contains(expected), "{refused}");
    };
    check(&|_| {}, "it has no bucket `key` or no bucket `meta`");
    check(&|writer| writer.bucket(b"pictures").unwrap(), "it has `pictures`, which no etcd of 3.4 to");
    let etcds = |writer: &mut watchful_bbolt::Writer<fs::File>, row: (&[u8], &[u8]), meta: (&[u8], &[u8])| {
        writer.bucket(b"key").unwrap();
        writer.put(row.0, row.1).unwrap();
        writer.bucket(b"meta").unwrap();
        writer.put(meta.0, meta.1).unwrap();
    };
    let at_2: &[u8] = b"\0\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\0";
    let row = (at_2, &b"\x0a\x01a\x10\x02\x18\x02\x20\x01"[..]);
    let meta = (&b"term"[..], &[0; 8][..]);
    check(&|writer| etcds(writer, row, (b"storageVersion", b"4.0.0")), "its storage is of version `4.0.0`");
    check(&|writer| etcds(writer, row, (b"term", b"1")), "its `term` is no number");
    check(
        &|writer| etcds(writer, row, (b"scheduledCompactRev", b"1")),
        "its `scheduledCompactRev` is no revision",
    );
    check(&|writer| etcds(writer, (b"2", row.1), meta), "`2` in its bucket `key` is no revision");
    check(&|writer| etcds(writer, (at_2, b"\xff"), meta), "the change at revision 2.0 cannot be read");
    check(&|writer| etcds(writer, (at_2, b""), meta), "the change at revision 2.0 has no key");
    let other = b"\x0a\x01a\x10\x02\x18\x03\x20\x01";
    check(&|writer| etcds(writer, (at_2, other), meta), "says that it is of revision 3");
    let at_9: &[u8] = b"\0\0\0\0\0\0\0\x09_\0\0\0\0\0\0\0\0t";
    check(&|writer| etcds(writer, (at_9, b"\x0a\x01a"), meta), "are missing, above the compact revision");
}
