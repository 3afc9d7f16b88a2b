// A client of two servers, each of which is stopped and started again. It sends requests to both in
// turn, over connections that stay open, until its standard input ends. Then it prints how many
// requests were answered, refused and lost.
//
// If a connect is refused, it has sent nothing and goes to the other server, as a load balancer
// would. Every other failure is a lost request. (Go itself repeats a request if a connection ends
// before the first byte of the response.)
package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	servers := os.Args[1:3]
	clients, _ := strconv.Atoi(os.Args[3])
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	var answered, refused, lost, over int64
	var first atomic.Value
	first.Store("")
	go func() {
		io.Copy(io.Discard, os.Stdin)
		atomic.StoreInt64(&over, 1)
	}()
	ask := func(server string) error {
		response, err := client.Get("http://" + server + "/hello")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			return err
		}
		if response.StatusCode != 200 {
			return fmt.Errorf("status %d", response.StatusCode)
		}
		return nil
	}
	var all sync.WaitGroup
	for number := 0; number < clients; number++ {
		all.Add(1)
		go func(turn int) {
			defer all.Done()
			for ; atomic.LoadInt64(&over) == 0; turn++ {
				err := ask(servers[turn%2])
				switch {
				case err == nil:
					atomic.AddInt64(&answered, 1)
				case errors.Is(err, syscall.ECONNREFUSED):
					atomic.AddInt64(&refused, 1)
				default:
					atomic.AddInt64(&lost, 1)
					first.Store(err.Error())
				}
				time.Sleep(5 * time.Millisecond)
			}
		}(number)
	}
	all.Wait()
	fmt.Println(answered, refused, lost, first.Load())
}
