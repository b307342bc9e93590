//! `watchful watchers`: who watches what, and how far behind.

mod live;

mod table;

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fmt;
use std::io::{self, IsTerminal as _};

use clap::Args;
use serde::Serialize;
use tonic::Status;
use watchful_wire::watchers::watcher::Standing;
use watchful_wire::watchers::{Watcher, WatchersRequest};

use crate::failure::Failure;
use crate::json::Base64;
use crate::output::Output;
use crate::server::Server;

/// How many are shown where nothing else is said.
const SHOWN: usize = 1000;

/// Show who watches what, who is behind, and what is queued for them
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
On a terminal it is a table that is made anew each second, as long as the terminal, those who are most behind first;
otherwise it is printed once.
  STANDING  synced: has everything; unsynced: is being given history; blocked: its outbox is full, it goes on when its
            client reads; future: waits for a revision that is still to come
  NEXT      the first revision that has not been queued for it
  LAG       how many revisions it has not been given
  QUEUED    the bytes that are queued for its stream
JSON, a line for each, in the server's order where --limit is left out:
  {\"peer\":\"127.0.0.1:4711\",\"stream\":3,\"watch_id\":0,\"key\":BASE64,\"range_end\":BASE64,\"standing\":\"synced\",
   \"next_revision\":10,\"lag_revisions\":0,\"queued_bytes\":0}
An etcd cannot tell this.")]
pub(crate) struct WatchersArgs {
    /// Print it once, on a terminal too
    #[arg(long)]
    once: bool,
    /// The most to show: those who are most behind; 1000 where this is left out, and all with --json
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

pub(crate) async fn run(args: &WatchersArgs, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    if out.json {
        return run_json(args.limit, server, out).await;
    }
    if args.once || !io::stdout().is_terminal() {
        let seen = Seen::now(args.limit.unwrap_or(SHOWN), server).await?;
        return out.bytes(table::table(&seen, None).as_bytes());
    }
    live::run(args.limit, server, out).await
}

async fn run_json(limit: Option<usize>, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    if let Some(limit) = limit {
        let seen = Seen::now(limit, server).await?;
        return seen.most_behind.iter().try_for_each(|watcher| out.object(&JsonWatcher::from(watcher)));
    }
    let mut printed = Ok(());
    let listed = list(server, |watcher| {
        if printed.is_ok() {
            printed = out.object(&JsonWatcher::from(&watcher));
        }
    });
    let listed = listed.await?;
    printed?;
    listed.map(drop).map_err(|status| server.failure(&status))
}

/// What the server says of the list as a whole.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Listed {
    pub(crate) revision: i64,
    pub(crate) compact_revision: i64,
}

/// Asks for all watchers, and gives them one by one: there may be a million.
pub(crate) async fn list(
    server: &Server,
    mut each: impl FnMut(Watcher),
) -> Result<Result<Listed, Status>, Failure> {
    let mut client = server.watchers();
    let mut parts = match server.in_time(client.list(WatchersRequest {})).await? {
        Ok(response) => response.into_inner(),
        Err(status) => return Ok(Err(status)),
    };
    let mut listed = Listed::default();
    loop {
        match server.in_time(parts.message()).await? {
            Ok(Some(part)) => {
                listed = Listed { revision: part.revision, compact_revision: part.compact_revision };
                part.watchers.into_iter().for_each(&mut each);
            }
            Ok(None) => return Ok(Ok(listed)),
            Err(status) => return Ok(Err(status)),
        }
    }
}

/// How many are in each standing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Standings {
    synced: u64,
    unsynced: u64,
    blocked: u64,
    future: u64,
}

impl Standings {
    pub(crate) fn count(&mut self, watcher: &Watcher) {
        let count = match watcher.standing() {
            Standing::Synced => &mut self.synced,
            Standing::Unsynced => &mut self.unsynced,
            Standing::Blocked => &mut self.blocked,
            Standing::Future => &mut self.future,
        };
        *count += 1;
    }

    fn total(&self) -> u64 {
        self.synced + self.unsynced + self.blocked + self.future
    }
}

impl fmt::Display for Standings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { synced, unsynced, blocked, future } = self;
        let total = self.total();
        write!(f, "{total}: {synced} synced, {unsynced} unsynced, {blocked} blocked, {future} future")
    }
}

/// All watchers counted, and those who are most behind.
pub(crate) struct Seen {
    listed: Listed,
    standings: Standings,
    most_behind: Vec<Watcher>,
}

