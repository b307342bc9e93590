//! Talks to a server as a user of the crate `etcd-client` would, and checks every answer.
//!
//! ```sh
//! cargo run -- 127.0.0.1:2379
//! ```
//!
//! Each check works under keys of its own. The first answer that is not as it should be ends the program.

use std::time::Duration;

use etcd_client::{
    Client, Compare, CompareOp, DeleteOptions, Error, EventType, GetOptions, LeaseTimeToLiveOptions,
    LockOptions, ProclaimOptions, PutOptions, ResignOptions, SortOrder, SortTarget, Txn, TxnOp,
    TxnOpResponse, WatchFilterType, WatchOptions, WatchStream,
};

/// How long everything together may take.
const PATIENCE: Duration = Duration::from_secs(60);

type Checked = Result<(), Error>;

#[tokio::main]
async fn main() {
    let endpoint = std::env::args().nth(1).expect("usage: watchful-peer-rust-etcd-client HOST:PORT");
    tokio::time::timeout(PATIENCE, all(&endpoint)).await.expect("it takes too long").expect("a call failed");
    println!("all passed");
}

async fn all(endpoint: &str) -> Checked {
    let mut client = Client::connect([endpoint], None).await?;
    keys(&mut client).await?;
    println!("passed: keys");
    transactions(&mut client).await?;
    println!("passed: transactions");
    watches(&mut client).await?;
    println!("passed: watches");
    compaction(&mut client).await?;
    println!("passed: compaction");
    leases(&mut client).await?;
    println!("passed: leases");
    locks(&mut client).await?;
    println!("passed: locks");
    elections(&mut client).await?;
    println!("passed: elections");
    maintenance(&mut client).await?;
    println!("passed: maintenance");
    Ok(())
}

async fn keys(client: &mut Client) -> Checked {
    let revision = client.put("keys/a", "1", None).await?.header().unwrap().revision();
    let again = client.put("keys/a", "2", Some(PutOptions::new().with_prev_key())).await?;
    assert_eq!(again.prev_key().unwrap().value(), b"1");
    let got = client.get("keys/a", None).await?;
    let kv = &got.kvs()[0];
    assert_eq!((kv.value(), kv.version()), (&b"2"[..], 2));
    assert_eq!((kv.create_revision(), kv.mod_revision()), (revision, revision + 1));
    let past = client.get("keys/a", Some(GetOptions::new().with_revision(revision))).await?;
    assert_eq!(past.kvs()[0].value(), b"1");

    client.put("keys/b", "1", None).await?;
    let sorted = GetOptions::new().with_prefix().with_sort(SortTarget::Value, SortOrder::Ascend);
    let sorted = client.get("keys/", Some(sorted)).await?;
    assert_eq!(sorted.kvs().iter().map(|kv| kv.key()).collect::<Vec<_>>(), [b"keys/b", b"keys/a"]);
    let cut = client.get("keys/", Some(GetOptions::new().with_prefix().with_limit(1))).await?;
    assert_eq!((cut.kvs().len(), cut.count(), cut.more()), (1, 2, true));

    let deleted = client.delete("keys/", Some(DeleteOptions::new().with_prefix().with_prev_key())).await?;
    assert_eq!((deleted.deleted(), deleted.prev_kvs()[1].key()), (2, &b"keys/b"[..]));
    refused(client.put("", "x", None).await, "etcdserver: key is not provided");
    let future = client.get("keys/a", Some(GetOptions::new().with_revision(i64::MAX))).await;
    refused(future, "etcdserver: mvcc: required revision is a future revision");
    Ok(())
}

