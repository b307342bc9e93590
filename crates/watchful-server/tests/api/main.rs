//! The services, called in this process over a real socket: what clients rely on, and what a slow one costs.

mod kv;

mod watch;

mod leases;

mod upkeep;

mod support;
