//! What is not gRPC, over real sockets: health, version, metrics, and JSON.

mod support;

mod gateway;

mod health;

mod metrics;

mod streams;
