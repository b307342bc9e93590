//! Watches over the wire: what comes in which order, how large answers are cut or put together, what is encoded how often,
//! and what a client costs that does not read.

use std::collections::HashMap;

use bytes::Bytes;
use watchful_wire::etcdserverpb::watch_request::RequestUnion;
use watchful_wire::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, WatchCancelRequest, WatchCreateRequest, WatchProgressRequest,
};
use watchful_wire::mvccpb::Event;

use crate::support::{TestServer, prefix};

fn keys(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|event| String::from_utf8_lossy(event.kv.as_ref().unwrap().key()).into_owned())
        .collect()
}

#[tokio::test]
async fn history_comes_first_and_live_after_it() {
    let server = TestServer::start().await;
    server.put("a/1", "1").await;
    server.put("b", "no").await;
    server.put("a/2", "2").await;
    let mut watch = server.watch().await;
    assert_eq!(watch.created(prefix("a/", 1)).await.watch_id, 0);
    assert_eq!(keys(watch.next().await.events.list()), ["a/1", "a/2"]);
    server.put("a/3", "3").await;
    let live = watch.next().await;
    assert_eq!((keys(live.events.list()), live.header.unwrap().revision), (vec!["a/3".to_owned()], 5));
    server.stop().await;
}

/// A client that is cut off before its first event goes on from the revision that `created` told: it must not be past
/// an event that is on its way. While every revision is a change of what is watched, the first event is the next one.
#[tokio::test(flavor = "multi_thread")]
async fn created_tells_the_revision_before_the_start() {
    let server = TestServer::start_with(|mut settings| {
        settings.store = settings.store.with_durability(watchful::Durability::Unsynced);
        settings
    })
    .await;
    let store = server.server.shared().store.clone();
    let (stop, stopped) =
        (tokio_util::sync::CancellationToken::new(), tokio_util::sync::CancellationToken::new());
    let (told_to_stop, has_stopped) = (stop.clone(), stopped.clone());
    std::thread::spawn(move || {
        let _told = has_stopped.drop_guard();
        while !told_to_stop.is_cancelled() {
            store.put("a/1", "value").wait().unwrap();
        }
    });
    for _ in 0..200 {
        let mut watch = server.watch().await;
        let told = watch.created(prefix("a/", 0)).await.header.unwrap().revision;
        let first = watch.next().await.events.into_list().remove(0);
        assert_eq!(first.kv.unwrap().mod_revision(), told + 1);
    }
    stop.cancel();
    stopped.cancelled().await;
    server.stop().await;
}

#[tokio::test]
async fn refusals_are_created_and_canceled_at_once() {
    let server = TestServer::start().await;
    let mut watch = server.watch().await;
    let named = |watch_id| WatchCreateRequest { watch_id, ..prefix("a/", 0) };
    assert_eq!(watch.created(named(7)).await.watch_id, 7);
    let refused = [
        (named(7), "mvcc: duplicate watch ID provided on the WatchStream"),
        (
            WatchCreateRequest { key: "b".into(), range_end: "a".into(), ..WatchCreateRequest::default() },
            "mvcc: watcher range is empty",
        ),
        (prefix("a/", -1), "etcdserver: mvcc: required revision has been compacted"),
    ];
    for (request, reason) in refused {
        let answer = watch.created(request).await;
        assert_eq!((answer.watch_id, answer.canceled, answer.cancel_reason.as_str()), (-1, true, reason));
    }
    watch.ask(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: 7 })).await;
    let canceled = watch.next().await;
    assert_eq!((canceled.watch_id, canceled.canceled, canceled.created), (7, true, false));
    server.stop().await;
}

