//! The servers. Each has one thread, answers `GET /events` with a stream, and sends the body of a
//! `POST /publish` to all streams as one event.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;

use straightline_harness::READY;

use super::kind::Kind;
use crate::go;
use crate::serve::{self, ANY_PORT};

pub(super) const EVENTS: &str = "/events";
pub(super) const PUBLISH: &str = "/publish";

/// Is a server until the process is killed, which also happens when the parent ends.
pub(crate) fn run(kind: Kind, folder: &Path, cpu: Option<usize>) -> io::Result<()> {
    serve::begin(cpu)?;
    match kind {
        Kind::Straightline => feed_server(),
        Kind::StraightlineStacks => stacks_server(),
        Kind::Axum => axum_server(),
        Kind::Go => Err(go::command(folder).arg("events").exec()),
    }
}

fn serve(router: straightline::web::Router<impl Send + Sync + 'static>) -> io::Result<()> {
    use straightline::{Capacity, Server};

    // The default leaves a quarter of the descriptors to the handlers.
    let capacity = Capacity::default().with_connections(19_500).with_in_flight(19_500);
    let server = Server::builder().bind(ANY_PORT).workers(1).capacity(capacity).quiet();
    let server = server.build(router)?;
    println!("{READY}{}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}

fn feed_server() -> io::Result<()> {
    use straightline::sse::{Event, EventStream, Feed};
    use straightline::web::{Router, get, post};
    use straightline::{HandlerError, Request};

    fn events(request: &mut Request, feed: &Feed) -> EventStream {
        feed.subscribe(request)
    }

    fn publish(request: &mut Request, feed: &Feed) -> Result<String, HandlerError> {
        let text = String::from_utf8(request.body().read_to_vec(BODY_BYTES_MAX)?)?;
        Ok(format!("{}\n", feed.publish(&Event::new(text))))
    }

    serve(Router::with_state(Feed::new()).route(EVENTS, get(events)).route(PUBLISH, post(publish)))
}

fn stacks_server() -> io::Result<()> {
    use straightline::sched::sync::broadcast;
    use straightline::sse::{self, Event, Frame};
    use straightline::web::{Router, get, post};
    use straightline::{HandlerError, Request, Response};

    type Sender = broadcast::Sender<Frame>;

    fn events(_: &mut Request, sender: &Sender) -> Response {
        let receiver = sender.subscribe();
        sse::stream(move |_, events| {
            while events.wait_for(&[&receiver])?.is_some() {
                if let Ok(frame) = receiver.try_recv() {
                    events.send_frame(&frame)?;
                }
            }
            Ok(())
        })
    }

    fn publish(request: &mut Request, sender: &Sender) -> Result<String, HandlerError> {
        let text = String::from_utf8(request.body().read_to_vec(BODY_BYTES_MAX)?)?;
        let sent = sender.send(Event::new(text).encode());
        Ok(format!("{}\n", sent.unwrap_or(0)))
    }

    let sender = broadcast::channel(CHANNEL_EVENTS).0;
    serve(Router::with_state(sender).route(EVENTS, get(events)).route(PUBLISH, post(publish)))
}

fn axum_server() -> io::Result<()> {
    use std::convert::Infallible;
    use std::time::Duration;

    use axum::Router;
    use axum::extract::State;
    use axum::response::sse::{Event, KeepAlive, Sse};
    use axum::routing::{get, post};
    use futures_util::stream::{self, Stream};
    use tokio::sync::broadcast;

    type Sender = broadcast::Sender<Event>;

    async fn events(
        State(sender): State<Sender>,
    ) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
        let events = stream::unfold(sender.subscribe(), |mut receiver| async move {
            let event = receiver.recv().await.ok()?;
            Some((Ok(event), receiver))
        });
        Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(12)))
    }

    async fn publish(State(sender): State<Sender>, text: String) -> String {
        format!("{}\n", sender.send(Event::default().id("1").data(text)).unwrap_or(0))
    }

    let sender = broadcast::channel(CHANNEL_EVENTS).0;
    let router = Router::new().route(EVENTS, get(events)).route(PUBLISH, post(publish));
    let app = router.with_state(sender);
    serve::run_axum(app)
}

/// Events that a channel keeps for slow receivers.
const CHANNEL_EVENTS: usize = 1024;

const BODY_BYTES_MAX: u64 = 64 * 1024;