impl Seen {
    async fn now(limit: usize, server: &Server) -> Result<Self, Failure> {
        let mut standings = Standings::default();
        let mut most_behind = MostBehind { limit, heap: BinaryHeap::new() };
        let listed = list(server, |watcher| {
            standings.count(&watcher);
            most_behind.push(watcher);
        });
        let listed = listed.await?.map_err(|status| server.failure(&status))?;
        Ok(Self { listed, standings, most_behind: most_behind.into_sorted() })
    }
}

/// Keeps so many of those who are most behind, whatever the number of all.
struct MostBehind {
    limit: usize,
    /// The least behind on top, to be the next to go.
    heap: BinaryHeap<Reverse<ByLag>>,
}

/// Ordered by lag, then by what is queued, then by an order that stays the same from one second to the next.
struct ByLag(Watcher);

impl ByLag {
    fn rank(&self) -> (i64, u64, Reverse<(u64, i64)>) {
        (self.0.lag_revisions, self.0.queued_bytes, Reverse((self.0.stream, self.0.watch_id)))
    }
}

impl Ord for ByLag {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for ByLag {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByLag {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ByLag {}

impl MostBehind {
    fn push(&mut self, watcher: Watcher) {
        self.heap.push(Reverse(ByLag(watcher)));
        if self.heap.len() > self.limit {
            self.heap.pop();
        }
    }

    fn into_sorted(self) -> Vec<Watcher> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse(ByLag(watcher))| watcher).collect()
    }
}

fn standing_name(watcher: &Watcher) -> &'static str {
    match watcher.standing() {
        Standing::Synced => "synced",
        Standing::Unsynced => "unsynced",
        Standing::Blocked => "blocked",
        Standing::Future => "future",
    }
}

#[derive(Serialize)]
struct JsonWatcher<'a> {
    peer: &'a str,
    stream: u64,
    watch_id: i64,
    key: Base64<'a>,
    range_end: Base64<'a>,
    standing: &'static str,
    next_revision: i64,
    lag_revisions: i64,
    queued_bytes: u64,
}

impl<'a> From<&'a Watcher> for JsonWatcher<'a> {
    fn from(watcher: &'a Watcher) -> Self {
        Self {
            peer: &watcher.peer,
            stream: watcher.stream,
            watch_id: watcher.watch_id,
            key: Base64(&watcher.key),
            range_end: Base64(&watcher.range_end),
            standing: standing_name(watcher),
            next_revision: watcher.next_revision,
            lag_revisions: watcher.lag_revisions,
            queued_bytes: watcher.queued_bytes,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::output::printed;

    pub(crate) fn watcher(stream: u64, key: &'static str, lag: i64, standing: Standing) -> Watcher {
        Watcher {
            peer: "127.0.0.1:4711".to_owned(),
            stream,
            watch_id: 0,
            key: key.into(),
            range_end: "".into(),
            standing: standing.into(),
            next_revision: 10 - lag,
            lag_revisions: lag,
            queued_bytes: 0,
        }
    }

    #[test]
    fn those_most_behind_are_kept() {
        let mut most = MostBehind { limit: 3, heap: BinaryHeap::new() };
        for (stream, lag) in [(1, 0), (2, 7), (3, 0), (4, 9), (5, 0), (6, 1)] {
            most.push(watcher(stream, "a", lag, Standing::Unsynced));
        }
        let kept: Vec<_> = most.into_sorted().iter().map(|watcher| watcher.stream).collect();
        assert_eq!(kept, [4, 2, 6]);
    }

    #[test]
    fn among_equals_the_oldest_stream_comes_first() {
        let mut most = MostBehind { limit: 2, heap: BinaryHeap::new() };
        (1..=9).for_each(|stream| most.push(watcher(stream, "a", 0, Standing::Synced)));
        let kept: Vec<_> = most.into_sorted().iter().map(|watcher| watcher.stream).collect();
        assert_eq!(kept, [1, 2]);
    }

    #[test]
    fn one_as_json() {
        let watcher = watcher(3, "a", 2, Standing::Blocked);
        assert_eq!(
            printed(true, |out| out.object(&JsonWatcher::from(&watcher))),
            "{\"peer\":\"127.0.0.1:4711\",\"stream\":3,\"watch_id\":0,\"key\":\"YQ==\",\"range_end\":\"\",\"standing\":\
             \"blocked\",\"next_revision\":8,\"lag_revisions\":2,\"queued_bytes\":0}\n"
        );
    }
}
