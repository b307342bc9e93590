//! Telling the service manager how far the server is: systemd's protocol, which others speak too.
//!
//! Where nobody asked to be told (no `NOTIFY_SOCKET`), nothing happens.

use sd_notify::NotifyState;

/// Tells that clients are served, and where.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Tells that the server is shutting down.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("finishing what was accepted")]);
}

fn tell(states: &[NotifyState<'_>]) {
    // The variable stays set: to take it away would race with other threads that read the environment.
    if let Err(error) = sd_notify::notify(false, states) {
        tracing::warn!(%error, "cannot tell the service manager; with Type=notify it will take the start for failed");
    }
}
