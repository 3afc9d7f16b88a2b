//! Finds the handler of a request by its host, method and path.
