//! lease grant, ttl, list, keep-alive and revoke.

use crate::support::{Going, Server};

#[test]
fn leases_are_granted_looked_at_and_revoked() {
    Server::start().check(
        "
$ lease grant 600 --id 1f
lease 000000000000001f granted with TTL(600s)
$ lease list
000000000000001f
$ put a 1 --lease 1f
OK
$ get a --json
{\"key\":\"YQ==\",\"value\":\"MQ==\",\"create_revision\":2,\"mod_revision\":2,\"version\":1,\"lease\":\"000000000000001f\"}
{\"revision\":2,\"count\":1,\"more\":false}
$ lease keep-alive 1f --once
lease 000000000000001f kept alive with TTL(600s)
$ lease keep-alive 1f --once --json
{\"revision\":2,\"lease\":\"000000000000001f\",\"ttl\":600}
$ lease list --json
{\"lease\":\"000000000000001f\"}
$ lease grant 600 --id 1f
[1] error: etcdserver: lease already exists
$ lease revoke 1f
lease 000000000000001f revoked
$ get a
$ lease list
$ lease ttl 1f
lease 000000000000001f is not there: it has expired, or was revoked
$ lease keep-alive 1f --once
[1] error: lease 000000000000001f is not there: it has expired, or was revoked
$ lease revoke 1f
[1] error: etcdserver: requested lease not found: `watchful lease list` shows those there are
$ put a 1 --lease 1f
[1] error: etcdserver: requested lease not found: `watchful lease list` shows those there are
$ lease grant 600 --id 2f --json
{\"revision\":3,\"lease\":\"000000000000002f\",\"ttl\":600}
$ lease revoke 2f --json
{\"revision\":3,\"lease\":\"000000000000002f\"}
",
    );
}

#[test]
fn how_long_a_lease_lasts_is_told() {
    let server = Server::start();
    server.run(&["lease", "grant", "600", "--id", "1f"]);
    server.run(&["put", "a", "1", "--lease", "1f"]);
    let text = server.run(&["lease", "ttl", "1f", "--keys"]);
    let (first, keys) = text.split_once('\n').unwrap();
    assert!(first.starts_with("lease 000000000000001f granted with TTL(600s), remaining("), "{first}");
    assert_eq!(keys, "a\n");
    let json: serde_json::Value =
        serde_json::from_str(&server.run(&["lease", "ttl", "1f", "--keys", "--json"])).unwrap();
    assert_eq!((&json["granted_ttl"], &json["keys"][0]), (&600.into(), &"YQ==".into()));
    assert!((500..=600).contains(&json["ttl"].as_i64().unwrap()), "{json}");
}

#[test]
fn a_lease_is_kept_alive_until_it_is_revoked() {
    let server = Server::start();
    server.run(&["lease", "grant", "2", "--id", "1f"]);
    let going = Going::new(server.command(&["lease", "keep-alive", "1f"]));
    // Longer than it lasts by itself.
    for _ in 0..5 {
        assert!(going.line().starts_with("lease 000000000000001f kept alive with TTL("));
    }
    server.run(&["lease", "revoke", "1f"]);
    let (status, _, stderr) = going.end();
    assert_eq!(status.code(), Some(1));
    assert!(stderr.contains("is not there: it has expired, or was revoked"), "{stderr}");
}
