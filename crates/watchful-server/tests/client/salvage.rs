//! A store whose file is damaged: what the check says, and what is saved.

use std::fs;
use std::path::Path;

use crate::support::{Server, check_in};

/// A server that did all this and was killed, with what damages its file done to that.
fn scene(commands: &[&str], damage: impl FnOnce(&mut Vec<u8>)) -> Server {
    let mut server = Server::start();
    for command in commands {
        server.run(&command.split(' ').collect::<Vec<_>>());
    }
    server.kill();
    let file = server.dir().join("data/data.mdb");
    let mut bytes = fs::read(&file).unwrap();
    damage(&mut bytes);
    fs::write(&file, bytes).unwrap();
    server
}

/// Changes a byte of `wanted` wherever it is: LMDB leaves old copies of pages behind.
fn spoil(bytes: &mut [u8], wanted: &str) {
    let places: Vec<usize> =
        (0..bytes.len()).filter(|at| bytes[*at..].starts_with(wanted.as_bytes())).collect();
    assert!(!places.is_empty(), "{wanted} is not in the file");
    places.into_iter().for_each(|at| bytes[at] ^= 1);
}

/// What a check says of the folder `data`, from the first problem on.
fn problems(dir: &Path) -> String {
    let output = crate::support::program().args(["check", "data"]).current_dir(dir).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    stdout.lines().skip_while(|line| !line.starts_with("problem")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_damaged_record_costs_its_revision_and_names_what_is_doubtful() {
    let mut server =
        scene(&["put a 1", "put b second", "put c 1", "put d 1"], |bytes| spoil(bytes, "second"));
    assert_eq!(
        problems(server.dir()),
        "\
problem: the record of revision 3.0 is damaged: its checksum does not match
can be saved: the store at each revision from 3 to 5
can be saved: 3 changes, 0 leases, 0 notes
lost: changes of revision 3
lost: what is older than revision 3
doubtful: 1 keys may have been changed or deleted in what is lost
doubtful: a
"
    );
    check_in(
        server.dir(),
        "\
$ check data --salvage new
saved: the store at each revision from 3 to 5
saved: 3 changes, 0 leases, 0 notes
lost: changes of revision 3
lost: what is older than revision 3
doubtful: 1 keys may have been changed or deleted in what is lost
doubtful: a
start it with: watchful --data-dir new
[1] error: not everything in data could be saved
$ check data --salvage new
[1] error: new exists already: a copy goes to a new file
",
    );
    server.serve_from("new");
    server.check("$ get --prefix ''\na\n1\nc\n1\nd\n1\n");
}

/// Where a later version of the key says what the lost change was of, everything newer is beyond doubt.
#[test]
fn a_lost_change_that_was_made_good_since_leaves_no_doubt() {
    let mut server = scene(&["put a 1", "put b second", "put c 1", "put b third", "put d 1"], |bytes| {
        spoil(bytes, "second")
    });
    check_in(
        server.dir(),
        "\
$ check data --salvage new --json
{\"data_dir\":\"new\",\"saved\":{\"whole\":false,\"compact_revision\":5,\"current_revision\":6,\
\"compact_revision_before\":0,\"changes\":4,\"leases\":0,\"notes\":0,\"lost\":[{\"first\":3,\"last\":3}],\
\"doubtful_keys\":0,\"doubtful\":[],\"remarks\":[]}}
[1] error: not everything in data could be saved
",
    );
    server.serve_from("new");
    server.check("$ get --prefix ''\na\n1\nb\nthird\nc\n1\nd\n1\n");
}

#[test]
fn a_damaged_end_costs_the_end_alone() {
    let mut server = scene(&["put a 1", "put b 1", "put a last"], |bytes| spoil(bytes, "last"));
    check_in(
        server.dir(),
        "\
$ check data --salvage new
saved: the store at each revision from 1 to 3
saved: 2 changes, 0 leases, 0 notes
lost: what came from revision 4 on
lost: the newest commit is damaged; this is the one before it, which is whole
start it with: watchful --data-dir new
[1] error: not everything in data could be saved
",
    );
    server.serve_from("new");
    server.check("$ get --prefix ''\na\n1\nb\n1\n$ put a 2\nOK\n");
}

#[test]
fn users_are_saved_but_for_the_damaged_ones() {
    let commands = ["put a 1", "role add guests", "user add ann:secret", "user add root:secret"];
    let mut server = scene(&commands, |bytes| spoil(bytes, "ann\u{12}"));
    check_in(
        server.dir(),
        "\
$ check data --salvage new
saved: the store at each revision from 1 to 2
saved: 1 changes, 0 leases, 3 notes
lost: the note `auth/user/ann` is lost
start it with: watchful --data-dir new
[1] error: not everything in data could be saved
",
    );
    server.serve_from("new");
    server.check("$ user list\nroot\n$ role list\nguests\n");
}

#[test]
fn a_whole_store_is_saved_whole_and_a_store_without_a_beginning_is_not() {
    let server = scene(&["put a 1", "lease grant 60 --id 7"], |_| {});
    check_in(
        server.dir(),
        "\
$ check data --salvage new
saved: the store at each revision from 1 to 2
saved: 1 changes, 1 leases, 0 notes
start it with: watchful --data-dir new
",
    );
    let file = server.dir().join("data/data.mdb");
    let mut bytes = fs::read(&file).unwrap();
    bytes[..8192].fill(0);
    fs::write(&file, bytes).unwrap();
    check_in(
        server.dir(),
        "\
$ check data --salvage newer
[1] error: data/data.mdb is not a store that this program can open: it does not begin as an LMDB file does
",
    );
    assert!(!server.dir().join("newer").exists());
}
