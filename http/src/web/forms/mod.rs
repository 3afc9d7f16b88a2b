//! What clients send from forms: queries, urlencoded bodies, multipart bodies.
