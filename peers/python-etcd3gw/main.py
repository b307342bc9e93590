"""Talks to a server's JSON gateway as a user of the Python package etcd3gw would, and checks every answer.

    python3 main.py 127.0.0.1:2379

Each check works under keys of its own. The first answer that is not as it should be ends the program.
"""

import sys
import threading

import etcd3gw
from etcd3gw import exceptions

# How many seconds one answer may take.
PATIENCE = 30


def expect(what, got, want):
    if got != want:
        raise AssertionError(f"{what}: got {got!r}, want {want!r}")


def refused(what, call, words):
    try:
        answer = call()
    except exceptions.Etcd3Exception as error:
        told = f"{error} {error.detail_text}"
        if words not in told:
            raise AssertionError(f"{what}: {words!r} is not in {told!r}") from error
    else:
        raise AssertionError(f"{what}: {answer!r} should have been refused")


def keys(client):
    client.put("keys/a", "1")
    client.put("keys/b", b"\x00\xff")
    expect("a value", client.get("keys/a"), [b"1"])
    expect("bytes", client.get("keys/b"), [b"\x00\xff"])
    expect("nothing", client.get("keys/none"), [])
    [(value, row)] = client.get("keys/a", metadata=True)
    expect("the key", (value, row["key"]), (b"1", b"keys/a"))
    # Numbers of 64 bits are texts in JSON.
    expect("the version", row["version"], "1")
    expect("the revisions", row["create_revision"], row["mod_revision"])
    prefix = [value for value, _ in client.get_prefix("keys/", sort_order="descend", sort_target="key")]
    expect("a prefix, descending", prefix, [b"\x00\xff", b"1"])
    expect("replaced", client.replace("keys/a", "1", "2"), True)
    expect("not replaced", client.replace("keys/a", "1", "3"), False)
    expect("created", client.create("keys/c", "x"), True)
    expect("not created", client.create("keys/c", "y"), False)
    expect("deleted", client.delete("keys/a"), True)
    expect("not deleted", client.delete("keys/a"), False)
    client.delete_prefix("keys/")
    expect("left", client.get_prefix("keys/"), [])
    refused("an empty key", lambda: client.put("", "x"), "etcdserver: key is not provided")
    refused("the future", lambda: client.get("keys/a", revision=1 << 40), "required revision is a future revision")


def leases(client):
    lease = client.lease(ttl=600)
    client.put("lease/a", "1", lease=lease)
    expect("its keys", lease.keys(), [b"lease/a"])
    expect("refreshed", lease.refresh(), 600)
    expect("its time", 0 < lease.ttl() <= 600, True)
    lease.revoke()
    expect("its key", client.get("lease/a"), [])


def watches(client):
    client.put("watch/a", "1")
    [(_, row)] = client.get("watch/a", metadata=True)
    start = int(row["mod_revision"])
    events, cancel = client.watch_prefix("watch/", start_revision=start)
    late = threading.Timer(PATIENCE, cancel)
    late.start()

    def told():
        event = next(events)
        return event.get("type", "PUT"), event["kv"]["key"], event["kv"].get("value")

    expect("history", told(), ("PUT", b"watch/a", b"1"))
    client.put("watch/a", "2")
    expect("live", told(), ("PUT", b"watch/a", b"2"))
    client.delete("watch/a")
    expect("a delete", told(), ("DELETE", b"watch/a", None))
    late.cancel()
    cancel()


def locks(client):
    first, second = client.lock("name", ttl=600), client.lock("name", ttl=600)
    expect("locked", first.acquire(), True)
    expect("not locked twice", second.acquire(), False)
    expect("held", (first.is_acquired(), second.is_acquired()), (True, False))
    expect("refreshed", first.refresh(), 600)
    expect("released", first.release(), True)
    expect("locked then", second.acquire(), True)
    expect("released then", second.release(), True)


def maintenance(client):
    status = client.status()
    expect("it leads itself", status["leader"], status["header"]["member_id"])
    expect("members", len(client.members()), 1)


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    client = etcd3gw.client(host=host, port=int(port), timeout=PATIENCE)
    for check in (keys, leases, watches, locks, maintenance):
        check(client)
        print(f"passed: {check.__name__}", flush=True)
    print("all passed")


if __name__ == "__main__":
    main()
