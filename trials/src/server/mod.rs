//! kill -9 of the program `watchful` under a load of gRPC: every call and answer of its clients is written down, and the
//! history must be one that a store could have had, one call at a time, whoever was killed in between. Watches go on from
//! what they had, and leases are there with their time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use watchful_harness::PATIENCE;
use watchful_harness::linear::{Book, Done};
use watchful_testkit::{SplitMix64, linear};

use crate::trials::{Outcome, Round};
use process::Server;
use watching::Following;

pub(crate) mod process;

mod client;

mod words;

mod watching;

pub(crate) fn round(round: &mut Round<'_>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let plan = Plan {
        kills: 2 + round.rng.below(5),
        clients: 2 + round.rng.below(9),
        answers: 20 + round.rng.below(200),
    };
    let mut server = Server::start(&round.dir.join("data"))?;
    let done = runtime.block_on(plan.run(&mut server, &mut round.rng))?;
    round.tally.add("kills", plan.kills);
    super::linear::count(round.tally, done.calls);
    round.tally.add("watches resumed", done.resumed);
    round.tally.add("leases", done.leases);
    Ok(())
}

struct Plan {
    kills: u64,
    clients: u64,
    /// How many answers come between two kills, about.
    answers: u64,
}

struct Counts {
    calls: Done,
    resumed: u64,
    leases: u64,
}

/// What all clients of a round share.
pub(crate) struct Shared {
    pub(crate) endpoint: String,
    pub(crate) book: Book,
    pub(crate) answered: AtomicU64,
    pub(crate) kills: Kills,
    /// Turned once everybody is to come to an end: to the last revision that is wanted.
    pub(crate) end: watch::Receiver<Option<u64>>,
}

/// How often the server has been killed. A connection may break for a kill that was begun and not over when it was made.
#[derive(Default)]
pub(crate) struct Kills {
    pub(crate) begun: AtomicU64,
    pub(crate) over: AtomicU64,
}

impl Plan {
    async fn run(&self, server: &mut Server, rng: &mut SplitMix64) -> Outcome<Counts> {
        let (end, ended) = watch::channel(None);
        let shared = Arc::new(Shared {
            endpoint: server.endpoint(),
            book: Book::default(),
            answered: AtomicU64::new(0),
            kills: Kills::default(),
            end: ended,
        });
        let mut clients = JoinSet::new();
        for client in 0..self.clients {
            clients.spawn(client::work(Arc::clone(&shared), client, rng.split()));
        }
        let leaser = tokio::spawn(client::grant_leases(Arc::clone(&shared)));
        let specs =
            [watching::everything(), watching::everything(), watching::some(rng), watching::some(rng)];
        let followers: Vec<_> =
            specs.map(|spec| tokio::spawn(Following::follow(Arc::clone(&shared), spec))).into();
        for _ in 0..self.kills {
            let goal = shared.answered.load(Ordering::SeqCst) + 1 + rng.below(self.answers);
            get_on(&shared, &mut clients, goal).await?;
            tokio::time::sleep(Duration::from_micros(rng.below(5_000))).await;
            shared.kills.begun.fetch_add(1, Ordering::SeqCst);
            server.kill()?;
            shared.kills.over.fetch_add(1, Ordering::SeqCst);
            server.start_again()?;
        }
        let goal = shared.answered.load(Ordering::SeqCst) + self.answers;
        get_on(&shared, &mut clients, goal).await?;
        // Revision 0 of the end: those who write stop, and then it is known which revision is the last.
        end.send(Some(0))?;
        while let Some(client) = timeout(PATIENCE, clients.join_next()).await? {
            client??;
        }
        let granted = timeout(PATIENCE, leaser).await???;
        let (last, events) = watching::history(&shared).await?;
        end.send(Some(last))?;
        let mut followed = Vec::new();
        for follower in followers {
            followed.push(
                timeout(PATIENCE, follower).await.map_err(|_| "a watch does not come to the end")???,
            );
        }
        client::check_leases(&shared, &granted).await?;
        let shared = Arc::into_inner(shared).ok_or("somebody goes on")?;
        let calls = shared.book.into_calls();
        let model = linear::check(&calls, &events)?;
        assert_eq!(model.current_revision(), last, "the store's newest revision");
        let mut resumed = 0;
        for following in followed {
            resumed += following.check(&model, &events, self.kills)?;
        }
        Ok(Counts { calls: Done::of(&calls, last), resumed, leases: granted.len() as u64 })
    }
}

type Clients = JoinSet<Result<(), String>>;

/// Waits for so many answers in all. None of the clients may go before it is told to: it has met what must not be.
async fn get_on(shared: &Shared, clients: &mut Clients, goal: u64) -> Outcome {
    let got_on = async {
        while shared.answered.load(Ordering::SeqCst) < goal {
            if let Some(gone) = clients.try_join_next() {
                gone??;
            }
            // Answers come in their own time.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    };
    timeout(PATIENCE, got_on).await.map_err(|_| "the clients do not get on")?
}
