//! The table on a terminal, made anew each second.

use std::time::Duration;

use rustix::termios::tcgetwinsize;

use super::Seen;
use super::table::{Size, table};
use crate::failure::Failure;
use crate::output::Output;
use crate::server::Server;

const INTERVAL: Duration = Duration::from_secs(1);

/// To the top left corner; clear from there on. So that nothing flickers, the old is overwritten in one go.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
const CLEAR_ALL: &str = "\x1b[2J";

pub(super) async fn run(limit: Option<usize>, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    out.bytes(CLEAR_ALL.as_bytes())?;
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let size = size();
        let seen = Seen::now(limit.unwrap_or(usize::MAX).min(size.rows.into()), server).await?;
        out.bytes(frame(&table(&seen, Some(size))).as_bytes())?;
        out.flush()?;
    }
}

fn frame(table: &str) -> String {
    let lines = table.lines().map(|line| format!("{line}{CLEAR_LINE}\r\n"));
    format!("{HOME}{}{CLEAR_BELOW}", lines.collect::<String>())
}

/// It may change at any time. Where the terminal does not tell, it is as terminals used to be.
fn size() -> Size {
    match tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Size { columns: size.ws_col, rows: size.ws_row },
        _ => Size { columns: 80, rows: 24 },
    }
}