/// A client that is told up to where its history is gone lists the keys and watches on from there. One that is only told that
/// it is canceled gives up for good: a Go client takes it for an error of the server.
#[tokio::test]
async fn a_watch_that_was_compacted_away_says_up_to_where() {
    let server = TestServer::start().await;
    for value in ["1", "2", "3"] {
        server.put("a/1", value).await;
    }
    server.kv().compact(CompactionRequest { revision: 3, physical: true }).await.unwrap();
    let mut watch = server.watch().await;
    assert!(!watch.created(prefix("a/", 2)).await.canceled);
    let ended = watch.next().await;
    assert_eq!((ended.watch_id, ended.canceled, ended.compact_revision), (0, true, 3));
    // What it says is still there.
    watch.created(prefix("a/", ended.compact_revision)).await;
    assert_eq!(keys(watch.next().await.events.list()), ["a/1", "a/1"]);
    server.stop().await;
}

/// etcd stays silent where a watch is not synced at the moment of asking; here the question is kept.
#[tokio::test(flavor = "multi_thread")]
async fn progress_that_is_asked_for_comes_once_everything_was_delivered() {
    let server = TestServer::start().await;
    for number in 0..2_000 {
        server.put(&format!("a/{}", number % 10), "v").await;
    }
    let mut watch = server.watch().await;
    watch.created(prefix("a/", 1)).await;
    watch.ask(RequestUnion::ProgressRequest(WatchProgressRequest {})).await;
    let mut events = 0;
    let progress = loop {
        let answer = watch.next().await;
        if answer.watch_id == -1 {
            break answer;
        }
        events += answer.events.list().len();
    };
    assert_eq!((events, progress.header.unwrap().revision), (2_000, 2_001));
    server.stop().await;
}

/// One revision of 3,000 deletes with their values, some 3 MB: larger than the engine's parts and the request limit.
async fn large_revision(server: &TestServer) -> usize {
    const KEYS: usize = 3_000;
    for number in 0..KEYS {
        server.put(&format!("a/{number:05}"), vec![b'x'; 1_000]).await;
    }
    let delete = DeleteRangeRequest { key: "a/".into(), range_end: "a0".into(), prev_kv: false };
    server.kv().delete_range(delete).await.unwrap();
    KEYS
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_revision_goes_whole_or_in_marked_parts_as_was_asked_for() {
    let server = TestServer::start_with(|mut settings| {
        settings.store = settings.store.with_durability(watchful::Durability::Unsynced);
        settings.limits.request_bytes_max = 200_000;
        settings
    })
    .await;
    let count = large_revision(&server).await;
    let start = i64::try_from(count).unwrap() + 2;
    let mut watch = server.watch().await;
    let with_prev = || WatchCreateRequest { prev_kv: true, ..prefix("a/", start) };
    watch.created(with_prev()).await;
    let whole = watch.next().await;
    assert_eq!((whole.events.list().len(), whole.fragment), (count, false));
    assert!(whole.events.list().iter().all(|event| event.prev_kv.as_ref().unwrap().value().len() == 1_000));

    watch.created(WatchCreateRequest { fragment: true, ..with_prev() }).await;
    let (mut events, mut parts) = (Vec::new(), 0);
    loop {
        let part = watch.next().await;
        assert!(prost::Message::encoded_len(&part) < 200_000, "{}", part.events.list().len());
        parts += 1;
        let goes_on = part.fragment;
        events.extend(part.events.into_list());
        if !goes_on {
            break;
        }
    }
    assert_eq!(events, whole.events.list());
    assert!(parts > 10, "{parts}");
    server.stop().await;
}

/// A review found that a request which was refused for its id changed how the watch of that id gets its answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_watch_changes_nothing_of_the_one_that_has_the_id() {
    let server = TestServer::start_with(|mut settings| {
        settings.store = settings.store.with_durability(watchful::Durability::Unsynced);
        settings.limits.request_bytes_max = 1_000;
        settings
    })
    .await;
    for number in 0..100 {
        server.put(&format!("a/{number}"), vec![b'x'; 100]).await;
    }
    let mut watch = server.watch().await;
    let named = WatchCreateRequest { watch_id: 7, ..prefix("a/", 200) };
    watch.created(named.clone()).await;
    assert!(watch.created(WatchCreateRequest { fragment: true, ..named }).await.canceled);
    let other = WatchCreateRequest { watch_id: 8, fragment: true, ..prefix("a/", 200) };
    watch.created(other).await;
    for number in 0..98 {
        server.put(&format!("b/{number}"), "").await;
    }
    let delete = DeleteRangeRequest { key: "a/".into(), range_end: "a0".into(), prev_kv: false };
    server.kv().delete_range(delete).await.unwrap();
    let mut whole = None;
    let mut parts = 0;
    while whole.is_none() || parts < 2 {
        let answer = watch.next().await;
        match answer.watch_id {
            7 => whole = Some((answer.events.list().len(), answer.fragment)),
            _ => parts += 1,
        }
    }
    assert_eq!(whole, Some((100, false)));
    server.stop().await;
}

