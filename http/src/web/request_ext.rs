//! What the kit reads from a request, as methods.

use std::net::IpAddr;
#[cfg(feature = "router")]
use std::str::FromStr;

#[cfg(feature = "_serde")]
use serde::de::DeserializeOwned;

use super::client_address::{ClientAddress, TrustedProxies};
use super::coding::DecodedBody;
#[cfg(feature = "cookies")]
use super::cookies::Cookies;
use super::files::Validators;
#[cfg(feature = "form")]
use super::forms::{FORM_BYTES_MAX, read_form, read_query};
use super::forms::{Multipart, MultipartLimits};
#[cfg(feature = "json")]
use super::json::{JSON_BYTES_MAX, read_json};
use super::middleware::{TraceContext, id_of};
use super::negotiation::{AcceptedEncodings, AcceptedLanguages, AcceptedTypes};
#[cfg(feature = "router")]
use super::router::{self, Params};
use crate::message::{Problem, Request, Response};

/// What the kit reads from a request. Each method belongs to a piece of the kit, whose page says
/// more.
pub trait RequestExt {
    /// The id of the request, behind the middleware
    /// [`request_id`](crate::web::middleware::request_id). Not a yield point.
    fn request_id(&self) -> Option<&str>;

    /// The place of the request in its trace, behind the middleware
    /// [`trace_context`](crate::web::middleware::trace_context). Not a yield point.
    fn trace_context(&self) -> Option<&TraceContext>;

    /// The client behind trusted proxies, see [`TrustedProxies::client`]. Not a yield point.
    ///
    /// # Errors
    ///
    /// A 400 if a trusted proxy has sent a field that is malformed.
    fn client_address(&self, proxies: &TrustedProxies) -> Result<ClientAddress, Problem>;

    /// The client's address behind trusted proxies: `None` if a proxy hides it, and for a client of
    /// a Unix socket. [`TrustedProxies`] has an example. Not a yield point.
    ///
    /// # Errors
    ///
    /// As [`client_address`](Self::client_address).
    fn client_ip(&self, proxies: &TrustedProxies) -> Result<Option<IpAddr>, Problem>;

    /// The content codings that the client accepts, see [`AcceptedEncodings`]. Not a yield point.
    fn accepted_encodings(&self) -> AcceptedEncodings<'_>;

    /// The languages that the client accepts, see [`AcceptedLanguages`]. Not a yield point.
    fn accepted_languages(&self) -> AcceptedLanguages<'_>;

    /// The media types that the client accepts, see [`AcceptedTypes`]. Not a yield point.
    fn accepted_types(&self) -> AcceptedTypes<'_>;

    /// Evaluates the request's conditions: the response if the method must not be performed, a 304
    /// or a 412. See [`Validators`]. Not a yield point.
    fn check_conditions(&self, validators: &Validators) -> Option<Response>;

    /// The cookies that the client has sent, see [`Cookies`]. Not a yield point.
    #[cfg(feature = "cookies")]
    fn cookies(&self) -> Cookies<'_>;

    /// The body, which is a form (`application/x-www-form-urlencoded`), as a value. A name that
    /// repeats is for a `Vec`; an empty value is `None` for a number, and
    /// [`empty_as_none`](super::empty_as_none()) makes it so for other types.
    ///
    /// # Blocking
    ///
    /// A yield point, unless the whole body came with the head.
    ///
    /// # Errors
    ///
    /// 415 for another media type, another charset than UTF-8, or an unknown content coding; 413
    /// for more bytes than [`Request::set_body_limit`] allows, or than 1 MiB without it; 400 for
    /// more than 1000 values and for what is not UTF-8; 422 for a value that does not fit the type,
    /// with the name as the member `field`; otherwise why the body could not be read.
    ///
    /// ```
    /// use serde::Deserialize;
    /// use straightline::web::RequestExt;
    /// use straightline::{Problem, Request};
    ///
    /// #[derive(Deserialize)]
    /// struct Order {
    ///     name: String,
    ///     #[serde(default)]
    ///     topping: Vec<String>,
    /// }
    ///
    /// fn order(request: &mut Request) -> Result<String, Problem> {
    ///     let order: Order = request.form()?;
    ///     Ok(format!("a pizza for {} with {}\n", order.name, order.topping.join(" and ")))
    /// }
    ///
    /// let mut request = Request::builder()
    ///     .header("content-type", "application/x-www-form-urlencoded")
    ///     .body("name=Ada+L&topping=basil&topping=olives")
    ///     .build()?;
    /// assert_eq!(order(&mut request)?, "a pizza for Ada L with basil and olives\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "form")]
    fn form<T: DeserializeOwned>(&self) -> Result<T, Problem>;

