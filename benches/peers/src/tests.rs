//! What each storage that is built in has to do alike.

use super::*;

fn rows(numbers: std::ops::Range<u8>) -> Vec<Row> {
    numbers.map(|number| (vec![b'k', number], vec![number; 100])).collect()
}

fn get(peer: &dyn Storage, key: &[u8]) -> Option<Vec<u8>> {
    let mut found = None;
    peer.get(key, &mut |value| {
        found = Some(value.to_vec());
        Ok(())
    })
    .unwrap();
    found
}

fn range(peer: &dyn Storage, from: &[u8], limit: usize) -> Vec<Row> {
    let mut found = Vec::new();
    peer.range(from, limit, &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        Ok(())
    })
    .unwrap();
    found
}

/// LMDB and the others, in both durabilities.
fn for_each(check: impl Fn(&dyn Storage)) {
    for durability in [Durability::Synced, Durability::Unsynced] {
        let (of_lmdb, of_others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        check(&Lmdb::open(of_lmdb.path(), durability).unwrap());
        for peer in open_others(of_others.path(), durability).unwrap() {
            check(&*peer);
        }
    }
}

#[test]
fn what_was_put_and_appended_is_found_by_key_and_in_order() {
    for_each(|peer| {
        peer.put(&rows(3..6)).unwrap();
        peer.append(&rows(6..9)).unwrap();
        peer.put(&rows(0..3)).unwrap();
        assert_eq!(get(peer, &[b'k', 4]), Some(vec![4; 100]), "{}", peer.name());
        assert_eq!(get(peer, &[b'k', 9]), None, "{}", peer.name());
        assert_eq!(range(peer, &[b'k', 2], 5), rows(2..7), "{}", peer.name());
        assert_eq!(range(peer, b"l", 5), [], "{}", peer.name());
    });
}

#[test]
fn a_key_that_is_put_again_has_its_new_value() {
    for_each(|peer| {
        peer.put(&rows(0..3)).unwrap();
        peer.put(&[(vec![b'k', 1], b"new".to_vec())]).unwrap();
        assert_eq!(get(peer, &[b'k', 1]).as_deref(), Some(&b"new"[..]), "{}", peer.name());
        assert_eq!(range(peer, b"k", 9).len(), 3, "{}", peer.name());
    });
}

#[test]
fn what_the_one_who_is_shown_a_row_fails_with_is_told() {
    for_each(|peer| {
        peer.put(&rows(0..3)).unwrap();
        let told = peer.range(b"k", 9, &mut |_, _| Err("enough".into())).unwrap_err();
        assert_eq!(told.to_string(), "enough", "{}", peer.name());
        let told = peer.get(&[b'k', 0], &mut |_| Err("wrong".into())).unwrap_err();
        assert_eq!(told.to_string(), "wrong", "{}", peer.name());
    });
}

#[test]
fn lmdb_wants_a_new_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data.mdb"), "of somebody else").unwrap();
    let refused = Lmdb::open(folder.path(), Durability::Synced).map(drop).unwrap_err();
    assert!(refused.to_string().ends_with("is not empty: give the peer a new folder"), "{refused}");
}

#[test]
fn a_channel_tells_what_it_no_longer_has() {
    let mut unread = Unread::new(4);
    (0..10).for_each(|number| unread.send(vec![number]).unwrap());
    assert_eq!(unread.drain(), Had { received: 4, told_lost: 6 });
}

#[cfg(feature = "sled")]
#[test]
fn a_subscriber_of_sled_stops_whoever_puts_once_its_queue_is_full() {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    let dir = tempfile::tempdir().unwrap();
    let mut sled = Sled::open(dir.path(), b"k", 1).unwrap();
    let (put, done) = (sled.putter(), std::sync::Arc::new(AtomicU64::new(0)));
    let counts = std::sync::Arc::clone(&done);
    let putter = std::thread::spawn(move || {
        for number in 0_u32..1100 {
            put(b"k", &number.to_be_bytes()).unwrap();
            counts.fetch_add(1, Ordering::SeqCst);
        }
    });
    // It can put no more than the queue holds, however long it is given.
    while done.load(Ordering::SeqCst) < 1024 {
        std::thread::yield_now();
    }
    assert!(!putter.is_finished());
    assert_eq!(done.load(Ordering::SeqCst), 1024);
    assert_eq!(sled.drain(Duration::from_secs(5)), 1100);
    putter.join().unwrap();
}
