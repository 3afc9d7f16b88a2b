package main

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
)

// The server of the comparison: the paths that the other servers have.
func serve(listener net.Listener, mode, folder string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /plaintext", text("Hello, World!"))
	mux.HandleFunc("GET /json", func(w http.ResponseWriter, r *http.Request) {
		body, err := json.Marshal(message{"Hello, World!"})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	})
	piece := []byte(strings.Repeat("x", 4096))
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		for range 16 {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("GET /offload", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write([]byte(strconv.FormatUint(work(), 10)))
	})
	files := http.FileServer(http.Dir(filepath.Join(folder, "site")))
	mux.Handle("GET /static/", http.StripPrefix("/static/", files))
	if mode == "routed" {
		addRoutes(mux)
	}
	if mode != "tls" {
		return http.Serve(listener, mux)
	}
	server := &http.Server{
		Handler:   mux,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13},
		// HTTP/1.1 alone, as the other servers.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	certificate, key := filepath.Join(folder, "certificate.pem"), filepath.Join(folder, "key.pem")
	return server.ServeTLS(listener, certificate, key)
}

type message struct {
	Message string `json:"message"`
}

func text(body string) http.HandlerFunc {
	bytes := []byte(body)
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write(bytes)
	}
}

// The job of `bench/src/compare/serve/work.rs`.
func work() uint64 {
	value := start
	for range 5_000 {
		value ^= value >> 12
		value ^= value << 25
		value ^= value >> 27
		value *= 0x2545_f491_4f6c_dd1d
	}
	return value
}

// A variable, so that the compiler does not know the result.
var start uint64 = 1

func addRoutes(mux *http.ServeMux) {
	names := strings.Fields(`accounts albums articles authors books branches carts commits customers
		events files groups invoices issues jobs labels messages orders pages payments photos places plans
		players posts products projects releases reports teams tickets users videos`)
	for _, name := range names {
		mux.HandleFunc("GET /"+name, text("Hello, World!"))
		mux.HandleFunc("GET /"+name+"/{id}", text("Hello, World!"))
		if name != "orders" {
			mux.HandleFunc("GET /"+name+"/{id}/comments", text("Hello, World!"))
		}
	}
	mux.HandleFunc("GET /orders/{id}/comments", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write([]byte(r.PathValue("id")))
	})
}
