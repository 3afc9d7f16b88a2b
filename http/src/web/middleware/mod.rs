//! Functions around handlers, for a router, a part of it, or a whole server.
