//! txn, in the form that people write and in JSON.

use crate::support::Server;

#[test]
fn the_form_is_done_one_way_or_the_other() {
    Server::start().check(
        "
$ txn < create(\"a\") = \"0\"\\n\\nput a 1\\nget a\\n\\nget a\\n\\n
SUCCESS

OK

a
1
$ txn < create(\"a\") = \"0\"\\n\\nput a 1\\n\\nput a 2 --prev-kv\\ndel x\\n
FAILURE

OK
a
1

0
$ txn < value(a) = 2\\nmod(a) > 1\\nversion(a) != 1\\nlease(a) = 0\\n\\nget a b\\n
SUCCESS

a
2
$ txn - < \\n
SUCCESS
",
    );
}

#[test]
fn programs_write_and_read_json() {
    Server::start().check(
        "
$ txn --json < {\"success\":[{\"request_put\":{\"key\":\"YQ==\",\"value\":\"MQ==\"}},{\"requestRange\":{\"key\":\"YQ==\"}}]}
{\"revision\":2,\"succeeded\":true,\"responses\":[{\"put\":{\"revision\":2}},{\"get\":{\"revision\":2,\"count\":1,\
\"more\":false,\"kvs\":[{\"key\":\"YQ==\",\"value\":\"MQ==\",\"create_revision\":2,\"mod_revision\":2,\"version\":1}]}}]}
$ txn --json < {\"compare\":[{\"key\":\"YQ==\",\"target\":\"VERSION\",\"result\":\"LESS\",\"version\":\"1\"}],\
\"failure\":[{\"request_txn\":{\"success\":[{\"request_delete_range\":{\"key\":\"YQ==\"}}]}}]}
{\"revision\":3,\"succeeded\":false,\"responses\":[{\"txn\":{\"revision\":0,\"succeeded\":true,\"responses\":[{\"del\":\
{\"revision\":3,\"deleted\":1,\"prev_kvs\":[]}}]}}]}
",
    );
}

#[test]
fn mistakes_in_it_are_told_before_anything_is_done() {
    Server::start().check(
        "
$ txn < mod(a) > 0\\n\\nset a 1\\n
[1] error: line 3, `set a 1`: unrecognized subcommand 'set'; see `watchful txn --help`
$ txn < \\nput a 1\\nput a 2\\n
[1] error: etcdserver: duplicate key given in txn request
$ get a
",
    );
}
