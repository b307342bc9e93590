package main

import (
	"context"
	"errors"
	"strconv"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.etcd.io/etcd/client/v3/mirror"
)

func mutex(ctx context.Context, client *clientv3.Client) {
	holder := value(concurrency.NewSession(client))
	held := concurrency.NewMutex(holder, "mutex")
	must(held.Lock(ctx))
	other := value(concurrency.NewSession(client))
	fails("locked by another", concurrency.NewMutex(other, "mutex").TryLock(ctx), concurrency.ErrLocked)

	// Each adds one to a number that they read and write in two steps.
	value(client.Put(ctx, "number", "0"))
	var contenders sync.WaitGroup
	for range 5 {
		contenders.Go(func() { addOneUnderLock(ctx, client) })
	}
	must(held.Unlock(ctx))
	contenders.Wait()
	equal("the sum", string(value(client.Get(ctx, "number")).Kvs[0].Value), "5")

	must(concurrency.NewMutex(other, "mutex").TryLock(ctx))
	must(other.Close())
	must(held.Lock(ctx))
	must(holder.Close())
	<-holder.Done()
	equal("what is left of the lock", value(client.Get(ctx, "mutex/", clientv3.WithPrefix())).Count, 0)
}

func addOneUnderLock(ctx context.Context, client *clientv3.Client) {
	session := value(concurrency.NewSession(client))
	defer session.Close()
	lock := concurrency.NewMutex(session, "mutex")
	must(lock.Lock(ctx))
	number := value(strconv.Atoi(string(value(client.Get(ctx, "number")).Kvs[0].Value)))
	value(client.Txn(ctx).If(lock.IsOwner()).Then(clientv3.OpPut("number", strconv.Itoa(number+1))).Commit())
	must(lock.Unlock(ctx))
}

func election(ctx context.Context, client *clientv3.Client) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sessions := []*concurrency.Session{value(concurrency.NewSession(client)), value(concurrency.NewSession(client))}
	first, second := concurrency.NewElection(sessions[0], "election"), concurrency.NewElection(sessions[1], "election")
	_, err := first.Leader(ctx)
	fails("nobody leads", err, concurrency.ErrElectionNoLeader)
	must(first.Campaign(ctx, "first"))
	leaders := second.Observe(ctx)
	equal("who leads", string((<-leaders).Kvs[0].Value), "first")

	elected := make(chan error, 1)
	go func() { elected <- second.Campaign(ctx, "second") }()
	must(first.Proclaim(ctx, "first again"))
	equal("what it says", string((<-leaders).Kvs[0].Value), "first again")
	must(sessions[0].Close())
	must(<-elected)
	equal("who follows", string((<-leaders).Kvs[0].Value), "second")
	must(second.Resign(ctx))
	must(sessions[1].Close())
}

func stm(ctx context.Context, client *clientv3.Client) {
	value(client.Put(ctx, "stm/a", "100"))
	value(client.Put(ctx, "stm/b", "0"))
	move := func(memory concurrency.STM) error {
		a, b := value(strconv.Atoi(memory.Get("stm/a"))), value(strconv.Atoi(memory.Get("stm/b")))
		memory.Put("stm/a", strconv.Itoa(a-1))
		memory.Put("stm/b", strconv.Itoa(b+1))
		return nil
	}
	var movers sync.WaitGroup
	for _, isolation := range []concurrency.Isolation{concurrency.SerializableSnapshot, concurrency.Serializable} {
		for range 2 {
			movers.Go(func() {
				for range 5 {
					value(concurrency.NewSTM(client, move, concurrency.WithIsolation(isolation)))
				}
			})
		}
	}
	movers.Wait()
	equal("what is left", string(value(client.Get(ctx, "stm/a")).Kvs[0].Value), "80")
	equal("what was moved", string(value(client.Get(ctx, "stm/b")).Kvs[0].Value), "20")
	aborted := errors.New("no")
	_, err := concurrency.NewSTM(client, func(concurrency.STM) error { return aborted })
	fails("an aborted one", err, aborted)
}

func mirrorAll(ctx context.Context, client *clientv3.Client) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// More than the one page that the syncer reads at a time.
	for page := range 12 {
		var puts []clientv3.Op
		for i := range 100 {
			puts = append(puts, clientv3.OpPut("mirror/"+strconv.Itoa(10000+page*100+i), "x"))
		}
		value(client.Txn(ctx).Then(puts...).Commit())
	}
	syncer := mirror.NewSyncer(client, "mirror/", 0)
	pages, errs := syncer.SyncBase(ctx)
	keys := 0
	for page := range pages {
		keys += len(page.Kvs)
	}
	must(<-errs)
	equal("keys", keys, 1200)
	value(client.Put(ctx, "mirror/10000", "changed"))
	value(client.Delete(ctx, "mirror/10001"))
	updates := told(syncer.SyncUpdates(ctx), 2)
	equal("updates", updates, "put mirror/10000=changed, delete mirror/10001")
}
