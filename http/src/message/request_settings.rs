//! What a handler, a wrapper or a router sets for one request in place of the server: its times,
//! its end if the client disconnects, its name in logs and metrics.

use std::time::Duration;

use super::request::Request;
use crate::config::{MinRate, OnDisconnect};
use crate::telemetry::RouteLabel;

impl Request {
    /// Gives the handler another [timeout](crate::Timeouts::handler) from now on: for the return of
    /// its response, or between two writes of a streamed body. `Duration::MAX` means no timeout.
    ///
    /// Not a yield point.
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline::{Request, sched};
    ///
    /// fn report(request: &mut Request) -> &'static str {
    ///     request.set_handler_timeout(Duration::from_secs(600));
    ///     sched::sleep(Duration::from_secs(120)); // a large report
    ///     "the report\n"
    /// }
    /// ```
    pub fn set_handler_timeout(&mut self, timeout: Duration) {
        self.link().pacing.set_handler_timeout(timeout);
    }

    /// Replaces the pace that [`Timeouts::body`](crate::Timeouts::body) asks of this request's
    /// body, from now on.
    ///
    /// Not a yield point.
    ///
    /// ```
    /// use std::{io, time::Duration};
    /// use straightline::{MinRate, Request};
    ///
    /// /// One connection on which the client sends something every few minutes.
    /// fn telemetry(request: &mut Request) -> io::Result<u64> {
    ///     let idle = Duration::from_secs(600);
    ///     let rate = MinRate::default().with_idle(idle).with_bytes_per_second(0);
    ///     request.set_min_body_rate(rate);
    ///     request.body().copy_to(&mut io::sink())
    /// }
    /// ```
    pub fn set_min_body_rate(&mut self, pace: MinRate) {
        self.link().pacing.set_min_body_rate(pace);
    }

    /// Decides whether this request's handler is cancelled when its client disconnects, in place of
    /// [`ServerBuilder::on_disconnect`](crate::ServerBuilder::on_disconnect).
    ///
    /// Not a yield point.
    ///
    /// ```
    /// use straightline::{OnDisconnect, Request};
    ///
    /// fn pay(request: &mut Request) -> &'static str {
    ///     request.on_disconnect(OnDisconnect::Finish); // a client that is gone has still paid
    ///     "paid\n"
    /// }
    /// ```
    pub fn on_disconnect(&mut self, what: OnDisconnect) {
        match what {
            OnDisconnect::Finish => self.link().unwatch(),
            OnDisconnect::Cancel => self.link().watch(),
        }
    }

    /// Gives the request a name under which logs and metrics count it, usually the pattern that its
    /// path has matched. A [`Router`](crate::web::Router) calls this with the pattern of its route,
    /// so a program calls it only to give another name, or where it has no router. The last call
    /// counts.
    ///
    /// A name is a constant: names from the client would make more numbers than there is memory
    /// for. Each name is counted in memory that each shard keeps for the life of the process.
    ///
    /// Not a yield point.
    ///
    /// ```
    /// use straightline::{Request, StatusCode};
    ///
    /// fn thing(request: &mut Request) -> Result<String, StatusCode> {
    ///     request.set_route("/things/{id}");
    ///     let id = request.path().strip_prefix("/things/").ok_or(StatusCode::NOT_FOUND)?;
    ///     Ok(format!("thing {id}\n"))
    /// }
    /// ```
    pub fn set_route(&mut self, route: &'static str) {
        self.set_route_label(RouteLabel::of_name(route));
    }

    /// As [`set_route`](Self::set_route), with a number that the router knows.
    #[inline]
    pub(crate) fn set_route_label(&mut self, route: RouteLabel) {
        self.link().exchange.set_route(route);
    }
}
