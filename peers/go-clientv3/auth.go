package main

import (
	"context"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/authpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"
)

// Users and roles, from the first one on until nobody is asked any more: it leaves nothing behind.
func auth(ctx context.Context, client *clientv3.Client) {
	value(client.UserAdd(ctx, "root", "secret"))
	value(client.UserGrantRole(ctx, "root", "root"))
	value(client.UserAdd(ctx, "alice", "a"))
	value(client.RoleAdd(ctx, "reader"))
	grant(ctx, client, "auth/a/", clientv3.PermReadWrite)
	grant(ctx, client, "auth/r/", clientv3.PermRead)
	value(client.UserGrantRole(ctx, "alice", "reader"))
	_, err := client.UserAdd(ctx, "alice", "b")
	fails("the same name", err, rpctypes.ErrUserAlreadyExist)
	value(client.AuthEnable(ctx))

	root, alice := as("root", "secret", client), as("alice", "a", client)
	defer root.Close()
	defer alice.Close()
	permissions(ctx, client, root, alice)
	watchOverChange(ctx, root, alice)
	if !isEtcd(ctx, root) {
		// etcd 3.4 refuses a login that bears the token which is to be replaced, and the client tries for ever.
		freshTokens(ctx, root, alice)
	}

	value(root.AuthDisable(ctx))
	value(client.UserDelete(ctx, "alice"))
	value(client.RoleDelete(ctx, "reader"))
	value(client.UserDelete(ctx, "root"))
	_, err = client.Put(ctx, "auth/a/1", "by anybody")
	must(err)
}

func grant(ctx context.Context, client *clientv3.Client, prefix string, what authpb.Permission_Type) {
	rangeEnd := clientv3.GetPrefixRangeEnd(prefix)
	value(client.RoleGrantPermission(ctx, "reader", prefix, rangeEnd, clientv3.PermissionType(what)))
}

// A client that logs in.
func as(name, password string, other *clientv3.Client) *clientv3.Client {
	return value(clientv3.New(login(name, password, other)))
}

func login(name, password string, other *clientv3.Client) clientv3.Config {
	made := config(other.Endpoints()[0])
	made.Username, made.Password = name, password
	return made
}

func permissions(ctx context.Context, nobody, root, alice *clientv3.Client) {
	_, err := nobody.Get(ctx, "auth/a/1")
	fails("nobody", err, rpctypes.ErrUserEmpty)
	_, err = clientv3.New(login("alice", "wrong", nobody))
	fails("a wrong password", err, rpctypes.ErrAuthFailed)
	value(alice.Put(ctx, "auth/a/1", "1"))
	value(root.Put(ctx, "auth/r/1", "of root"))
	value(root.Put(ctx, "auth/other", "of root"))
	equal("what she reads", string(value(alice.Get(ctx, "auth/r/1")).Kvs[0].Value), "of root")
	_, err = alice.Put(ctx, "auth/r/1", "mine")
	fails("a write of what she may read", err, rpctypes.ErrPermissionDenied)
	_, err = alice.Get(ctx, "auth/", clientv3.WithPrefix())
	fails("more than she may read", err, rpctypes.ErrPermissionDenied)
	_, err = alice.Get(ctx, "auth/a/", clientv3.WithFromKey())
	fails("an open end", err, rpctypes.ErrPermissionDenied)
	_, err = alice.Txn(ctx).If(clientv3.Compare(clientv3.Version("auth/other"), ">", 0)).Commit()
	fails("a condition on another's key", err, rpctypes.ErrPermissionDenied)
	_, err = alice.Txn(ctx).Then(clientv3.OpPut("auth/a/1", "2")).Else(clientv3.OpGet("auth/other")).Commit()
	fails("the side that is not taken", err, rpctypes.ErrPermissionDenied)
	_, err = alice.UserAdd(ctx, "bob", "b")
	fails("adding a user", err, rpctypes.ErrPermissionDenied)
	_, err = alice.UserList(ctx)
	fails("listing users", err, rpctypes.ErrPermissionDenied)
	equal("her roles", strings.Join(value(alice.UserGet(ctx, "alice")).Roles, ","), "reader")
	equal("her permissions", len(value(alice.RoleGet(ctx, "reader")).Perm), 2)
	equal("users", strings.Join(value(root.UserList(ctx)).Users, ","), "alice,root")
	leased := value(root.Grant(ctx, 600)).ID
	value(root.Put(ctx, "auth/other", "leased", clientv3.WithLease(leased)))
	_, err = alice.Revoke(ctx, leased)
	fails("revoking a lease with another's key", err, rpctypes.ErrPermissionDenied)
	_, err = value(alice.Snapshot(ctx)).Read(make([]byte, 1))
	equal("a snapshot is denied", strings.Contains(err.Error(), "permission denied"), true)
}

