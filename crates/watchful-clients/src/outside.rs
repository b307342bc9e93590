//! What a server shows from outside, while it is attacked and after.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::PATIENCE;

/// The bytes of a process's memory that are not a file's: the store's file is mapped, and its pages are nobody's cost.
///
/// # Panics
///
/// When there is no such process any more.
#[must_use]
pub fn own_memory(process_id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process_id}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux tells RssAnon");
    let kilobytes = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kilobytes");
    kilobytes << 10
}

/// Waits until whatever the attackers had open is closed again: until only the bystander is left, and the one that asks.
///
/// # Errors
///
/// When it does not come to that.
pub fn all_are_let_go(address: SocketAddr) -> Result<(), String> {
    let until = Instant::now() + PATIENCE;
    loop {
        let connections = gauge(address, "watchful_connections").ok_or("no such gauge")?;
        let streams = gauge(address, "etcd_debugging_mvcc_watch_stream_total").ok_or("no such gauge")?;
        if connections <= 2.0 && streams <= 1.0 {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!("{connections} connections and {streams} watch streams are still open"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What `/metrics` says of one gauge.
fn gauge(address: SocketAddr, name: &str) -> Option<f64> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).ok()?;
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}
