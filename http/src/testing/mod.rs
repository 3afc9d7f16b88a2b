//! For tests of handlers: a client that calls a handler, a router or a server.
