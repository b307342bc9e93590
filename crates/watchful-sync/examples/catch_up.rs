//! A watch that starts in the past, served by hand: what the engine asks for, and what it delivers.
//!
//! The log is a plain `Vec` of revisions, each with one put. Run it with
//! `cargo run -p watchful-sync --example catch_up`.

use std::sync::Arc;

use watchful_revision::{Event, EventKind, KeyRange, Put, Record, Revision, encode_put};
use watchful_sync::{
    Engine, EngineSettings, HistoryChunk, Item, Published, ReadRequest, StreamId, WatchSpec, Work,
};

fn put(main: u64, key: &str) -> Event {
    let (at, mut bytes) = (Revision::start_of(main), Vec::new());
    let put = Put { key: key.as_bytes(), value: b"v", create_revision: main, version: 1, lease: 0 };
    encode_put(at, &put, &mut bytes).expect("a small record");
    Event::new(Record::parse(at, bytes.into()).expect("our own record"), None)
}

/// Reads up to four revisions of the log, as the request asks.
fn read(log: &[Event], request: &ReadRequest) -> HistoryChunk {
    let end = request.to.min(request.from.main + request.revisions_max - 1);
    let mut chunk = HistoryChunk::empty(request.scan, Revision::start_of(end + 1));
    for event in log {
        let matches = request.matcher.matches(event.key(), EventKind::Put);
        if (request.from.main..=end).contains(&event.revision().main) && !matches.is_empty() {
            chunk.push(event.clone(), false, &matches);
        }
    }
    chunk
}

/// Does the engine's work: prints it, takes what is delivered at once, and returns what is to be read.
fn work(engine: &mut Engine) -> Vec<ReadRequest> {
    let mut reads = Vec::new();
    for work in engine.turn() {
        match work {
            Work::Read(request) => {
                println!("  asked:     history from {} to revision {}", request.from, request.to);
                reads.push(request);
            }
            Work::Deliver { stream, item } => deliver(engine, stream, &item),
            Work::Blocked { stream } => println!("  blocked:   {stream:?} waits for room"),
        }
    }
    reads
}

fn deliver(engine: &mut Engine, stream: StreamId, item: &Item) {
    match item {
        Item::Events { batch, watches } => {
            let ids: Vec<_> = watches.iter().collect();
            let keys: Vec<_> = batch
                .events()
                .iter()
                .map(|event| format!("{}={}", event.revision().main, event.key().escape_ascii()))
                .collect();
            println!("  delivered: {} to watch {ids:?}", keys.join(" "));
        }
        Item::Created { watch, head } => println!("  delivered: watch {watch} is created at revision {head}"),
        Item::Progress { revision, .. } => println!("  delivered: progress, everything up to {revision}"),
        other => println!("  delivered: {other:?}"),
    }
    engine.drained(stream, item.charge_bytes());
}

fn main() {
    let keys = ["a1", "b1", "a2", "b2", "b3", "a3", "b4", "a4"];
    let mut log: Vec<Event> = (2..).zip(keys).map(|(main, key)| put(main, key)).collect();
    let settings = EngineSettings { chunk_revisions_max: 4, ..EngineSettings::default() };
    let mut engine = Engine::new(settings, 9, 0);

    println!(
        "the store is at revision 9; watch 7 wants `a*` from revision 2, and to know when it has everything"
    );
    let stream = engine.attach(1 << 20);
    engine.watch(stream, 7, WatchSpec::new(KeyRange::prefix("a"), 2));
    engine.ask_progress(stream, 0);
    let mut reads = work(&mut engine);

    println!("revision 10 is published while the first chunk is read");
    log.push(put(10, "a5"));
    engine.published(Arc::new(Published::new(10, vec![put(10, "a5")])));

    while let Some(request) = reads.pop() {
        let chunk = read(&log, &request);
        println!("read {} matching rows from {}", chunk.len(), request.from);
        engine.history(Ok(chunk));
        reads.extend(work(&mut engine));
    }

    println!("revision 11 is published");
    engine.published(Arc::new(Published::new(11, vec![put(11, "a1")])));
    reads.extend(work(&mut engine));
    assert!(reads.is_empty(), "the watch is synced, and nothing is read for it");
}