// A watch sees what its user may read, and no more after that is taken away: the client closes it then, and keeps the reason
// to itself. A server may look once, as etcd does.
func watchOverChange(ctx context.Context, root, alice *clientv3.Client) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	denied := <-alice.Watch(ctx, "auth/other")
	equal("a watch of another's key", denied.Err().Error(), rpctypes.ErrGRPCPermissionDenied.Error())
	watch := alice.Watch(ctx, "auth/r/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	equal("created", (<-watch).Created, true)
	value(root.Put(ctx, "auth/r/1", "seen"))
	equal("what she sees", told(watch, 1), "put auth/r/1=seen")
	grant(ctx, root, "auth/b/", clientv3.PermRead)
	value(root.Put(ctx, "auth/r/1", "still seen"))
	equal("after a change that takes nothing", told(watch, 1), "put auth/r/1=still seen")
	value(root.RoleRevokePermission(ctx, "reader", "auth/r/", clientv3.GetPrefixRangeEnd("auth/r/")))
	value(root.Put(ctx, "auth/r/1", "not for her"))
	last, open := <-watch
	if open {
		equal("an event that only an etcd tells", isEtcd(ctx, root) && len(last.Events) == 1, true)
	}
	grant(ctx, root, "auth/r/", clientv3.PermRead)
}

// Whether the server is an etcd of before 3.5. Watchful says that it is 3.6.0.
func isEtcd(ctx context.Context, client *clientv3.Client) bool {
	return strings.HasPrefix(value(client.Status(ctx, client.Endpoints()[0])).Version, "3.4.")
}

// Tokens end: when auth is turned off, when the password is changed, and when they are not used for long enough. The client
// then logs in again by itself, as long as its password is the right one.
func freshTokens(ctx context.Context, root, alice *clientv3.Client) {
	value(root.AuthDisable(ctx))
	value(root.AuthEnable(ctx))
	equal("after all tokens ended", value(alice.Get(ctx, "auth/a/1")).Count, 1)
	equal("root too", len(value(root.UserList(ctx)).Users), 2)

	token := value(alice.Authenticate(ctx, "alice", "a")).Token
	bearing := metadata.NewOutgoingContext(ctx, metadata.Pairs(rpctypes.TokenFieldNameGRPC, token))
	nobody := value(clientv3.New(config(alice.Endpoints()[0])))
	defer nobody.Close()
	value(nobody.Get(bearing, "auth/a/1"))
	value(root.UserChangePassword(ctx, "alice", "new"))
	_, err := nobody.Get(bearing, "auth/a/1")
	fails("a token from before", err, rpctypes.ErrInvalidAuthToken)
	_, err = alice.Get(ctx, "auth/a/1")
	equal("the old password is worth nothing", err != nil, true)
	again := as("alice", "new", alice)
	defer again.Close()
	equal("with the new one", value(again.Get(ctx, "auth/a/1")).Count, 1)
	if isShortLived(ctx, nobody, value(again.Authenticate(ctx, "alice", "new")).Token) {
		equal("after its token's time", value(again.Get(ctx, "auth/a/1")).Count, 1)
	}
}

// Whether a token that nobody uses ends within some seconds, as whoever started the server may have told it: within five, so
// that a machine which stands still for a moment ends none that is in use. Each look at it lets it live on.
func isShortLived(ctx context.Context, nobody *clientv3.Client, token string) bool {
	bearing := metadata.NewOutgoingContext(ctx, metadata.Pairs(rpctypes.TokenFieldNameGRPC, token))
	for range 2 {
		time.Sleep(7 * time.Second)
		if _, err := nobody.Get(bearing, "auth/a/1"); err != nil {
			fails("an old token", err, rpctypes.ErrInvalidAuthToken)
			return true
		}
	}
	return false
}
