//! `/metrics`: everything that is counted, in Prometheus' text format.
//!
//! Nothing is registered: a page is written from what the store, the services and the process say at that moment, so a
//! server that nobody scrapes pays for its counters only. Names are etcd's where the meaning is etcd's, and begin with
//! `watchful_` where it is ours.
//!
//! # Invariants
//!
//! - **A scrape never hangs.** What has to be asked of the store's driver is left out of a page that it did not answer
//!   in time.
//! - The lines of a page are bounded: no label has a value that a client chose.

mod calls;

mod page;

mod process;

mod server;

mod store;

pub use calls::{Calls, Kind, Method, MethodId};

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::registry::Registry;
use watchful::{Gauges, Stats};

use crate::state::Shared;
use page::Page;
use process::Process;

/// The format's name.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long the driver is waited for. Its rounds take milliseconds; one that takes longer is not to be held up further.
const DRIVER_TIMEOUT: Duration = Duration::from_secs(2);

/// What one page is written from.
#[derive(Debug)]
struct Scrape {
    shared: Arc<Shared>,
    stats: Stats,
    gauges: Option<Gauges>,
    process: Option<Process>,
}

/// A page, as of now.
///
/// # Errors
///
/// Where a metric cannot be written, which is a bug.
pub(crate) async fn page(shared: &Arc<Shared>) -> Result<String, std::fmt::Error> {
    let gauges = tokio::time::timeout(DRIVER_TIMEOUT, shared.store.watch_gauges()).await;
    // Thousands of open files are thousands of names to read.
    let process = tokio::task::spawn_blocking(Process::read).await;
    let scrape = Scrape {
        shared: Arc::clone(shared),
        stats: shared.store.stats(),
        gauges: gauges.ok().and_then(Result::ok),
        process: process.ok().flatten(),
    };
    let mut registry = Registry::default();
    registry.register_collector(Box::new(scrape));
    let mut text = String::new();
    encode_registry(&mut text, &registry)?;
    Ok(text)
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut page = Page::new(encoder);
        server::write(&mut page, &self.shared)?;
        server::write_calls(&mut page, &self.shared.counts.calls)?;
        store::write(&mut page, &self.stats)?;
        store::write_counts(&mut page, &self.shared.counts)?;
        page.gauge(
            "watchful_watch_encoded_bytes",
            "What encodings of batches take up that are still on their way.",
            self.shared.encoded.used_bytes(),
        )?;
        self.gauges.as_ref().map_or(Ok(()), |gauges| store::write_watches(&mut page, gauges))?;
        self.process.as_ref().map_or(Ok(()), |process| process::write(&mut page, process))
    }
}