/// A change of 700 kB over one of 700 kB was given in a part marked as going on, and an answer without events closed it:
/// to a client it looked like progress. The differential test found it, etcd gives one answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_change_that_is_all_of_its_revision_is_one_answer() {
    const LARGE: usize = 700 * 1024;
    let server = TestServer::start().await;
    server.put("a/1", vec![b'x'; LARGE]).await;
    let mut watch = server.watch().await;
    watch.created(WatchCreateRequest { prev_kv: true, fragment: true, ..prefix("a/", 0) }).await;
    server.put("a/1", vec![b'y'; LARGE]).await;
    server.put("a/2", "small").await;
    for key in ["a/1", "a/2"] {
        let answer = watch.next().await;
        let keys: Vec<_> =
            answer.events.list().iter().map(|event| event.kv.as_ref().unwrap().key()).collect();
        assert_eq!((keys, answer.fragment), (vec![key.as_bytes()], false));
    }
    server.stop().await;
}

/// A further watch costs its own header and one copy: what is encoded does not grow with the watches, what is copied does.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_encoded_once_for_all_watches_of_its_group() {
    const WATCHES: u64 = 100;
    let server = TestServer::start().await;
    let (mut first, mut second) = (server.watch().await, server.watch().await);
    for _ in 0..WATCHES / 2 {
        first.created(prefix("a/", 0)).await;
        second.created(prefix("a/", 0)).await;
    }
    let counts = &server.server.shared().counts;
    let before = (counts.watch_encoded_bytes.get(), counts.watch_copied_bytes.get());
    server.put("a/1", vec![1; 10_000]).await;
    let mut seen: HashMap<i64, usize> = HashMap::new();
    for _ in 0..WATCHES / 2 {
        for watch in [&mut first, &mut second] {
            let answer = watch.next().await;
            assert_eq!(answer.events.list().len(), 1);
            *seen.entry(answer.watch_id).or_default() += 1;
        }
    }
    assert!(seen.len() == 50 && seen.values().all(|times| *times == 2), "{seen:?}");
    let encoded = counts.watch_encoded_bytes.get() - before.0;
    let copied = counts.watch_copied_bytes.get() - before.1;
    // Two streams may both find that nobody has encoded it yet, and do it at the same moment.
    assert!(encoded == copied / WATCHES || encoded == 2 * copied / WATCHES, "{encoded} of {copied}");
    server.stop().await;
}

