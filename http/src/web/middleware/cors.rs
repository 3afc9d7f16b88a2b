//! Cross-origin resource sharing (the Fetch standard): which other sites' pages may call this
//! service.
//!
//! The browser enforces it. It asks before a call that a form could not make (a preflight), and
//! hides the response of a call that is not allowed. The fields are the same whether the handler
//! succeeds or not, so that the page can read errors too.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use crate::conn::Next;
use crate::message::{Request, Response};

/// Which pages of other origins may call, and what.
///
/// By default no origin is allowed, with the methods GET, HEAD and POST, without credentials. A
/// preflight is answered here, by a 204, so the handler does not see it.
///
/// ```
/// use straightline::testing::Client;
/// use straightline::web::middleware::Cors;
/// use straightline::{Method, Request};
///
/// let cors = || {
///     Cors::new()
///         .allow_origins(["https://app.example"])
///         .allow_methods([Method::GET, Method::PUT])
///         .allow_headers(["content-type"])
///         .middleware()
/// };
/// let client =
///     Client::with_settings(|_: &mut Request| "hi\n", move |server| server.wrap(cors()));
/// let preflight = client.options("/").header("origin", "https://app.example");
/// let answer = preflight.header("access-control-request-method", "PUT").send();
/// answer.assert_status(204).assert_header("access-control-allow-methods", "GET, PUT");
/// let answer = client.get("/").header("origin", "https://app.example").send();
/// answer.assert_header("access-control-allow-origin", "https://app.example");
/// let answer = client.get("/").header("origin", "https://evil.example").send();
/// answer.assert_no_header("access-control-allow-origin").assert_header("vary", "origin");
/// ```
#[derive(Clone)]
#[must_use = "`middleware` makes the function to wrap with"]
pub struct Cors {
    origins: Origins,
    methods: Vec<Method>,
    headers: Vec<HeaderName>,
    exposed: Vec<HeaderName>,
    has_credentials: bool,
    has_private_network: bool,
    max_age: Option<Duration>,
}

