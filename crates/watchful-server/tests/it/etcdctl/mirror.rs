//! `make-mirror`: from us to an etcd, and from an etcd to us.

use crate::support::{Etcdctl, Server};

#[test]
fn an_etcd_mirrors_us() {
    let Some(etcd) = Server::etcd() else { return };
    mirrors(&Server::watchful(), &etcd);
}

#[test]
fn we_mirror_an_etcd() {
    let Some(etcd) = Server::etcd() else { return };
    mirrors(&etcd, &Server::watchful());
}

/// What was there and what comes is copied; what goes, goes.
fn mirrors(from: &Server, to: &Server) {
    let (Some(source), Some(copy)) = (Etcdctl::of(from), Etcdctl::of(to)) else { return };
    // More than one page of what the mirror reads at a time.
    for start in (0..1200).step_by(100) {
        let puts: String = (start..start + 100).map(|at| format!("put key{at:04} {at}\n")).collect();
        source.ok_with(&["txn"], &format!("\n{puts}\n\n"));
    }
    copy.ok(&["put", "own", "stays"]);
    let _mirror = source.start(&["make-mirror", &to.authority()]);
    let mut arrivals = copy.start(&["watch", "--prefix", "", "--rev=1"]);
    arrivals.expect_line("key1199");
    // Whatever comes after the first copy comes in order, so this is there when the last of it is.
    source.ok(&["put", "key0000", "changed"]);
    source.ok(&["del", "key0001"]);
    source.ok_with(&["txn"], "\nput both1 x\nput both2 y\n\n\n");
    source.ok(&["put", "last", "1"]);
    arrivals.expect_line("last");
    assert_eq!(copy.ok(&["get", "key0000"]), "key0000\nchanged\n");
    assert_eq!(copy.ok(&["get", "key0001"]), "");
    assert_eq!(copy.ok(&["get", "--prefix", "both"]), "both1\nx\nboth2\ny\n");
    copy.ok(&["del", "own"]);
    assert_eq!(copy.ok(&["get", "--prefix", ""]), source.ok(&["get", "--prefix", ""]));
}

#[test]
fn a_mirror_can_move_a_prefix() {
    let (from, to) = (Server::start(), Server::start());
    let (Some(source), Some(copy)) = (Etcdctl::of(&from), Etcdctl::of(&to)) else { return };
    source.ok(&["put", "app/1", "x"]);
    source.ok(&["put", "other", "y"]);
    let arguments = ["make-mirror", "--prefix=app/", "--dest-prefix=copy/", &to.authority()];
    let _mirror = source.start(&arguments);
    let mut arrivals = copy.start(&["watch", "--prefix", "", "--rev=1"]);
    arrivals.expect_next(&["PUT", "copy/1", "x"]);
    source.ok(&["put", "app/2", "z"]);
    arrivals.expect_next(&["PUT", "copy/2", "z"]);
    assert_eq!(copy.ok(&["get", "--prefix", "", "--keys-only"]).split_whitespace().count(), 2);
}
