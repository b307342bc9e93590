//! put, get, del and compact.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use crate::support::{Server, wait};

#[test]
fn keys_are_put_read_and_deleted() {
    Server::start().check(
        "
$ put a 1
OK
$ get a
a
1
$ put a 2 --prev-kv
OK
a
1
$ get b
$ put b - < line\\nline\\n
OK
$ get b
b
\"line\\nline\\n\"
$ get b --raw
line
line
$ get a --print-value-only
2
$ get a --rev 2
a
1
$ put a --ignore-value --prev-kv
OK
a
2
$ del a --prev-kv
1
a
2
$ del a
0
$ put -5 -6
OK
$ get -5
-5
-6
",
    );
}

#[test]
fn ranges_are_read_and_deleted() {
    Server::start().check(
        "
$ put a 3
OK
$ put b 2
OK
$ put bb 1
OK
$ put c 0
OK
$ get a bb --keys-only
a
b
$ get b --prefix --keys-only
b
bb
$ get b --from-key --keys-only
b
bb
c
$ get '' --prefix --count-only
4
$ get '' --prefix --keys-only --limit 2
a
b
$ get '' --prefix --keys-only --order DESCEND --limit 2
c
bb
$ get '' --prefix --keys-only --sort-by value
c
bb
b
a
$ get '' --prefix --keys-only --min-mod-rev 3 --max-mod-rev 4
b
bb
$ del b --prefix
2
$ get '' --prefix --print-value-only
3
0
",
    );
}

#[test]
fn programs_read_json() {
    Server::start().check(
        "
$ put a 1 --json
{\"revision\":2}
$ put a 2 --json --prev-kv
{\"revision\":3,\"prev_kv\":{\"key\":\"YQ==\",\"value\":\"MQ==\",\"create_revision\":2,\"mod_revision\":2,\"version\":1}}
$ put b 1 --json
{\"revision\":4}
$ --json get a
{\"key\":\"YQ==\",\"value\":\"Mg==\",\"create_revision\":2,\"mod_revision\":3,\"version\":2}
{\"revision\":4,\"count\":1,\"more\":false}
$ get a --from-key --limit 1 --json
{\"key\":\"YQ==\",\"value\":\"Mg==\",\"create_revision\":2,\"mod_revision\":3,\"version\":2}
{\"revision\":4,\"count\":2,\"more\":true}
$ get x --json
{\"revision\":4,\"count\":0,\"more\":false}
$ get a --from-key --count-only --json
{\"revision\":4,\"count\":2,\"more\":false}
$ del a z --json --prev-kv
{\"revision\":5,\"deleted\":2,\"prev_kvs\":[{\"key\":\"YQ==\",\"value\":\"Mg==\",\"create_revision\":2,\"mod_revision\":3,\
\"version\":2},{\"key\":\"Yg==\",\"value\":\"MQ==\",\"create_revision\":4,\"mod_revision\":4,\"version\":1}]}
$ compact 4 --json
{\"revision\":5,\"compact_revision\":4}
",
    );
}

#[test]
fn history_is_compacted() {
    Server::start().check(
        "
$ put a 1
OK
$ put a 2
OK
$ compact 3 --physical
compacted revision 3
$ get a --rev 3
a
2
$ get a --rev 2
[1] error: etcdserver: mvcc: required revision has been compacted: read a newer revision; `watchful status` tells where \
the store is
$ compact 3
[1] error: etcdserver: mvcc: required revision has been compacted: read a newer revision; `watchful status` tells where \
the store is
$ get a --rev 4
[1] error: etcdserver: mvcc: required revision is a future revision: `watchful status` tells where the store is
",
    );
}

/// More keys than come in one part.
fn many(server: &Server) -> usize {
    const PUTS: usize = 100;
    for first in (0..1000).step_by(PUTS) {
        let puts: String =
            (first..first + PUTS).map(|number| format!("put k{number:04} {number}\n")).collect();
        let file = server.dir().join("txn");
        std::fs::write(&file, format!("\n{puts}\n")).unwrap();
        server.run(&["txn", file.to_str().unwrap()]);
    }
    1000
}

#[test]
fn a_large_range_comes_whole_and_of_one_revision() {
    let server = Server::start();
    let count = many(&server);
    let read = server.run(&["get", "k", "--prefix", "--keys-only"]);
    let expected: Vec<String> = (0..count).map(|number| format!("k{number:04}")).collect();
    assert_eq!(read.lines().collect::<Vec<_>>(), expected);
    let read = server.run(&["get", "k", "--prefix", "--json", "--limit", "700"]);
    assert_eq!(read.lines().count(), 701);
    assert_eq!(read.lines().last(), Some("{\"revision\":11,\"count\":1000,\"more\":true}"));
}

#[test]
fn who_stops_reading_is_no_reason_to_panic() {
    let server = Server::start();
    many(&server);
    // Enough that it cannot all wait in the pipe.
    let value = "x".repeat(100_000);
    (0..10).for_each(|number| drop(server.run(&["put", &format!("k{number:04}"), &value])));
    for json in [&["--json"][..], &[]] {
        let mut command = server.command(&["get", "k", "--prefix"]);
        let mut child = command.args(json).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        reader.read_line(&mut String::new()).unwrap();
        drop(reader);
        let status = wait(&mut child);
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((status.code(), said.as_str()), (Some(0), ""));
    }
}
