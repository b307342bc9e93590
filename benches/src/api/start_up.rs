//! A10: how long a server with a million keys takes from its start to its first answer.
//!
//! The keys were put one by one, so that etcd has made its snapshots on the way, and the server was asked to end. The pages are
//! in the system's cache, as after a restart of the program. The first answer is that of a get, which has to find its key.

use std::path::Path;
use std::time::Instant;

use super::calls::{GET, get};
use super::closed_loop::fill;
use super::connection::Connection;
use super::server::{Server, Side};
use super::turns::{Figure, Rounds, in_turn};
use super::{in_time, one_thread};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::report::{Goal, Row};

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let keys: u64 = gear.scale.pick(1_000_000, 10_000);
    in_turn(gear, "A10", |side| {
        let folder = folder()?;
        let server = Server::start(gear, side, folder.path())?;
        one_thread()?.block_on(in_time("filling", fill(server.port(), keys, keys)))?;
        server.stop()?;
        let round = move |_| {
            let seconds = start(gear, side, folder.path(), keys)?;
            let figure = Figure::new(format!("start with {keys} keys"), "s to the first answer", seconds);
            Ok(vec![figure.with_goal(Goal::TimesPeer(0.2))])
        };
        Ok(Box::new(round) as Rounds<'_>)
    })
}

fn start(gear: &Gear, side: Side, folder: &Path, keys: u64) -> Outcome<f64> {
    let begun = Instant::now();
    let server = Server::start(gear, side, folder)?;
    one_thread()?.block_on(in_time("the first answer", first_answer(&server, keys)))?;
    let seconds = begun.elapsed().as_secs_f64();
    server.stop()?;
    Ok(seconds)
}

async fn first_answer(server: &Server, keys: u64) -> Outcome {
    let answer = Connection::open(server.port()).await?.method(GET.path)?.call(get(keys - 1)?).await?;
    (GET.check)(keys - 1, &answer)
}
