//! A client certificate's common name as the user, with `--client-cert-auth`.

use crate::support::{Authority, Etcdctl, Server, Session, peer};

/// A server that takes clients with a certificate only, and its authority.
fn server(
    folder: &std::path::Path,
    start: impl Fn(&[&str]) -> Option<Server>,
) -> Option<(Server, Authority)> {
    let authority = Authority::new(folder);
    let own = authority.issue("server");
    let server = start(&[
        "--bcrypt-cost=4",
        "--client-cert-auth",
        "--trusted-ca-file",
        &authority.file(),
        "--cert-file",
        &own.certificate,
        "--key-file",
        &own.key,
    ])?;
    Some((server, authority))
}

/// Plays the session with certificates for root, alice, and somebody who is no user.
fn play(server: &Server, authority: &Authority) -> Option<String> {
    let mut session = Session::new(server, Etcdctl::of(server)?);
    let mut by = |name: &str, command: &str| {
        let files = authority.issue(name);
        let flags = format!("--cacert {} --cert {} --key {}", authority.file(), files.certificate, files.key);
        session.rename(&flags, &format!("(certificate of {name})"));
        session.run(&format!("{flags} {command}"))
    };
    for command in [
        "user add root --no-password",
        "user add alice --no-password",
        "user add bob:b",
        "role add reader",
        "role grant-permission reader readwrite a",
        "user grant-role alice reader",
        "role add other",
        "role grant-permission other readwrite b",
        "user grant-role bob other",
    ] {
        by("alice", command);
    }
    by("alice", "auth enable");
    for command in ["put a 1", "get a", "get b", "user list", "user get alice", "watch b", "auth disable"] {
        by("alice", command);
    }
    // A login counts more than the certificate.
    by("alice", "--user bob:b put b 2");
    by("alice", "--user bob:b get a");
    by("alice", "--user bob:wrong get a");
    by("stranger", "get a");
    by("stranger", "user list");
    by("root", "user list");
    by("root", "get b");
    by("root", "user delete alice");
    by("alice", "get a");
    by("root", "auth disable");
    by("stranger", "get a");
    Some(session.transcript())
}

#[test]
fn the_common_name_is_the_user() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let Some((etcd, theirs)) = server(folders[0].path(), Server::etcd_with) else { return };
    let (ours, authority) = server(folders[1].path(), |flags| Some(Server::start_with(flags))).unwrap();
    let (Some(told), Some(expected)) = (play(&ours, &authority), play(&etcd, &theirs)) else { return };
    assert_eq!(told, expected, "the sessions differ");
    for line in [
        "(certificate of alice) put a 1\nOK\n[0]",
        "(certificate of alice) get b\nError: etcdserver: permission denied\n[1]",
        "(certificate of alice) --user bob:b put b 2\nOK\n[0]",
        "(certificate of root) user list\nalice\nbob\nroot\n[0]",
        "(certificate of stranger) get a\na\n1\n[0]",
    ] {
        assert!(told.contains(line), "{line:?} should be in {told}");
    }
}

/// JSON that comes through the gateway has the certificate of the connection, but no user by it: as in etcd.
#[test]
fn a_certificate_is_no_user_for_json() {
    let folder = tempfile::tempdir().unwrap();
    let (server, authority) = server(folder.path(), |flags| Some(Server::start_with(flags))).unwrap();
    let Some(curl) = peer("curl") else { return };
    if play_enable(&server, &authority).is_none() {
        return;
    }
    let files = authority.issue("root");
    let output = std::process::Command::new(curl)
        .args(["--silent", "--cacert", &authority.file(), "--cert", &files.certificate, "--key", &files.key])
        .args(["--data", r#"{"key": "YQ=="}"#, &format!("{}/v3/kv/range", server.endpoint())])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let refusals =
        ["etcdserver: user name is empty", "CommonName of client sending a request against gateway"];
    assert!(refusals.iter().any(|refusal| said.contains(refusal)), "{said} {:?}", output.stderr);
}

/// Makes root and turns auth on.
fn play_enable(server: &Server, authority: &Authority) -> Option<()> {
    let files = authority.issue("root");
    let etcdctl = Etcdctl::of(server)?;
    let flags = ["--cacert", &authority.file(), "--cert", &files.certificate, "--key", &files.key];
    etcdctl.ok(&[&flags[..], &["user", "add", "root", "--no-password"]].concat());
    etcdctl.ok(&[&flags[..], &["auth", "enable"]].concat());
    Some(())
}
