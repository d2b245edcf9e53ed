// The peer that Moorline is measured against: the engine of Centrifugo, as its library, with the memory broker.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/centrifugal/centrifuge"
)

func main() {
	address := flag.String("listen", "127.0.0.1:8100", "address to listen on")
	history := flag.Bool("history", true, "keep history and let clients recover")
	version := flag.Bool("version", false, "print the versions of the library and of Go")
	flag.Parse()
	if *version {
		printVersion()
		return
	}

	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		log.Fatal(err)
	}
	var options []centrifuge.PublishOption
	if *history {
		options = append(options, centrifuge.WithHistory(1000, time.Hour))
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{UserID: "bench"}}, nil
	})
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(_ centrifuge.SubscribeEvent, reply centrifuge.SubscribeCallback) {
			recovery := centrifuge.SubscribeOptions{EnableRecovery: *history, EnablePositioning: *history}
			reply(centrifuge.SubscribeReply{Options: recovery}, nil)
		})
		client.OnPublish(func(event centrifuge.PublishEvent, reply centrifuge.PublishCallback) {
			result, err := node.Publish(event.Channel, event.Data, options...)
			reply(centrifuge.PublishReply{Result: &result}, err)
		})
	})
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}
	http.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{}))
	log.Fatal(http.ListenAndServe(*address, nil))
}

func printVersion() {
	build, _ := debug.ReadBuildInfo()
	for _, module := range build.Deps {
		if module.Path == "github.com/centrifugal/centrifuge" {
			fmt.Printf("centrifuge %s (%s)\n", module.Version, runtime.Version())
		}
	}
}