async fn transactions(client: &mut Client) -> Checked {
    let create_if_absent = || {
        Txn::new()
            .when([Compare::create_revision("txn/a", CompareOp::Equal, 0)])
            .and_then([TxnOp::put("txn/a", "1", None)])
            .or_else([TxnOp::get("txn/a", None)])
    };
    assert!(client.txn(create_if_absent()).await?.succeeded());
    let second = client.txn(create_if_absent()).await?;
    assert!(!second.succeeded());
    let TxnOpResponse::Get(there) = &second.op_responses()[0] else { panic!("{second:?}") };
    assert_eq!(there.kvs()[0].value(), b"1");

    let nested = Txn::new()
        .when([Compare::version("txn/a", CompareOp::Greater, 0)])
        .and_then([TxnOp::put("txn/c", "1", None), TxnOp::get("txn/b", None)]);
    let outer = Txn::new()
        .when([Compare::value("txn/a", CompareOp::Equal, "1"), Compare::lease("txn/a", CompareOp::Less, 1)])
        .and_then([TxnOp::put("txn/b", "2", None), TxnOp::txn(nested), TxnOp::delete("txn/a", None)]);
    let answer = client.txn(outer).await?;
    let responses = answer.op_responses();
    let TxnOpResponse::Txn(nested) = &responses[1] else { panic!("{answer:?}") };
    let TxnOpResponse::Get(read) = &nested.op_responses()[1] else { panic!("{answer:?}") };
    assert_eq!(read.kvs()[0].value(), b"2");
    let TxnOpResponse::Delete(deleted) = &responses[2] else { panic!("{answer:?}") };
    assert_eq!(deleted.deleted(), 1);

    let twice = Txn::new().and_then([TxnOp::put("txn/d", "1", None), TxnOp::put("txn/d", "2", None)]);
    refused(client.txn(twice).await, "etcdserver: duplicate key given in txn request");
    Ok(())
}

async fn watches(client: &mut Client) -> Checked {
    let start = client.put("watch/a", "1", None).await?.header().unwrap().revision();
    let options = || WatchOptions::new().with_prefix().with_start_revision(start);
    let (mut watcher, mut stream) = client.watch("watch/", Some(options().with_prev_key())).await?;
    assert_eq!(next(&mut stream).await?, ["put watch/a=1"]);
    client.put("watch/a", "2", None).await?;
    assert_eq!(next(&mut stream).await?, ["put watch/a=2 after 1"]);

    // A second watch on the same stream, of deletes only.
    watcher.watch("watch/", Some(options().with_filters([WatchFilterType::NoPut]))).await?;
    let created = stream.message().await?.unwrap();
    assert!(created.created() && created.watch_id() != watcher.watch_id());
    client.delete("watch/a", None).await?;
    let told = [next(&mut stream).await?, next(&mut stream).await?].concat();
    assert_eq!(told.iter().filter(|event| event.starts_with("delete watch/a")).count(), 2, "{told:?}");

    watcher.request_progress().await?;
    let progress = stream.message().await?.unwrap();
    assert!(progress.events().is_empty() && progress.header().unwrap().revision() >= start + 2);
    watcher.cancel_by_id(created.watch_id()).await?;
    let canceled = stream.message().await?.unwrap();
    assert!(canceled.canceled() && canceled.watch_id() == created.watch_id());
    client.put("watch/b", "3", None).await?;
    assert_eq!(next(&mut stream).await?, ["put watch/b=3"]);
    watcher.cancel().await?;
    assert!(stream.message().await?.unwrap().canceled());
    Ok(())
}

/// The events of the next answer, in words.
async fn next(stream: &mut WatchStream) -> Result<Vec<String>, Error> {
    let answer = stream.message().await?.expect("the watch should go on");
    let events = answer.events().iter().map(|event| {
        let kv = event.kv().unwrap();
        let after =
            event.prev_kv().map_or(String::new(), |prev| format!(" after {}", prev.value_str().unwrap()));
        match event.event_type() {
            EventType::Put => format!("put {}={}{after}", kv.key_str().unwrap(), kv.value_str().unwrap()),
            EventType::Delete => format!("delete {}{after}", kv.key_str().unwrap()),
        }
    });
    Ok(events.collect())
}

async fn compaction(client: &mut Client) -> Checked {
    let first = client.put("compaction", "1", None).await?.header().unwrap().revision();
    let second = client.put("compaction", "2", None).await?.header().unwrap().revision();
    client.compact(second, None).await?;
    let compacted = "etcdserver: mvcc: required revision has been compacted";
    refused(client.get("compaction", Some(GetOptions::new().with_revision(first))).await, compacted);
    refused(client.compact(first, None).await, compacted);
    let (_watcher, mut stream) =
        client.watch("compaction", Some(WatchOptions::new().with_start_revision(first))).await?;
    let told = stream.message().await?.unwrap();
    assert!(told.canceled() && told.compact_revision() == second, "{told:?}");
    Ok(())
}