    /// The body, which is JSON, as a value. [`Json`](super::Json) is a response.
    ///
    /// # Blocking
    ///
    /// A yield point, unless the whole body came with the head. The text is parsed in one go: for
    /// much larger bodies than the default, parse in
    /// [`sched::offload`](straightline_sched::offload).
    ///
    /// # Errors
    ///
    /// - 415 for a media type other than `application/json` and `application/*+json`, a charset
    ///   other than UTF-8, or a content coding that [`DecodedBody`] does not decode.
    /// - 413 for more bytes than [`Request::set_body_limit`] allows, or than 1 MiB without it.
    /// - 400 for what is not JSON (RFC 8259) or not UTF-8, for an empty body, and for more than 127
    ///   levels; where the mistake is stands in the members `line` and `column`.
    /// - 422 for a value that does not fit the type, with the path of the field as the member
    ///   `field`. Unknown fields are ignored unless the type says `deny_unknown_fields`. A struct
    ///   is an object; an array, which serde would take too, is not one.
    /// - Otherwise why the body could not be read.
    ///
    /// ```
    /// use serde::Deserialize;
    /// use straightline::web::RequestExt;
    /// use straightline::{Request, StatusCode};
    ///
    /// #[derive(Debug, Deserialize)]
    /// struct Point {
    ///     x: i32,
    ///     y: i32,
    /// }
    ///
    /// let json = || Request::builder().header("content-type", "application/json");
    /// let request = json().body(r#"[{"x":1,"y":2},{"x":3,"y":"four"}]"#).build()?;
    /// let problem = request.json::<Vec<Point>>().unwrap_err();
    /// assert_eq!(problem.status(), StatusCode::UNPROCESSABLE_ENTITY);
    /// let detail = "[1].y: invalid type: string \"four\", expected i32 at line 1 column 32";
    /// assert_eq!(problem.detail(), Some(detail));
    /// # Ok::<(), straightline::InvalidRequest>(())
    /// ```
    #[cfg(feature = "json")]
    fn json<T: DeserializeOwned>(&self) -> Result<T, Problem>;

    /// The query as a value; without a query, as an empty one. A name that repeats is for a `Vec`;
    /// an empty value is `None` for a number, and [`empty_as_none`](super::empty_as_none()) makes
    /// it so for other types. Not a yield point.
    ///
    /// # Errors
    ///
    /// 400 for a value that does not fit the type, with the name as the member `field`, for more
    /// than 1000 values, and for what is not UTF-8.
    ///
    /// ```
    /// use serde::Deserialize;
    /// use straightline::web::RequestExt;
    /// use straightline::{Problem, Request};
    ///
    /// #[derive(Deserialize)]
    /// struct Page {
    ///     offset: Option<u64>,
    ///     #[serde(default)]
    ///     tag: Vec<String>,
    /// }
    ///
    /// fn list(request: &mut Request) -> Result<String, Problem> {
    ///     let page: Page = request.query_as()?;
    ///     Ok(format!("from {}, with {:?}\n", page.offset.unwrap_or(0), page.tag))
    /// }
    ///
    /// let mut request = Request::builder().target("/?tag=a&tag=b%20c&offset=").build()?;
    /// assert_eq!(list(&mut request)?, "from 0, with [\"a\", \"b c\"]\n");
    /// let mut request = Request::builder().target("/?offset=-1").build()?;
    /// let problem = list(&mut request).unwrap_err();
    /// assert_eq!(problem.to_string(), "400: Bad Request: offset: invalid digit found in string");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "form")]
    fn query_as<T: DeserializeOwned>(&self) -> Result<T, Problem>;

    /// The body without its content codings, of at most `bytes_max` bytes, see [`DecodedBody`]. Not
    /// a yield point.
    ///
    /// # Errors
    ///
    /// 415 with the codings that are understood, if the body has another one; 413 if the client has
    /// announced more bytes, and 503 if the server has no memory for a decoder.
    fn decoded_body(&self, bytes_max: u64) -> Result<DecodedBody<'_>, Problem>;

    /// The parts of a multipart form, see [`Multipart`]. Not a yield point.
    ///
    /// # Errors
    ///
    /// 415 if the body is not `multipart/form-data`; 400 without a valid boundary.
    fn multipart(&self) -> Result<Multipart<'_>, Problem>;

    /// As [`multipart`](Self::multipart), with other limits.
    fn multipart_within(&self, limits: MultipartLimits) -> Result<Multipart<'_>, Problem>;

