// A REST service: notes as JSON, kept in memory.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"
)

type Note struct {
	Text string `json:"text"`
}

type Notes struct {
	mutex sync.Mutex
	all   []Note
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value)
}

func (notes *Notes) list(w http.ResponseWriter, r *http.Request) {
	limit := uint64(20)
	if text := r.URL.Query().Get("limit"); text != "" {
		var err error
		if limit, err = strconv.ParseUint(text, 10, 32); err != nil {
			http.Error(w, "limit is not a number", http.StatusBadRequest)
			return
		}
	}
	notes.mutex.Lock()
	defer notes.mutex.Unlock()
	answer(w, http.StatusOK, append([]Note{}, notes.all[:min(limit, uint64(len(notes.all)))]...))
}

func (notes *Notes) add(w http.ResponseWriter, r *http.Request) {
	var note Note
	reader := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64*1024))
	reader.DisallowUnknownFields()
	if err := reader.Decode(&note); err != nil {
		http.Error(w, "not a note", http.StatusUnprocessableEntity)
		return
	}
	notes.mutex.Lock()
	defer notes.mutex.Unlock()
	notes.all = append(notes.all, note)
	w.Header().Set("Location", fmt.Sprintf("/notes/%d", len(notes.all)-1))
	answer(w, http.StatusCreated, note)
}

func (notes *Notes) one(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.ParseUint(r.PathValue("number"), 10, 32)
	notes.mutex.Lock()
	defer notes.mutex.Unlock()
	if err != nil || number >= uint64(len(notes.all)) {
		http.NotFound(w, r)
		return
	}
	answer(w, http.StatusOK, notes.all[number])
}

func withToken(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "a token, please", http.StatusUnauthorized)
			return
		}
		next(w, r)
	}
}

func main() {
	notes := &Notes{}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /notes", notes.list)
	routes.HandleFunc("POST /notes", withToken(notes.add))
	routes.HandleFunc("GET /notes/{number}", notes.one)
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("listening on", listener.Addr())
	server := &http.Server{Handler: routes, ReadHeaderTimeout: 15 * time.Second}
	stop, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	ended := make(chan error)
	go func() {
		<-stop.Done()
		patience, cancel := context.WithTimeout(context.Background(), 25*time.Second)
		defer cancel()
		ended <- server.Shutdown(patience)
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	<-ended
}
