//! What the outcome of an attempt says about another one.

use std::time::Duration;

use http::{Method, Response, StatusCode, header};
use straightline_sched::system_time;
use ureq::Error;

use super::connect_error::ConnectError;
use super::refused_address::RefusedAddress;

/// Whether another attempt may help; for [`Retry`](super::Retry).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The outcome is final, good or bad.
    Done,
    /// Another attempt may help.
    Retry,
    /// Another attempt may help, but not before that time.
    RetryAfter(Duration),
}

impl Verdict {
    /// Judges a call of a [`Client`](super::Client):
    ///
    /// | outcome | idempotent method | other method |
    /// |---|---|---|
    /// | no [connection](ConnectError) to the server | another attempt | another attempt |
    /// | a connection that broke, a timeout | another attempt | final |
    /// | the status 429, 502, 503, 504 | another attempt | final |
    /// | an address that the client [refuses](RefusedAddress) | final | final |
    /// | any other status or error | final | final |
    ///
    /// The idempotent methods are those of RFC 9110 section 9.2.2. If the response has a
    /// `Retry-After` (section 10.2.3), the attempt waits for it. Not a yield point.
    ///
    /// ```
    /// use straightline::client::{Client, Retry, RetryBudget, Verdict, ureq};
    /// use straightline::{HandlerError, Method};
    ///
    /// static STOCK: RetryBudget = RetryBudget::new();
    ///
    /// fn stock_of(client: &Client, item: &str) -> Result<String, HandlerError> {
    ///     let url = format!("http://stock.internal/items/{item}");
    ///     let judge = |outcome: &_| Verdict::of_call(&Method::GET, outcome);
    ///     let mut response = Retry::new(&STOCK).run(|| client.get(&url).call(), judge)?;
    ///     Ok(response.body_mut().read_to_string()?)
    /// }
    /// ```
    ///
    /// The body of the response may have any type: an attempt that reads the body itself returns
    /// the response with what it has read, and is then made again if the body breaks.
    pub fn of_call<B>(method: &Method, outcome: &Result<Response<B>, Error>) -> Self {
        match outcome {
            Err(error) if ConnectError::is_cause_of(error) => Self::Retry,
            _ if !method.is_idempotent() => Self::Done,
            Err(error) if RefusedAddress::is_cause_of(error) => Self::Done,
            Err(Error::Io(_) | Error::Timeout(_)) => Self::Retry,
            Err(_) => Self::Done,
            Ok(response) if !is_temporary(response.status()) => Self::Done,
            Ok(response) => match retry_after(response) {
                Some(delay) => Self::RetryAfter(delay),
                None => Self::Retry,
            },
        }
    }
}

fn is_temporary(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// Seconds, or a date; `None` without one, or if it is malformed.
fn retry_after<B>(response: &Response<B>) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    Some(at.duration_since(system_time()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::Ipv4Addr;
    use std::time::UNIX_EPOCH;

    use straightline_sched::sim;
    use ureq::{Body, Timeout};

    use super::*;

    #[allow(clippy::unnecessary_wraps)] // it is the outcome of a call
    fn answered(status: u16, retry_after: &str) -> Result<Response<Body>, Error> {
        let response = Response::builder().status(status);
        let response = match retry_after {
            "" => response,
            value => response.header("retry-after", value),
        };
        Ok(response.body(Body::builder().data("")).unwrap())
    }

    fn io_error() -> Error {
        Error::Io(io::ErrorKind::BrokenPipe.into())
    }

    #[test]
    fn outcomes_are_judged_by_method_error_and_status() {
        use Verdict::{Done, Retry};
        let no_connection = || ConnectError::of("a:80", io::ErrorKind::TimedOut.into());
        for (outcome, of_get, of_post) in [
            (Err(no_connection()), Retry, Retry),
            (Err(Error::Timeout(Timeout::Connect)), Retry, Retry),
            (Err(Error::Timeout(Timeout::RecvResponse)), Retry, Done),
            (Err(io_error()), Retry, Done),
            (Err(RefusedAddress::of("a:80", Ipv4Addr::LOCALHOST.into())), Done, Done),
            (Err(Error::TooManyRedirects), Done, Done),
            (answered(200, ""), Done, Done),
            (answered(500, ""), Done, Done),
            (answered(404, "1"), Done, Done),
            (answered(429, ""), Retry, Done),
            (answered(502, "x"), Retry, Done),
            (answered(503, "7"), Verdict::RetryAfter(Duration::from_secs(7)), Done),
            (answered(504, ""), Retry, Done),
        ] {
            assert_eq!(Verdict::of_call(&Method::GET, &outcome), of_get, "{outcome:?}");
            assert_eq!(Verdict::of_call(&Method::POST, &outcome), of_post, "{outcome:?}");
        }
    }

    #[test]
    fn a_date_is_a_time_from_now_and_a_past_one_is_none() {
        sim::run(1, || {
            let date = |at| httpdate::fmt_http_date(at);
            let soon = answered(503, &date(system_time() + Duration::from_secs(30)));
            let Verdict::RetryAfter(delay) = Verdict::of_call(&Method::GET, &soon) else {
                panic!("{soon:?}");
            };
            assert!(delay > Duration::from_secs(28) && delay <= Duration::from_secs(30));
            let past = answered(503, &date(UNIX_EPOCH));
            let verdict = Verdict::of_call(&Method::GET, &past);
            assert_eq!(verdict, Verdict::RetryAfter(Duration::ZERO));
        });
    }
}
