//! Revisions, key ranges and records alone, without a store. Run with `cargo run -p watchful-revision --example records`.

use std::error::Error;

use watchful_revision::{Event, EventKind, KeyRange, Put, Record, Revision, encode_put, encode_tombstone};

fn main() -> Result<(), Box<dyn Error>> {
    // A log as a store keeps it: revision bytes to record bytes. Here it is a list.
    let log = [
        put(Revision::new(2, 0), "app/web", "1", 2, 1)?,
        put(Revision::new(3, 0), "app/web", "2", 2, 2)?,
        put(Revision::new(3, 1), "lib/core", "x", 3, 1)?,
        tombstone(Revision::new(4, 0), "app/web")?,
    ];
    assert!(log.is_sorted_by_key(|(revision, _)| *revision), "the bytes of revisions sort as revisions do");

    let apps = KeyRange::prefix("app/");
    println!("events of {apps}:");
    for (revision, bytes) in &log {
        let record = Record::parse(Revision::from_bytes(revision)?, bytes.clone().into())?;
        if apps.contains(record.key()) {
            tell(&Event::new(record, None));
        }
    }

    // The same bytes under another revision are damage.
    let moved = Record::parse(Revision::new(9, 0), log[0].1.clone().into());
    println!("moved: {}", moved.expect_err("the checksum covers the revision"));
    Ok(())
}

type Row = ([u8; 12], Vec<u8>);

fn put(
    revision: Revision,
    key: &str,
    value: &str,
    created: u64,
    version: u64,
) -> Result<Row, Box<dyn Error>> {
    let (key, value) = (key.as_bytes(), value.as_bytes());
    let mut bytes = Vec::new();
    encode_put(revision, &Put { key, value, create_revision: created, version, lease: 0 }, &mut bytes)?;
    Ok((revision.to_bytes(), bytes))
}

fn tombstone(revision: Revision, key: &str) -> Result<Row, Box<dyn Error>> {
    let mut bytes = Vec::new();
    encode_tombstone(revision, key.as_bytes(), &mut bytes)?;
    Ok((revision.to_bytes(), bytes))
}

fn tell(event: &Event) {
    let key = event.key().escape_ascii();
    match event.kind() {
        EventKind::Put if event.is_create() => println!("  {} created {key}", event.revision()),
        EventKind::Put => {
            println!("  {} changed {key} to {}", event.revision(), event.value().escape_ascii())
        }
        EventKind::Delete => println!("  {} deleted {key}", event.revision()),
    }
}
