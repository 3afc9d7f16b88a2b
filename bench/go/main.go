// The peers that Go's standard library has: a proxy, a server of event streams, and a server of
// small responses.
//
// The first argument says which one. The address of the upstream server follows for the proxy, and
// the mode and the folder with the files for the server of small responses.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"time"
)

func main() {
	var handler http.Handler
	var mode, folder string
	switch arguments := os.Args[1:]; {
	case len(arguments) == 2 && arguments[0] == "proxy":
		handler = proxy(arguments[1])
	case len(arguments) == 1 && arguments[0] == "events":
		handler = newHub().routes()
	case len(arguments) == 3 && arguments[0] == "serve":
		mode, folder = arguments[1], arguments[2]
	default:
		log.Fatal("usage: peers proxy UPSTREAM | peers events | peers serve MODE FOLDER")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	if handler == nil {
		log.Fatal(serve(listener, mode, folder))
	}
	log.Fatal(http.Serve(listener, handler))
}

// The connections to the upstream are kept, the buffers are used again, and the fields are those
// that the other proxies write.
func proxy(upstream string) http.Handler {
	target := &url.URL{Scheme: "http", Host: upstream}
	transport := &http.Transport{
		MaxIdleConns:        128,
		MaxIdleConnsPerHost: 128,
		DisableCompression:  true,
	}
	return &httputil.ReverseProxy{
		Transport:  transport,
		BufferPool: &buffers{},
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(target)
			request.SetXForwarded()
			request.Out.Host = request.In.Host
			client, _, _ := net.SplitHostPort(request.In.RemoteAddr)
			forwarded := fmt.Sprintf("for=%s;host=%q;proto=http", client, request.In.Host)
			request.Out.Header.Set("Forwarded", forwarded)
			request.Out.Header.Set("Via", "1.1 go")
		},
	}
}

type buffers struct{ pool sync.Pool }

func (buffers *buffers) Get() []byte {
	if buffer, ok := buffers.pool.Get().(*[]byte); ok {
		return *buffer
	}
	return make([]byte, 32*1024)
}

func (buffers *buffers) Put(buffer []byte) { buffers.pool.Put(&buffer) }

// The streams that are open.
type hub struct {
	mutex   sync.Mutex
	streams map[chan []byte]struct{}
}

func newHub() *hub { return &hub{streams: map[chan []byte]struct{}{}} }

func (hub *hub) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /events", hub.events)
	mux.HandleFunc("POST /publish", hub.publish)
	return mux
}

func (hub *hub) events(w http.ResponseWriter, r *http.Request) {
	stream := make(chan []byte, 16)
	hub.mutex.Lock()
	hub.streams[stream] = struct{}{}
	hub.mutex.Unlock()
	defer func() {
		hub.mutex.Lock()
		delete(hub.streams, stream)
		hub.mutex.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	controller := http.NewResponseController(w)
	if controller.Flush() != nil {
		return
	}
	heartbeat := time.NewTicker(12 * time.Second)
	defer heartbeat.Stop()
	for {
		event := []byte(":\n\n")
		select {
		case event = <-stream:
		case <-heartbeat.C:
		case <-r.Context().Done():
			return
		}
		if _, err := w.Write(event); err != nil || controller.Flush() != nil {
			return
		}
	}
}

// A stream whose queue is full misses the event.
func (hub *hub) publish(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64*1024))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	event := fmt.Appendf(nil, "id: 1\ndata: %s\n\n", text)
	hub.mutex.Lock()
	count := 0
	for stream := range hub.streams {
		select {
		case stream <- event:
			count++
		default:
		}
	}
	hub.mutex.Unlock()
	fmt.Fprintln(w, count)
}
