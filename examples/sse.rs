//! A page that shows what is published, as it comes: `curl -d hello localhost:8080/publish`.
//!
//! `GET /events` is the stream, also for `curl -N localhost:8080/events`. A client that comes again
//! gets what it has missed, from the newest events that the feed keeps.

use std::process::ExitCode;

use clap::Parser;
use straightline::sse::{Event, EventStream, Feed, FeedSettings};
use straightline::web::{Html, Router, get, post};
use straightline::{BodyError, Limits, Request};
use straightline_examples::{ServerArgs, logger, run, serve};

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Events that are kept for clients that come again
    #[arg(long, value_name = "N", default_value_t = FeedSettings::default().events)]
    replay: usize,
    /// Bytes of an event; more is 413
    #[arg(long, value_name = "BYTES", default_value_t = 64 * 1024)]
    body_bytes: u64,
}

fn events(request: &mut Request, feed: &Feed) -> EventStream {
    feed.subscribe(request)
}

/// Each line of the text becomes a `data` field, so the text is always one event.
fn publish(request: &mut Request, feed: &Feed) -> Result<String, BodyError> {
    let bytes = request.body().read_to_vec(u64::MAX)?; // the server has a limit
    let text = String::from_utf8(bytes).map_err(|_| BodyError::NotText)?;
    Ok(format!("sent to {} clients\n", feed.publish(&Event::new(text))))
}

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Events</title>
<form><input name="text" autofocus> <button>Publish</button></form>
<p id="state">connecting</p>
<ol id="events"></ol>
<script>
  const show = (id, text) => document.getElementById(id).textContent = text;
  const add = text => {
    const item = document.createElement("li");
    item.textContent = text;
    document.getElementById("events").append(item);
  };
  const events = new EventSource("/events");
  events.onopen = () => show("state", "connected");
  events.onerror = () => show("state", "connecting again");
  events.onmessage = event => add(event.data);
  events.addEventListener("gap", event => add("(events are missing: " + event.data + ")"));
  document.querySelector("form").onsubmit = event => {
    event.preventDefault();
    fetch("/publish", { method: "POST", body: event.target.text.value });
    event.target.reset();
  };
</script>
</html>
"#;

fn main() -> ExitCode {
    run("Sends what is published to all clients, as events.", |args: Args| {
        let feed = Feed::with_settings(&FeedSettings::default().with_events(args.replay));
        let router = Router::with_state(feed)
            .get("/", |_: &mut Request| Html(PAGE))
            .route("/events", get(events))
            .route("/publish", post(publish));
        let server = args.server.server().logger(logger(slog::Level::Info));
        let server = server.limits(Limits::default().with_body_bytes(args.body_bytes));
        serve(server.build(router)?)
    })
}