/// The claim: a client that does not read costs its outbox, and neither a writer nor another watcher notices; when it
/// reads again it has missed nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_costs_its_outbox_and_misses_nothing() {
    const PUTS: i64 = 3_000;
    let server = TestServer::start_with(|mut settings| {
        settings.store = settings.store.with_durability(watchful::Durability::Unsynced);
        settings
    })
    .await;
    let (mut deaf, mut other) = (server.watch().await, server.watch().await);
    deaf.create(prefix("a/", 1)).await;
    other.created(prefix("a/", 1)).await;
    let value = Bytes::from(vec![b'x'; 4_000]);
    for number in 0..PUTS {
        server.put(&format!("a/{number}"), value.clone()).await;
    }
    let mut seen = 0;
    while seen < PUTS {
        seen += i64::try_from(other.next().await.events.list().len()).unwrap();
    }
    let store = &server.server.shared().store;
    let gauges = store.watch_gauges().await.unwrap();
    assert!(gauges.queued_bytes <= 2 << 20, "{gauges:?}");
    let watchers = store.watchers().await.unwrap();
    assert!(watchers.iter().any(|watcher| watcher.lag_revisions > 0), "{watchers:?}");

    let mut next = 2;
    assert!(deaf.next().await.created);
    while next < PUTS + 2 {
        for event in deaf.next().await.events.list() {
            assert_eq!(event.kv.as_ref().unwrap().mod_revision(), next);
            next += 1;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_stream_that_breaks_leaves_nothing_behind() {
    let server = TestServer::start().await;
    let mut watch = server.watch().await;
    for _ in 0..10 {
        watch.created(prefix("a/", 0)).await;
    }
    drop(watch);
    let shared = server.server.shared();
    let gone = async {
        while shared.store.watch_gauges().await.unwrap() != watchful::Gauges::default()
            || shared.counts.watch_streams.get() != 0
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, gone).await.expect("every gauge returns to 0");
    assert_eq!(shared.streams.peers().len(), 0);
    server.stop().await;
}

/// Clients resume by themselves after an error they know to be passing; after `canceled` they would not.
#[tokio::test]
async fn a_server_that_stops_ends_watches_with_an_error_that_clients_resume_after() {
    let server = TestServer::start().await;
    let mut watch = server.watch().await;
    watch.created(prefix("a/", 0)).await;
    let (folder, ended) = tokio::join!(server.stop(), watch.answers.message());
    let ended = ended.unwrap_err();
    assert_eq!((ended.code(), ended.message()), (tonic::Code::Unavailable, "etcdserver: server stopped"));
    drop(folder);
}

/// A burst to 10,000 watches cost as much as in etcd, because each revision was an answer of its own to each of them.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_piled_up_for_a_watch_comes_in_fewer_answers_and_in_order() {
    const PUTS: usize = 400;
    let server = TestServer::start().await;
    let mut watch = server.watch().await;
    // Two groups: whoever watches `k` sees every change, and whoever watches `k1` one in ten.
    for prefixed in ["k", "k", "k1", "j"] {
        watch.created(prefix(prefixed, 0)).await;
    }
    // Nobody reads meanwhile, and the connection's windows have room for a part of it only.
    for put in 0..PUTS {
        server.put(&format!("k{}", put % 10), vec![7; 4096]).await;
    }
    let mut seen = [Vec::new(), Vec::new(), Vec::new()];
    let (mut answers, mut largest) = (0, 0);
    while seen[0].len() < PUTS || seen[1].len() < PUTS || seen[2].len() < PUTS / 10 {
        let answer = watch.next().await;
        let revisions: Vec<i64> =
            answer.events.list().iter().map(|event| event.kv.as_ref().unwrap().mod_revision()).collect();
        assert!(answer.header.unwrap().revision >= *revisions.last().unwrap());
        (answers, largest) = (answers + 1, largest.max(revisions.len()));
        seen[usize::try_from(answer.watch_id).unwrap()].extend(revisions);
    }
    let all: Vec<i64> = (2..).take(PUTS).collect();
    assert_eq!((&seen[0], &seen[1]), (&all, &all));
    assert_eq!(seen[2], all.iter().copied().skip(1).step_by(10).collect::<Vec<_>>());
    let deliveries = 2 * PUTS + PUTS / 10;
    assert!(answers < deliveries * 9 / 10 && largest > 1, "{answers} answers, with up to {largest} events");
    // A large answer would be as dear as many: it is of moderate size.
    assert!(largest <= 17, "{largest} events of 4 KiB in one answer");
    server.stop().await;
}