    /// The value of a parameter of the path, percent-decoded and parsed: the part of the path that
    /// the route's pattern calls `{name}`. Not a yield point.
    ///
    /// A value never contains what could be taken for another segment: an escaped slash, an escaped
    /// NUL, a dot segment (`.` or `..`) and what is not UTF-8 are refused. The value of a wildcard
    /// (`{*name}`) may have slashes, but none at its beginning.
    ///
    /// # Errors
    ///
    /// A 404 if the value does not parse: there is no such resource. A 400 if it is refused. Both
    /// name the parameter.
    ///
    /// # Panics
    ///
    /// If the pattern of the request's route has no such parameter, or the request has not passed a
    /// [`Router`](super::Router): a mistake of the program, which gives a 500.
    ///
    /// ```
    /// use straightline::web::{RequestExt, Router};
    /// use straightline::{Handler, Problem, Request, Response, StatusCode};
    ///
    /// fn todo(request: &mut Request) -> Result<String, Problem> {
    ///     let id: u64 = request.param("id")?;
    ///     Ok(format!("todo {id}\n"))
    /// }
    ///
    /// let router = Router::new().get("/todos/{id}", todo);
    /// let mut request = Request::builder().target("/todos/7").build()?;
    /// assert_eq!(router.handle(&mut request).body().as_bytes(), Some(&b"todo 7\n"[..]));
    /// let mut request = Request::builder().target("/todos/seven").build()?;
    /// assert_eq!(router.handle(&mut request).status(), StatusCode::NOT_FOUND);
    /// # Ok::<(), straightline::InvalidRequest>(())
    /// ```
    #[cfg(feature = "router")]
    fn param<T: FromStr>(&self, name: &str) -> Result<T, Problem>;

    /// All parameters of the path, in the order of the pattern, percent-decoded; none if the route
    /// has none. A value that [`param`](Self::param) would refuse is an error here too. Not a yield
    /// point.
    ///
    /// ```
    /// use straightline::web::{RequestExt, Router};
    /// use straightline::{Handler, Problem, Request};
    ///
    /// fn list(request: &mut Request) -> Result<String, Problem> {
    ///     let mut text = String::new();
    ///     for (name, value) in request.params() {
    ///         text += &format!("{name}={}\n", value?);
    ///     }
    ///     Ok(text)
    /// }
    ///
    /// let router = Router::new().get("/{user}/{repository}", list);
    /// let mut request = Request::builder().target("/ada/engine%20notes").build()?;
    /// let response = router.handle(&mut request);
    /// assert_eq!(response.body().as_bytes(), Some(&b"user=ada\nrepository=engine notes\n"[..]));
    /// # Ok::<(), straightline::InvalidRequest>(())
    /// ```
    #[cfg(feature = "router")]
    fn params(&self) -> Params<'_>;
}

impl RequestExt for Request {
    fn request_id(&self) -> Option<&str> {
        id_of(self)
    }

    fn trace_context(&self) -> Option<&TraceContext> {
        self.extensions().get()
    }

    fn client_address(&self, proxies: &TrustedProxies) -> Result<ClientAddress, Problem> {
        proxies.client(self)
    }

    fn client_ip(&self, proxies: &TrustedProxies) -> Result<Option<IpAddr>, Problem> {
        proxies.client(self).map(|client| client.ip())
    }

    fn accepted_encodings(&self) -> AcceptedEncodings<'_> {
        AcceptedEncodings::of(self.headers())
    }

    fn accepted_languages(&self) -> AcceptedLanguages<'_> {
        AcceptedLanguages::of(self.headers())
    }

    fn accepted_types(&self) -> AcceptedTypes<'_> {
        AcceptedTypes::of(self.headers())
    }

    fn check_conditions(&self, validators: &Validators) -> Option<Response> {
        validators.check(self)
    }

    #[cfg(feature = "cookies")]
    fn cookies(&self) -> Cookies<'_> {
        Cookies::of(self.headers())
    }

    #[cfg(feature = "form")]
    fn form<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        read_form(self, FORM_BYTES_MAX)
    }

    #[cfg(feature = "json")]
    fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        read_json(self, JSON_BYTES_MAX)
    }

    #[cfg(feature = "form")]
    fn query_as<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        read_query(self)
    }

    fn decoded_body(&self, bytes_max: u64) -> Result<DecodedBody<'_>, Problem> {
        DecodedBody::of(self, bytes_max)
    }

    fn multipart(&self) -> Result<Multipart<'_>, Problem> {
        self.multipart_within(MultipartLimits::default())
    }

    fn multipart_within(&self, limits: MultipartLimits) -> Result<Multipart<'_>, Problem> {
        Multipart::of(self, limits)
    }

    #[cfg(feature = "router")]
    #[track_caller]
    fn param<T: FromStr>(&self, name: &str) -> Result<T, Problem> {
        router::param(self, name)
    }

    #[cfg(feature = "router")]
    fn params(&self) -> Params<'_> {
        router::params(self)
    }
}
