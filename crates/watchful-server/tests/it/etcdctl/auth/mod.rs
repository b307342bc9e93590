//! `user`, `role`, `auth` and `--user`: the same session with a real etcd and with Watchful, word for word; and then where
//! Watchful refuses what etcd 3.4.23 lets through.

mod managing;

mod keys;

mod watches;

mod upkeep;

mod tokens;

use crate::support::{Etcdctl, Server, Session};

/// Hashes that cost little: many are made.
const CHEAP: &[&str] = &["--bcrypt-cost", "4"];

fn session(server: &Server) -> Option<Session> {
    Some(Session::new(server, Etcdctl::of(server)?))
}

/// Plays a session with the server under test and with an etcd, and expects the same transcript. Answers with it.
fn same_as_etcd(play: fn(&mut Session)) -> Option<String> {
    same_as_etcd_with(CHEAP, play)
}

/// The same, with both started with these arguments.
fn same_as_etcd_with(arguments: &[&str], play: fn(&mut Session)) -> Option<String> {
    let (server, etcd) = (Server::start_with(arguments), Server::etcd_with(arguments)?);
    let [ours, theirs] = [&server, &etcd].map(|server| {
        let mut session = session(server)?;
        play(&mut session);
        Some(session.transcript())
    });
    let (ours, theirs) = (ours?, theirs?);
    assert_eq!(ours, theirs, "the sessions differ");
    Some(ours)
}

/// Root, and alice who may read `a`, write the keys of `app/`, do both with those from `b` up to `d`, and read from `z` on;
/// bob may read and write `app/`.
fn people(session: &mut Session) {
    for command in [
        "user add root:secret",
        "user add alice:a",
        "user add bob --new-user-password b:with:colons",
        "role add reader",
        "role grant-permission reader read a",
        "role grant-permission reader readwrite b d",
        "role grant-permission reader --prefix=true write app/",
        "role grant-permission reader --from-key=true read z",
        "role add app",
        "role grant-permission app readwrite app/ --prefix",
        "user grant-role alice reader",
        "user grant-role bob app",
        "auth enable",
    ] {
        let said = session.run(command);
        assert!(said.ends_with("[0]\n"), "{command}: {said}");
    }
}
