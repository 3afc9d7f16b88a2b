//! What the kit reads from a request, as methods.

#[cfg(feature = "router")]
use std::str::FromStr;

#[cfg(feature = "router")]
use super::router::{self, Params};
#[cfg(feature = "router")]
use crate::message::Problem;
use crate::message::Request;

/// What the kit reads from a request. Each method belongs to a piece of the kit, whose page says
/// more.
pub trait RequestExt {
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