#[derive(Clone)]
enum Origins {
    Any,
    These(Vec<String>),
    If(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

/// The fields that are the same in each response.
struct Fields {
    methods: Option<HeaderValue>,
    headers: Option<HeaderValue>,
    exposed: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
}

impl Cors {
    /// No origin is allowed.
    pub fn new() -> Self {
        Self {
            origins: Origins::These(Vec::new()),
            methods: vec![Method::GET, Method::HEAD, Method::POST],
            headers: Vec::new(),
            exposed: Vec::new(),
            has_credentials: false,
            has_private_network: false,
            max_age: None,
        }
    }

    /// Allows these origins, in place of what was allowed before: scheme, host and, unless it is
    /// the scheme's own, port, as a browser writes them. `null` is the origin of pages without one,
    /// which any site can make.
    ///
    /// # Panics
    ///
    /// If one of them could not be an origin: it has a path, a capital letter, or a `/` at its end.
    #[track_caller]
    pub fn allow_origins(mut self, origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let origins: Vec<String> = origins.into_iter().map(Into::into).collect();
        for origin in &origins {
            assert!(
                origin == "null" || is_origin(origin),
                "straightline: {origin:?} is no origin: write scheme, host and port as a browser \
                 does, such as \"https://app.example\", without a path"
            );
        }
        self.origins = Origins::These(origins);
        self
    }

    /// Allows the origins for which the function returns true. It must not wait.
    pub fn allow_origins_if(
        mut self,
        is_allowed: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.origins = Origins::If(Arc::new(is_allowed));
        self
    }

    /// Allows every origin, for a service that is open to all. It cannot be combined with
    /// [credentials](Self::allow_credentials).
    pub fn allow_any_origin(mut self) -> Self {
        self.origins = Origins::Any;
        self
    }

    /// Allows these methods, in place of GET, HEAD and POST.
    pub fn allow_methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = methods.into_iter().collect();
        self
    }

    /// Allows these header fields in a request, beside those that need no permission.
    ///
    /// # Panics
    ///
    /// If one of them is not the name of a field.
    #[track_caller]
    pub fn allow_headers(mut self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.headers = names.into_iter().map(|name| field_name(name.as_ref())).collect();
        self
    }

    /// Lets pages read these fields of a response, beside those that they may read anyway.
    ///
    /// # Panics
    ///
    /// As [`allow_headers`](Self::allow_headers).
    #[track_caller]
    pub fn expose_headers(mut self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.exposed = names.into_iter().map(|name| field_name(name.as_ref())).collect();
        self
    }

    /// Allows cookies and other credentials of the user: the page then acts with the user's rights.
    pub fn allow_credentials(mut self) -> Self {
        self.has_credentials = true;
        self
    }

    /// Allows pages of the public internet to call this service in a private network.
    pub fn allow_private_network(mut self) -> Self {
        self.has_private_network = true;
        self
    }

    /// How long a browser may remember the answer to a preflight. Default: its own default, a few
    /// seconds.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// The function to wrap a server or a router with. Around a router, it also answers the
    /// preflights of routes that have no OPTIONS.
    ///
    /// # Panics
    ///
    /// If any origin is allowed with credentials: every site could act with the rights of every
    /// user. Use [`allow_origins`](Self::allow_origins).
    #[track_caller]
    pub fn middleware(self) -> impl Fn(&mut Request, Next<'_>) -> Response + Send + Sync + 'static {
        let is_open = matches!(self.origins, Origins::Any) && self.has_credentials;
        assert!(
            !is_open,
            "straightline: `Cors` with credentials for any origin lets every site act as the user: \
             list the origins with `allow_origins`"
        );
        let fields = Fields {
            methods: list(self.methods.iter().map(Method::as_str)),
            headers: list(self.headers.iter().map(HeaderName::as_str)),
            exposed: list(self.exposed.iter().map(HeaderName::as_str)),
            max_age: self.max_age.map(|age| HeaderValue::from(age.as_secs())),
        };
        move |request, next| {
            let origin = self.allowed_origin(request);
            let mut response = if is_preflight(request) {
                self.preflight(request, origin.is_some(), &fields)
            } else {
                let mut response = next.run(request);
                if origin.is_some() {
                    put(
                        &mut response,
                        &header::ACCESS_CONTROL_EXPOSE_HEADERS,
                        fields.exposed.as_ref(),
                    );
                }
                response
            };
            self.put_origin(&mut response, origin);
            response
        }
    }

    /// The value that allows the origin of the request.
    fn allowed_origin(&self, request: &Request) -> Option<HeaderValue> {
        let mut sent = request.headers().all(header::ORIGIN);
        let (origin, None) = (sent.next()?, sent.next()) else { return None };
        let text = str::from_utf8(origin).ok()?;
        let is_allowed = match &self.origins {
            Origins::Any => return Some(HeaderValue::from_static("*")),
            Origins::These(origins) => origins.iter().any(|other| other == text),
            Origins::If(is_allowed) => is_allowed(text),
        };
        HeaderValue::from_bytes(origin).ok().filter(|_| is_allowed)
    }

    /// The answer to a preflight.
    fn preflight(&self, request: &Request, is_allowed: bool, fields: &Fields) -> Response {
        let mut response = Response::new(StatusCode::NO_CONTENT);
        let mut asked = "access-control-request-method, access-control-request-headers".to_owned();
        if self.has_private_network {
            asked += ", access-control-request-private-network";
        }
        response.append_header(header::VARY, asked);
        if !is_allowed {
            return response;
        }
        put(&mut response, &header::ACCESS_CONTROL_ALLOW_METHODS, fields.methods.as_ref());
        put(&mut response, &header::ACCESS_CONTROL_ALLOW_HEADERS, fields.headers.as_ref());
        put(&mut response, &header::ACCESS_CONTROL_MAX_AGE, fields.max_age.as_ref());
        if self.has_private_network
            && request.headers().get("access-control-request-private-network") == Some("true")
        {
            response.set_header("access-control-allow-private-network", "true");
        }
        response
    }

    /// Puts the fields that both kinds of responses have, in place of the handler's own: two
    /// allowed origins would be none.
    fn put_origin(&self, response: &mut Response, origin: Option<HeaderValue>) {
        response.remove_header(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        response.remove_header(header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
        // Also without an origin: a cache must not give that response to another page.
        let varies = !matches!(self.origins, Origins::Any);
        if varies && !response.headers().list(header::VARY).any(is_vary_by_origin) {
            response.append_header(header::VARY, "origin");
        }
        if let Some(origin) = origin {
            response.set_header(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            if self.has_credentials {
                response.set_header(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
            }
        }
    }
}

fn is_vary_by_origin(element: &str) -> bool {
    element == "*" || element.eq_ignore_ascii_case("origin")
}

/// Whether a browser asks if it may make a call.
fn is_preflight(request: &Request) -> bool {
    let has = |name: HeaderName| request.headers().contains(name);
    *request.method() == Method::OPTIONS
        && has(header::ORIGIN)
        && has(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn put(response: &mut Response, name: &HeaderName, value: Option<&HeaderValue>) {
    value.into_iter().for_each(|value| response.set_header(name, value));
}

/// A list of names; `None` if it is empty.
fn list<'n>(names: impl Iterator<Item = &'n str>) -> Option<HeaderValue> {
    let names: Vec<_> = names.collect();
    HeaderValue::from_str(&names.join(", ")).ok().filter(|value| !value.is_empty())
}

/// Whether a browser could send this as an origin (RFC 6454 section 6.2).
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let is_good = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
    let has_no_more = !host.contains(['/', '?', '#', '@', ',', '*']);
    !scheme.is_empty() && !host.is_empty() && text.bytes().all(is_good) && has_no_more
}

/// # Panics
///
/// If the text is not the name of a field.
#[track_caller]
fn field_name(text: &str) -> HeaderName {
    match HeaderName::try_from(text) {
        Ok(name) => name,
        Err(error) => panic!("straightline: {text:?} is not the name of a header field: {error}"),
    }
}

impl Default for Cors {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Cors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origins = match &self.origins {
            Origins::Any => "any".to_owned(),
            Origins::These(origins) => origins.join(" "),
            Origins::If(_) => "by a function".to_owned(),
        };
        f.debug_struct("Cors")
            .field("origins", &origins)
            .field("methods", &self.methods)
            .field("headers", &self.headers)
            .field("credentials", &self.has_credentials)
            .finish_non_exhaustive()
    }
}
