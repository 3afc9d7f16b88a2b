//! A line in the program's log for each request.

use slog::info;
use straightline_sched::{logger, now};

use super::request_id::id_of;
use super::trace_context::TraceContext;
use crate::conn::Next;
use crate::message::{Request, Response};

/// Writes a line for each response to the [logger](straightline_sched::logger) of the fiber, at the
/// level `info`: method, path, status, time in microseconds, and, behind these middlewares, the
/// request id and the trace. The query is left out, because it may have secrets.
///
/// It sees the response as the handler returns it. The
/// [access log](crate::ServerBuilder::access_log) has what was sent in the end, also for requests
/// that no handler saw, and is written beside the threads of the shards: prefer it where it has all
/// that you need.
///
/// # Blocking
///
/// A yield point if the handler is one.
///
/// ```
/// use straightline::testing::Client;
/// use straightline::web::middleware;
/// use straightline::{Request, ServerBuilder};
///
/// fn settings(server: ServerBuilder) -> ServerBuilder {
///     // The outermost first: the id is there when the line is written.
///     server.wrap(middleware::request_id).wrap(middleware::log)
/// }
///
/// Client::with_settings(|_: &mut Request| "hi\n", settings).get("/").send().assert_status(200);
/// ```
pub fn log(request: &mut Request, next: Next<'_>) -> Response {
    let begun = now();
    let response = next.run(request);
    let duration = now().saturating_duration_since(begun);
    let trace = request.extensions().get::<TraceContext>().map(TraceContext::trace_id);
    let logger = logger();
    info!(logger, "{} {}", request.method(), request.path();
        "status" => response.status().as_u16(),
        "duration_us" => u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
        "request_id" => id_of(request),
        "trace_id" => trace,
    );
    response
}
