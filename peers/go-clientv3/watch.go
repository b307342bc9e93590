package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// What a watch told, in words: "put a=1", "delete a", one after the other.
func told(watch clientv3.WatchChan, events int) string {
	var words []string
	for len(words) < events {
		response, open := <-watch
		if !open {
			panic("the watch has ended")
		}
		must(response.Err())
		for _, event := range response.Events {
			word := fmt.Sprintf("delete %s", event.Kv.Key)
			if event.Type == clientv3.EventTypePut {
				word = fmt.Sprintf("put %s=%s", event.Kv.Key, event.Kv.Value)
			}
			if event.PrevKv != nil {
				word += fmt.Sprintf(" after %s", event.PrevKv.Value)
			}
			words = append(words, word)
		}
	}
	return strings.Join(words, ", ")
}

func watch(ctx context.Context, client *clientv3.Client) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := value(client.Put(ctx, "watch/a", "1")).Header.Revision
	value(client.Delete(ctx, "watch/a"))
	history := client.Watch(ctx, "watch/", clientv3.WithPrefix(), clientv3.WithRev(start), clientv3.WithPrevKV())
	equal("history", told(history, 2), "put watch/a=1, delete watch/a after 1")
	deletes := client.Watch(ctx, "watch/", clientv3.WithPrefix(), clientv3.WithFilterPut(), clientv3.WithRev(start))
	equal("deletes only", told(deletes, 1), "delete watch/a")
	created := <-client.Watch(ctx, "watch/a", clientv3.WithCreatedNotify())
	equal("created", created.Created, true)

	value(client.Txn(ctx).Then(clientv3.OpPut("watch/a", "2"), clientv3.OpPut("watch/b", "3")).Commit())
	equal("live", told(history, 2), "put watch/a=2, put watch/b=3")
	last := value(client.Delete(ctx, "watch/b")).Header.Revision
	equal("live deletes", told(deletes, 1), "delete watch/b")
	equal("live again", told(history, 1), "delete watch/b after 3")

	must(client.RequestProgress(ctx))
	for response := range history {
		if response.IsProgressNotify() {
			equal("progress", response.Header.Revision >= last, true)
			break
		}
	}

	large := strings.Repeat("x", 400*1024)
	for i := range 8 {
		value(client.Put(ctx, fmt.Sprintf("watch/large/%d", i), large))
	}
	everything := client.Watch(ctx, "watch/large/", clientv3.WithPrefix(), clientv3.WithRev(start), clientv3.WithFragment())
	equal("large events", len(told(everything, 8)), 8*(len("put watch/large/0=")+len(large))+7*len(", "))
}

func leases(ctx context.Context, client *clientv3.Client) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Long enough that a machine which stands still for some seconds ends neither before its time.
	short := value(client.Grant(ctx, 10))
	kept := value(client.Grant(ctx, 10))
	value(client.Put(ctx, "leases/short", "1", clientv3.WithLease(short.ID)))
	start := value(client.Put(ctx, "leases/kept", "1", clientv3.WithLease(kept.ID))).Header.Revision
	kicks := value(client.KeepAlive(ctx, kept.ID))
	deletes := client.Watch(ctx, "leases/", clientv3.WithPrefix(), clientv3.WithFilterPut(), clientv3.WithRev(start))
	equal("expired", told(deletes, 1), "delete leases/short")
	for range 3 {
		equal("kept alive", (<-kicks).TTL, 10)
	}
	equal("still there", value(client.Get(ctx, "leases/kept")).Count, 1)
	left := value(client.TimeToLive(ctx, kept.ID, clientv3.WithAttachedKeys()))
	equal("its key", string(left.Keys[0]), "leases/kept")
	equal("its time", left.GrantedTTL, 10)
	equal("the expired one's time", value(client.TimeToLive(ctx, short.ID)).TTL, -1)
	value(client.Revoke(ctx, kept.ID))
	equal("revoked", told(deletes, 1), "delete leases/kept")
	for range kicks {
		// It ends when the lease is found to be gone.
	}
}

func watchOverRestart(ctx context.Context, client *clientv3.Client) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lease := value(client.Grant(ctx, 600)).ID
	value(client.KeepAlive(ctx, lease))
	start := value(client.Put(ctx, "restart/0", "before", clientv3.WithLease(lease))).Header.Revision
	watch := client.Watch(ctx, "restart/", clientv3.WithPrefix(), clientv3.WithRev(start))
	equal("before", told(watch, 1), "put restart/0=before")
	restart()
	for i := 1; i <= 3; i++ {
		putAgain(ctx, client, fmt.Sprintf("restart/%d", i), "after")
	}
	expected := "put restart/1=after, put restart/2=after, put restart/3=after"
	equal("the same watch goes on", told(watch, 3), expected)
	equal("the lease too", value(client.TimeToLive(ctx, lease)).GrantedTTL, 600)
}

// Puts, and tries again while the connection is being made: the client does not repeat a write by itself.
func putAgain(ctx context.Context, client *clientv3.Client, key, text string) {
	for ctx.Err() == nil {
		absent := clientv3.Compare(clientv3.Version(key), "=", 0)
		_, err := client.Txn(ctx).If(absent).Then(clientv3.OpPut(key, text)).Commit()
		if err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	panic(ctx.Err())
}

func readAll(from io.Reader) (int64, error) {
	return io.Copy(io.Discard, from)
}
