//! Content negotiation (RFC 9110 section 12): which of several variants a client prefers.
