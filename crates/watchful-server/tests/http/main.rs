//! What is not gRPC, over real sockets: health, version, metrics, and JSON. And what is large, over every kind of connection.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod support;

mod gateway;

mod auth;

mod health;

mod metrics;

mod streams;

mod large;

mod unread;
