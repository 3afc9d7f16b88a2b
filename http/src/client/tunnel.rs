//! A tunnel through a proxy: CONNECT (RFC 9110 section 9.3.6).

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use straightline_net::Transport;
use ureq::{Error, Proxy};

use super::stream_wait::{read, write_all};

/// Asks the proxy at the other end of `stream` for a tunnel to `target`, a host and a port. The
/// caller bounds the time.
///
/// A yield point.
pub(super) fn open(stream: &dyn Transport, target: &str, proxy: &Proxy) -> Result<(), Error> {
    write_all(stream, request(target, proxy).as_bytes(), None)?;
    let mut head = [0; HEAD_BYTES_MAX];
    let mut length = 0;
    loop {
        match read(stream, &mut head[length..], None)? {
            None | Some(0) => return Err(failed("closed the connection, or sent too long a head")),
            Some(count) => length += count,
        }
        if let Some(end) = status(&head[..length])? {
            // The server behind the tunnel speaks only when it is asked.
            let is_all = end == length;
            return is_all.then_some(()).ok_or_else(|| failed("sent bytes behind its head"));
        }
    }
}

/// How long the head of a good answer is; `None` while it is not complete.
fn status(head: &[u8]) -> Result<Option<usize>, Error> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let end = match response.parse(head) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(failed(&format!("sent no HTTP: {error}"))),
    };
    match response.code {
        Some(200..=299) => Ok(Some(end)),
        code => Err(failed(&format!("answered with the status {}", code.unwrap_or_default()))),
    }
}

fn request(target: &str, proxy: &Proxy) -> String {
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(user) = proxy.username() {
        let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
        let mut pair = decoded(user);
        pair.push(b':');
        pair.extend(decoded(proxy.password().unwrap_or_default()));
        let _ = write!(request, "Proxy-Authorization: Basic {}\r\n", BASE64_STANDARD.encode(pair));
    }
    request + "\r\n"
}

fn failed(what: &str) -> Error {
    Error::ConnectProxyFailed(format!("the proxy {what}"))
}

/// Proxies send a line and some fields.
const HEAD_BYTES_MAX: usize = 4096;

const FIELDS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_names_the_target_and_the_user() {
        let proxy = |url| Proxy::new(url).unwrap();
        let plain = request("example.org:443", &proxy("http://127.0.0.1:3128"));
        assert_eq!(plain, "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n");
        let named = request("a:80", &proxy("http://me:p%40ss@127.0.0.1:3128"));
        assert!(named.contains("\r\nProxy-Authorization: Basic bWU6cEBzcw==\r\n"), "{named}");
    }

    #[test]
    fn only_a_complete_head_of_success_opens_the_tunnel() {
        assert_eq!(status(b"HTTP/1.1 200 Conn").unwrap(), None);
        assert_eq!(status(b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n").unwrap(), Some(27));
        for bad in ["HTTP/1.1 407 No\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "SSH-2.0-x\r\n\r\n"]
        {
            assert!(matches!(status(bad.as_bytes()), Err(Error::ConnectProxyFailed(_))), "{bad}");
        }
    }
}
