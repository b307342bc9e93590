//! Every request that the server accepts, one after the other: gRPC and JSON, right, nearly right and of any bytes.
//!
//! The services are the real ones, on a store in a folder of its own, behind the door that connections come through; only the
//! sockets are missing. In a quarter of all inputs there are users from the start, auth is on, and calls are theirs: by calls at
//! random it is hardly ever turned on. Calls that wait (watches, locks, elections) go on while others come, and are given up at the end.
//!
//! # What has to hold
//!
//! - Nobody panics, every call that does not wait is answered, and every answer can be read.
//! - A message that can be read is never answered with an internal error.
//! - What JSON says of a range is what gRPC says of it.
//! - Revisions do not go back; at the end the folder is whole, and of nobody who was there is anything left.

mod calls;

mod messages;

mod door;

mod users;

use arbitrary::{Result, Unstructured};

use crate::input::many;
use calls::Call;
use door::Door;

/// The most calls.
const CALLS_MAX: usize = 30;

pub(crate) fn run(input: &[u8]) {
    let mut u = Unstructured::new(input);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut door = Door::open();
        if u.arbitrary::<u8>().is_ok_and(|byte| byte % 4 == 1) {
            users::come(&mut door).await;
        }
        for seed in many(&mut u, CALLS_MAX, piece) {
            let Ok(call) = Call::arbitrary(&mut Unstructured::new(&seed), &door.seen) else { continue };
            door.take(call).await;
        }
        door.close().await;
    });
}

/// Each call has bytes of its own, so that a change to one leaves the others as they were.
fn piece(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let len = usize::from(u.arbitrary::<u8>()?).min(u.len());
    Ok(u.bytes(len)?.to_vec())
}