async fn leases(client: &mut Client) -> Checked {
    let lease = client.lease_grant(600, None).await?.id();
    client.put("lease/a", "1", Some(PutOptions::new().with_lease(lease))).await?;
    let told = client.lease_time_to_live(lease, Some(LeaseTimeToLiveOptions::new().with_keys())).await?;
    assert_eq!((told.granted_ttl(), told.keys()), (600, &[b"lease/a".to_vec()][..]));
    let (mut keeper, mut stream) = client.lease_keep_alive(lease).await?;
    keeper.keep_alive().await?;
    assert_eq!(stream.message().await?.unwrap().ttl(), 600);
    assert!(client.leases().await?.leases().iter().any(|status| status.id() == lease));
    client.lease_revoke(lease).await?;
    assert_eq!(client.get("lease/a", None).await?.count(), 0);
    refused(client.lease_revoke(lease).await, "etcdserver: requested lease not found");

    let short = client.lease_grant(2, None).await?.id();
    let start = client
        .put("lease/short", "1", Some(PutOptions::new().with_lease(short)))
        .await?
        .header()
        .unwrap()
        .revision();
    let (_watcher, mut stream) =
        client.watch("lease/short", Some(WatchOptions::new().with_start_revision(start + 1))).await?;
    assert_eq!(next(&mut stream).await?, ["delete lease/short"]);
    assert_eq!(client.lease_time_to_live(short, None).await?.ttl(), -1);
    Ok(())
}

async fn locks(client: &mut Client) -> Checked {
    let leases = [client.lease_grant(600, None).await?.id(), client.lease_grant(600, None).await?.id()];
    let options = leases.map(|lease| LockOptions::new().with_lease(lease));
    let [first, second] = options;
    let held = client.lock("held", Some(first)).await?;
    assert_eq!(held.key(), format!("held/{:x}", leases[0]).as_bytes());
    let mut other = client.clone();
    let waiting = tokio::spawn(async move { other.lock("held", Some(second)).await });
    while client.get("held/", Some(GetOptions::new().with_prefix().with_count_only())).await?.count() < 2 {}
    assert!(!waiting.is_finished());
    client.unlock(held.key()).await?;
    let held = waiting.await.expect("the task should live")?;
    assert_eq!(held.key(), format!("held/{:x}", leases[1]).as_bytes());
    client.unlock(held.key()).await?;
    Ok(())
}

async fn elections(client: &mut Client) -> Checked {
    refused(client.leader("election").await, "election: no leader");
    let lease = client.lease_grant(600, None).await?.id();
    let campaign = client.campaign("election", "first", lease).await?;
    let leader = campaign.leader().unwrap();
    assert_eq!((leader.name(), leader.lease()), (&b"election"[..], lease));
    let mut observer = client.observe("election").await?;
    assert_eq!(observer.message().await?.unwrap().kv().unwrap().value(), b"first");
    client.proclaim("again", Some(ProclaimOptions::new().with_leader(leader.clone()))).await?;
    assert_eq!(observer.message().await?.unwrap().kv().unwrap().value(), b"again");
    assert_eq!(client.leader("election").await?.kv().unwrap().value(), b"again");
    client.resign(Some(ResignOptions::new().with_leader(leader.clone()))).await?;
    refused(client.leader("election").await, "election: no leader");
    Ok(())
}

async fn maintenance(client: &mut Client) -> Checked {
    let status = client.status().await?;
    assert!(status.version().starts_with("3.") && status.leader() != 0 && status.db_size() > 0, "{status:?}");
    assert_eq!(client.member_list().await?.members().len(), 1);
    assert_eq!(client.hash_kv(0).await?.hash(), client.hash_kv(0).await?.hash());
    client.hash().await?;
    client.defragment().await?;
    let mut snapshot = client.snapshot().await?;
    let mut bytes = 0;
    while let Some(part) = snapshot.message().await? {
        bytes += part.blob().len();
    }
    // A SHA-256 ends it.
    assert!(bytes > 4096 && bytes % 512 == 32, "{bytes}");
    refused(client.move_leader(1).await, "etcdserver: bad leader transferee");
    Ok(())
}

/// The call must have been refused, in these words.
fn refused<T: std::fmt::Debug>(outcome: Result<T, Error>, words: &str) {
    match outcome {
        Err(Error::GRpcStatus(status)) => assert_eq!(status.message(), words),
        other => panic!("{other:?} should have been the error {words:?}"),
    }
}
