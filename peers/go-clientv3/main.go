// Talks to a server as a user of the official Go client would, and checks every answer.
//
//	go run . 127.0.0.1:2379
//
// Each check works under keys of its own, so a server that holds other things is no hindrance. While a line
// "restart the server now" stands, the server should be stopped and started again on the same address; the next line on
// standard input says that this has been done. The first thing that is not as it should be ends the program.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// How long everything together may take.
const patience = 180 * time.Second

type check struct {
	name string
	run  func(context.Context, *clientv3.Client)
}

var checks = []check{
	{"put, get, delete", keys},
	{"ranges", ranges},
	{"transactions", transactions},
	{"compaction", compaction},
	{"watch", watch},
	{"leases", leases},
	{"maintenance", maintenance},
	{"mutex", mutex},
	{"election", election},
	{"software transactional memory", stm},
	{"mirror", mirrorAll},
	{"users and roles", auth},
	{"watch over a restart", watchOverRestart},
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go-clientv3 HOST:PORT")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client := value(clientv3.New(config(os.Args[1])))
	defer client.Close()
	for _, check := range checks {
		check.run(ctx, client)
		fmt.Println("passed:", check.name)
	}
	fmt.Println("all passed")
}

func config(endpoint string) clientv3.Config {
	return clientv3.Config{
		Endpoints:   []string{endpoint},
		DialTimeout: 5 * time.Second,
		// It would warn of each error that is expected here.
		Logger: zap.NewNop(),
	}
}

// Whoever started this program stops the server and starts it again.
func restart() {
	fmt.Println("restart the server now")
	if !bufio.NewScanner(os.Stdin).Scan() {
		panic("nobody said that the server was restarted")
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func value[T any](value T, err error) T {
	must(err)
	return value
}

func equal[T comparable](what string, got, want T) {
	if got != want {
		panic(fmt.Sprintf("%s: got %v, want %v", what, got, want))
	}
}

func fails(what string, err error, want error) {
	if err == nil || err.Error() != want.Error() {
		panic(fmt.Sprintf("%s: got the error %v, want %v", what, err, want))
	}
}
