package main

import (
	"context"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func keys(ctx context.Context, client *clientv3.Client) {
	put := value(client.Put(ctx, "keys/a", "1"))
	again := value(client.Put(ctx, "keys/a", "2", clientv3.WithPrevKV()))
	equal("one revision a put", again.Header.Revision, put.Header.Revision+1)
	equal("the value before", string(again.PrevKv.Value), "1")

	got := value(client.Get(ctx, "keys/a"))
	kv := got.Kvs[0]
	equal("the value", string(kv.Value), "2")
	equal("the version", kv.Version, 2)
	equal("the create revision", kv.CreateRevision, put.Header.Revision)
	equal("the mod revision", kv.ModRevision, again.Header.Revision)
	past := value(client.Get(ctx, "keys/a", clientv3.WithRev(put.Header.Revision)))
	equal("the past", string(past.Kvs[0].Value), "1")

	gone := value(client.Delete(ctx, "keys/", clientv3.WithPrefix(), clientv3.WithPrevKV()))
	equal("deleted", gone.Deleted, 1)
	equal("what was deleted", string(gone.PrevKvs[0].Value), "2")
	equal("left", value(client.Get(ctx, "keys/a")).Count, 0)

	_, err := client.Put(ctx, "", "x")
	fails("an empty key", err, rpctypes.ErrEmptyKey)
	_, err = client.Put(ctx, "keys/new", "", clientv3.WithIgnoreValue())
	fails("no value to keep", err, rpctypes.ErrKeyNotFound)
	_, err = client.Get(ctx, "keys/a", clientv3.WithRev(1<<40))
	fails("the future", err, rpctypes.ErrFutureRev)
	_, err = client.Put(ctx, "keys/big", strings.Repeat("x", 1600*1024))
	fails("a value of 1.6 MiB", err, rpctypes.ErrRequestTooLarge)
}

func ranges(ctx context.Context, client *clientv3.Client) {
	for i, text := range []string{"3", "1", "2"} {
		value(client.Put(ctx, fmt.Sprintf("ranges/%c", 'a'+i), text))
	}
	names := func(options ...clientv3.OpOption) string {
		got := value(client.Get(ctx, "ranges/", append(options, clientv3.WithPrefix())...))
		equal("the count is of all", got.Count, 3)
		text := ""
		for _, kv := range got.Kvs {
			text += strings.TrimPrefix(string(kv.Key), "ranges/")
		}
		return text
	}
	sorted := func(by clientv3.SortTarget, order clientv3.SortOrder) string {
		return names(clientv3.WithSort(by, order))
	}
	equal("by key", names(), "abc")
	equal("by key, descending", sorted(clientv3.SortByKey, clientv3.SortDescend), "cba")
	equal("by value", sorted(clientv3.SortByValue, clientv3.SortAscend), "bca")
	equal("by mod revision, descending", sorted(clientv3.SortByModRevision, clientv3.SortDescend), "cba")
	equal("two of them", names(clientv3.WithLimit(2)), "ab")
	equal("serializable", names(clientv3.WithSerializable()), "abc")
	equal("count only", names(clientv3.WithCountOnly()), "")
	equal("the first created", string(value(client.Get(ctx, "ranges/", clientv3.WithFirstCreate()...)).Kvs[0].Key), "ranges/a")
	only := value(client.Get(ctx, "ranges/", clientv3.WithPrefix(), clientv3.WithKeysOnly()))
	equal("without values", string(only.Kvs[0].Value), "")
}

func transactions(ctx context.Context, client *clientv3.Client) {
	createIfAbsent := func(text string) *clientv3.TxnResponse {
		absent := clientv3.Compare(clientv3.ModRevision("txn/a"), "=", 0)
		txn := client.Txn(ctx).If(absent).Then(clientv3.OpPut("txn/a", text)).Else(clientv3.OpGet("txn/a"))
		return value(txn.Commit())
	}
	equal("the first", createIfAbsent("first").Succeeded, true)
	second := createIfAbsent("second")
	equal("the second", second.Succeeded, false)
	equal("what is there", string(second.Responses[0].GetResponseRange().Kvs[0].Value), "first")

	lease := value(client.Grant(ctx, 600)).ID
	value(client.Put(ctx, "txn/leased", "x", clientv3.WithLease(lease)))
	all := value(client.Txn(ctx).If(
		clientv3.Compare(clientv3.Value("txn/a"), ">", "a"),
		clientv3.Compare(clientv3.Version("txn/a"), "<", 2),
		clientv3.Compare(clientv3.CreateRevision("txn/a"), "!=", 0),
		clientv3.Compare(clientv3.LeaseValue("txn/leased"), "=", lease),
		clientv3.Compare(clientv3.Version("txn/"), ">", 0).WithPrefix(),
	).Then(
		clientv3.OpPut("txn/b", "1"),
		clientv3.OpTxn(
			[]clientv3.Cmp{clientv3.Compare(clientv3.Value("txn/a"), "=", "first")},
			[]clientv3.Op{clientv3.OpPut("txn/c", "nested"), clientv3.OpGet("txn/b")},
			nil,
		),
		clientv3.OpDelete("txn/leased", clientv3.WithPrevKV()),
	).Commit())
	equal("all compares", all.Succeeded, true)
	nested := all.Responses[1].GetResponseTxn()
	equal("the nested compare", nested.Succeeded, true)
	equal("it sees the outer put", string(nested.Responses[1].GetResponseRange().Kvs[0].Value), "1")
	equal("deleted in it", all.Responses[2].GetResponseDeleteRange().Deleted, 1)
	got := value(client.Get(ctx, "txn/c"))
	equal("one revision", got.Kvs[0].ModRevision, all.Header.Revision)

	_, err := client.Txn(ctx).Then(clientv3.OpPut("txn/d", "1"), clientv3.OpPut("txn/d", "2")).Commit()
	fails("a key put twice", err, rpctypes.ErrDuplicateKey)
}

func compaction(ctx context.Context, client *clientv3.Client) {
	first := value(client.Put(ctx, "compaction", "1")).Header.Revision
	second := value(client.Put(ctx, "compaction", "2")).Header.Revision
	value(client.Compact(ctx, second, clientv3.WithCompactPhysical()))
	_, err := client.Get(ctx, "compaction", clientv3.WithRev(first))
	fails("the forgotten past", err, rpctypes.ErrCompacted)
	_, err = client.Compact(ctx, first)
	fails("compacting it again", err, rpctypes.ErrCompacted)
	equal("what is left", string(value(client.Get(ctx, "compaction", clientv3.WithRev(second))).Kvs[0].Value), "2")

	told := <-client.Watch(ctx, "compaction", clientv3.WithRev(first))
	equal("the compact revision", told.CompactRevision, second)
	fails("a watch of the forgotten past", told.Err(), rpctypes.ErrCompacted)
}

func maintenance(ctx context.Context, client *clientv3.Client) {
	endpoint := client.Endpoints()[0]
	status := value(client.Status(ctx, endpoint))
	equal("it leads itself", status.Leader, status.Header.MemberId)
	equal("the version's family", strings.HasPrefix(status.Version, "3."), true)
	equal("members", len(value(client.MemberList(ctx)).Members), 1)
	equal("alarms", len(value(client.AlarmList(ctx)).Alarms), 0)
	hash := value(client.HashKV(ctx, endpoint, 0)).Hash
	equal("the hash of the same", value(client.HashKV(ctx, endpoint, 0)).Hash, hash)
	value(client.Defragment(ctx, endpoint))
	snapshot := value(client.Snapshot(ctx))
	defer snapshot.Close()
	bytes := value(readAll(snapshot))
	// A SHA-256 ends it.
	equal("a snapshot of some size", bytes > 4096 && bytes%512 == 32, true)
}
