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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;
    use std::time::Duration;

    /// The variable can be set for a process that begins only, so the test starts itself once more, which then tells.
    #[test]
    fn the_service_manager_is_told() {
        if std::env::var_os("NOTIFY_SOCKET").is_some() {
            super::ready("clients are served on http://127.0.0.1:2379");
            super::stopping();
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let name = "ready::tests::the_service_manager_is_told";
        let told = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env("NOTIFY_SOCKET", &path)
            .output()
            .unwrap();
        assert!(told.status.success(), "{told:?}");
        assert_eq!(heard(&socket), "READY=1\nSTATUS=clients are served on http://127.0.0.1:2379\n");
        assert_eq!(heard(&socket), "STOPPING=1\nSTATUS=finishing what was accepted\n");
    }

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 512];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }
}
