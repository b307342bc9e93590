//! One attack after the other, each against a server of its own, with a client beside that means well: the memory stays
//! bounded, what was opened is closed again, nobody writes what they may not, and the bystander's puts and watch go on. The
//! trial `hostile` of `cargo xtask stress` mixes them by seed.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::{block_in_place, spawn_blocking};
use watchful_clients::attacks::{ALL, Target};
use watchful_clients::{Bystander, all_are_let_go, forbidden_keys, own_memory, people};
use watchful_testkit::SplitMix64;

use crate::support::{Server, connect};

/// The longest that the bystander may wait for a put. A machine that others use too was seen to stand still for eleven seconds.
const SLOWEST_PUT: Duration = Duration::from_secs(30);

/// What an attack may have the server take: what is buffered for each connection and stream, at the size below.
const GROWTH_BYTES_MAX: u64 = 64 << 20;

/// The attack of that name, at a size for every test run.
async fn check(name: &str) {
    check_with(name, 200, GROWTH_BYTES_MAX).await;
}

async fn check_with(name: &str, many: usize, growth_bytes_max: u64) {
    let attack = ALL.iter().find(|attack| attack.name == name).expect("there is such an attack");
    let server = Server::watchful_with(&["--bcrypt-cost=4", "--log-level=error"]);
    let channel = connect(&server.endpoint()).await;
    let tokens = people(&channel).await.unwrap();
    let address: SocketAddr = server.authority().parse().unwrap();
    let target = Target {
        plain: address,
        tls: None,
        token: Some(tokens.mallory.clone()),
        time: Duration::from_secs(2),
        many,
    };
    let bystander = Bystander::start(channel.clone(), tokens.good.clone()).await.unwrap();
    let before = own_memory(server.process_id());
    let attacking = spawn_blocking(move || (attack.run)(&target, &mut SplitMix64::new(1)));
    let mut most = before;
    while !attacking.is_finished() {
        most = most.max(own_memory(server.process_id()));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let done = attacking.await.unwrap();
    let noticed = bystander.stop().await.unwrap();
    let grown = most.saturating_sub(before);
    println!("{name}: {done} times; {} MiB more at most; {noticed:?}", grown >> 20);
    assert!(done > 0 && noticed.puts > 0, "nothing was done");
    assert!(grown <= growth_bytes_max, "the server grew by {} MiB", grown >> 20);
    assert!(noticed.slowest_put <= SLOWEST_PUT, "{noticed:?}");
    assert_eq!(forbidden_keys(&channel, &tokens).await.unwrap(), Vec::<Vec<u8>>::new());
    block_in_place(|| all_are_let_go(address)).unwrap();
}

macro_rules! attacks {
    ($($test:ident: $name:literal;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                check($name).await;
            }
        )*

        #[test]
        fn every_attack_has_its_test() {
            // The last three by `tests/http/unread.rs`, where their bounds can be seen byte by byte.
            let elsewhere = [
                "handshakes a byte at a time",
                "messages that are never ended",
                "answers that nobody reads",
                "calls begun first and asked afterwards",
            ];
            let tested = [&[$($name,)*][..], &elsewhere].concat();
            assert!(ALL.iter().all(|attack| tested.contains(&attack.name)), "one is not tried here");
        }
    };
}

attacks! {
    who_says_nothing_holds_nobody_up: "connections that say nothing";
    who_speaks_slowly_holds_nobody_up: "first words a byte at a time";
    rubbish_is_refused: "rubbish in place of a protocol";
    calls_that_are_reset_cost_little: "calls begun and reset";
    calls_that_have_to_be_reset_cost_little: "calls that the server has to reset";
    headers_without_an_end_cost_little: "headers without an end";
    headers_that_unfold_cost_little: "headers that unfold";
    settings_and_pings_cost_little: "settings and pings without an end";
    frames_that_make_no_sense_are_refused: "frames that make no sense";
    calls_that_are_never_ended_cost_little: "calls that are never ended";
    watches_without_an_end_cost_little: "watches, and no end of them";
    messages_that_are_none_are_refused: "messages that are no messages";
    messages_that_are_too_large_are_refused: "messages larger than may be";
    json_that_is_none_is_refused: "JSON that is deep, long or cut short";
    wrong_secrets_get_nothing: "tokens and passwords that are wrong";
}
