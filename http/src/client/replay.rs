//! The request that was sent on a connection that had been idle, to be sent again.
//!
//! A server may close an idle connection at the moment when a request is on its way. The client
//! then sees the end of the connection in place of a response, and cannot know whether the server
//! has seen the request. If the method is idempotent, the client makes the request again, on a new
//! connection (RFC 9112 section 9.3.1). For that it keeps what it has sent, until the first byte of
//! the response, and as long as that is not much.

/// What was sent of a request that may be sent again.
#[derive(Debug, Default)]
pub(super) struct Replay {
    bytes: Vec<u8>,
}

impl Replay {
    /// Adds bytes that are sent; `None` if the request cannot be sent again.
    pub(super) fn and(mut self, bytes: &[u8]) -> Option<Self> {
        let begins = self.bytes.is_empty();
        if (begins && !is_idempotent(bytes)) || self.bytes.len() + bytes.len() > BYTES_MAX {
            return None;
        }
        self.bytes.extend_from_slice(bytes);
        Some(self)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Whether a request with that beginning has an idempotent method (RFC 9110 section 9.2.2).
fn is_idempotent(request: &[u8]) -> bool {
    let methods: [&[u8]; 6] = [b"GET ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"TRACE "];
    methods.iter().any(|method| request.starts_with(method))
}

/// The heads of requests, and small bodies. Larger ones would cost more memory than a failed call.
const BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_idempotent_requests_are_kept() {
        for (method, is_kept) in [
            ("GET", true),
            ("HEAD", true),
            ("PUT", true),
            ("DELETE", true),
            ("POST", false),
            ("PATCH", false),
            ("GETS", false),
        ] {
            let head = format!("{method} / HTTP/1.1\r\n\r\n");
            assert_eq!(Replay::default().and(head.as_bytes()).is_some(), is_kept, "{method}");
        }
    }

    #[test]
    fn a_request_is_kept_up_to_the_limit() {
        for (more, is_kept) in
            [(BYTES_MAX - 5, true), (BYTES_MAX - 4, true), (BYTES_MAX - 3, false)]
        {
            let kept = Replay::default().and(b"PUT ").and_then(|replay| replay.and(&vec![0; more]));
            assert_eq!(kept.is_some(), is_kept);
            assert!(kept.is_none_or(|kept| kept.bytes().len() == 4 + more));
        }
    }
}
