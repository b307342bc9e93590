//! Clients that mean harm, mixed by seed, against a server that is a process of its own; and one beside them that means well.
//!
//! What has to hold: the bystander's puts are answered and its watch has no gap, the server's memory stays below a bound,
//! nobody writes what they may not, and once the attackers are gone so is all that they had open.

mod server;

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::{JoinSet, spawn_blocking};
use tonic::transport::Endpoint;
use watchful_clients::attacks::{ALL, ASKED_AFTERWARDS, Attack, Target, UNENDED, UNREAD, deaf_connections};
use watchful_clients::{Bystander, Noticed, Tokens, all_are_let_go, forbidden_keys, own_memory, people};
use watchful_testkit::SplitMix64;

use crate::trials::{Outcome, Round};
use server::Server;

/// How many attack at once.
const ATTACKERS: u64 = 5;

/// How long they go on.
const TIME: Duration = Duration::from_secs(2);

/// What each of them may have open at once: a part of a crowd of this size.
const CROWDS: [usize; 3] = [50, 200, 800];

/// What the server may take on top of what it took before for all that is open at once: connections, calls, watches, windows.
const OPEN_BYTES_MAX: u64 = 64 << 20;

/// What it keeps of the answers that one connection does not read, or of the requests that it does not end (128 MiB, in buffers
/// that grow by doubling), and of all such together before each has its share.
const UNREAD_BYTES_MAX: u64 = 64 << 20;
const UNENDED_BYTES_MAX: u64 = 256 << 20;
const ALL_KEPT_BYTES_MAX: u64 = 512 << 20;

/// What such a connection costs beside: its share, an outbox, and the reads under way, which are counted once they are made.
const BESIDE_KEPT_BYTES_MAX: u64 = 32 << 20;

/// What it may take on top of what it took before, whoever attacks, and however many.
const GROWTH_BYTES_MAX: u64 = 1 << 30;

/// The longest that the bystander may wait for a put. A machine that others use too was seen to stand still for eleven seconds.
const SLOWEST_PUT: Duration = Duration::from_secs(30);

pub(crate) fn round(round: &mut Round<'_>) -> Outcome {
    Runtime::new()?.block_on(mix(round))
}

async fn mix(round: &mut Round<'_>) -> Outcome {
    let server = Server::start(round.dir)?;
    let channel = Endpoint::from_shared(format!("http://{}", server.plain))?.connect().await?;
    let tokens = people(&channel).await?;
    let attackers = attackers(&mut round.rng, &server, &tokens);
    let allowed = growth_bytes_max(&attackers);
    let names: Vec<&str> = attackers.iter().map(|(attack, ..)| attack.name).collect();
    let bystander = Bystander::start(channel.clone(), tokens.good.clone()).await?;
    let before = own_memory(server.process_id());
    let (done, most) = attack(attackers, &server).await?;
    let noticed = bystander.stop().await.map_err(|why| format!("the bystander, beside {names:?}: {why}"))?;
    for (name, done) in done {
        round.tally.add(name, done);
    }
    round.tally.add("puts of a bystander", noticed.puts);
    let grown = most.saturating_sub(before);
    round.tally.raise("MiB more at most", grown >> 20);
    judge(&noticed, grown, allowed).map_err(|why| format!("beside {names:?}: {why}"))?;
    let forbidden = forbidden_keys(&channel, &tokens).await?;
    if !forbidden.is_empty() {
        return Err(format!("{names:?} wrote what they may not: {forbidden:?}").into());
    }
    let plain = server.plain;
    spawn_blocking(move || all_are_let_go(plain)).await??;
    Ok(())
}

/// Some of the attacks, each of them with or without a token, and of some size.
fn attackers(
    random: &mut SplitMix64,
    server: &Server,
    tokens: &Tokens,
) -> Vec<(&'static Attack, Target, SplitMix64)> {
    let one = |random: &mut SplitMix64| {
        let attack = one_of(ALL, random);
        let token = (random.below(4) > 0).then(|| tokens.mallory.clone());
        let many = *one_of(&CROWDS, random);
        let target = Target { plain: server.plain, tls: Some(server.tls), token, time: TIME, many };
        (attack, target, SplitMix64::new(random.next_u64()))
    };
    (0..ATTACKERS).map(|_| one(random)).collect()
}

fn one_of<'a, T>(all: &'a [T], random: &mut SplitMix64) -> &'a T {
    let at = usize::try_from(random.below(all.len() as u64)).unwrap_or_default();
    &all[at]
}

/// What was done, and the most memory that the server had meanwhile.
async fn attack(
    attackers: Vec<(&'static Attack, Target, SplitMix64)>,
    server: &Server,
) -> Outcome<(Vec<(&'static str, u64)>, u64)> {
    let mut attacking = JoinSet::new();
    for (attack, target, mut random) in attackers {
        attacking.spawn_blocking(move || (attack.name, (attack.run)(&target, &mut random)));
    }
    let (mut done, mut most) = (Vec::new(), 0);
    let mut look = tokio::time::interval(Duration::from_millis(20));
    loop {
        tokio::select! {
            ended = attacking.join_next() => match ended {
                Some(ended) => done.push(ended?),
                None => return Ok((done, most)),
            },
            _ = look.tick() => most = most.max(own_memory(server.process_id())),
        }
    }
}

/// What the server promises to those who attack: so much for each connection that does not read its answers, or end its
/// requests.
fn growth_bytes_max(attackers: &[(&'static Attack, Target, SplitMix64)]) -> u64 {
    let keeps = |(attack, target, _): &(&Attack, Target, SplitMix64)| match attack.name {
        UNREAD => (deaf_connections(target) as u64, UNREAD_BYTES_MAX),
        ASKED_AFTERWARDS => (1, UNREAD_BYTES_MAX),
        UNENDED => (1, UNENDED_BYTES_MAX),
        _ => (0, 0),
    };
    let kept: u64 = attackers.iter().map(keeps).map(|(connections, bytes)| connections * bytes).sum();
    let connections: u64 = attackers.iter().map(keeps).map(|(connections, _)| connections).sum();
    let kept = kept.min(ALL_KEPT_BYTES_MAX);
    (OPEN_BYTES_MAX + kept + connections * BESIDE_KEPT_BYTES_MAX).min(GROWTH_BYTES_MAX)
}

fn judge(noticed: &Noticed, grown_bytes: u64, allowed_bytes: u64) -> Result<(), String> {
    if grown_bytes > allowed_bytes {
        let (grown, allowed) = (grown_bytes >> 20, allowed_bytes >> 20);
        return Err(format!("the server grew by {grown} MiB, and may by {allowed}"));
    }
    if noticed.slowest_put > SLOWEST_PUT || noticed.puts == 0 {
        return Err(format!("the bystander was held up: {noticed:?}"));
    }
    Ok(())
}
