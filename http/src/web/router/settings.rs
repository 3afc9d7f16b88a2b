//! The limits of a route. The server's own limits stay above them.

use std::time::Duration;

use http::StatusCode;

use crate::config::MinRate;
use crate::message::{IntoResponse, Problem, Request, Response};

/// What a route sets on its requests; `None` is what the router around it sets, or the server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RouteSettings {
    pub(super) body_limit: Option<u64>,
    pub(super) handler_timeout: Option<Duration>,
    pub(super) min_body_rate: Option<MinRate>,
}

impl RouteSettings {
    /// These settings, and those of the router around them where these have none.
    pub(super) fn inside(self, outer: Self) -> Self {
        Self {
            body_limit: self.body_limit.or(outer.body_limit),
            handler_timeout: self.handler_timeout.or(outer.handler_timeout),
            min_body_rate: self.min_body_rate.or(outer.min_body_rate),
        }
    }

    /// Whether [`apply`](Self::apply) does nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.body_limit.is_none() && self.handler_timeout.is_none() && self.min_body_rate.is_none()
    }

    /// Sets the limits on a request, before the wrappers of its route see it.
    pub(super) fn apply(&self, request: &mut Request) {
        if let Some(bytes_max) = self.body_limit {
            request.set_body_limit(bytes_max);
        }
        if let Some(timeout) = self.handler_timeout {
            request.set_handler_timeout(timeout);
        }
        if let Some(rate) = self.min_body_rate {
            request.set_min_body_rate(rate);
        }
    }

    /// The response to a request that announces a longer body than the route allows, so that the
    /// handler need not begin.
    pub(super) fn refuse(&self, request: &Request) -> Option<Response> {
        let bytes_max = self.body_limit?;
        if request.remaining()? <= bytes_max {
            return None;
        }
        let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE)
            .with_detail(format!("The body may have at most {bytes_max} bytes here."))
            .with_member("bytes_max", bytes_max);
        Some(problem.into_response())
    }
}
