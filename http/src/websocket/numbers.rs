//! What the WebSockets of a server count.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::control::ServerHandle;
use crate::telemetry::{Exposition, PartNumbers};

macro_rules! numbers {
    ($($(#[$doc:meta])+ $name:ident: $kind:ident $help:literal,)+) => {
        /// What the WebSockets of a server have counted, since the first of them.
        ///
        /// They are also among the server's numbers for
        /// [Prometheus](crate::Metrics::to_prometheus), as `straightline_websocket_…`.
        ///
        /// ```
        /// use straightline::Request;
        /// use straightline::websocket::WebSocketCounters;
        ///
        /// fn status(request: &mut Request) -> String {
        ///     let counters = WebSocketCounters::of(&request.server());
        ///     format!("{} conversations\n", counters.open)
        /// }
        /// ```
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct WebSocketCounters {
            $($(#[$doc])+ pub $name: u64,)+
        }

        /// The counters themselves, which all shards change.
        #[derive(Debug, Default)]
        pub(super) struct Numbers {
            $(pub(super) $name: Number,)+
        }

        impl WebSocketCounters {
            /// What the WebSockets of that server have counted. Not a yield point; works from any
            /// thread.
            pub fn of(server: &ServerHandle) -> Self {
                let numbers = numbers_of(server);
                Self { $($name: numbers.$name.get(),)+ }
            }
        }

        impl PartNumbers for Numbers {
            fn put(&self, text: &mut Exposition) {
                $(text.$kind(&prometheus_name(stringify!($name), stringify!($kind)), $help,
                    self.$name.get());)+
            }
        }
    };
}

numbers! {
    /// Gauge: conversations that are open.
    open: gauge "WebSockets that are open.",
    /// Conversations that were opened.
    opened: counter "WebSockets that were opened.",
    /// Handshakes that were refused, for whatever reason.
    refused: counter "WebSocket handshakes that were refused.",
    /// Messages that were received.
    received: counter "WebSocket messages received.",
    /// Messages that were sent, or wait to be sent.
    sent: counter "WebSocket messages sent.",
    /// Messages that were [dropped](super::SlowReceiver::Drop), because their client reads too
    /// slowly.
    dropped: counter "WebSocket messages dropped for slow clients.",
    /// Pings that were sent.
    pings: counter "WebSocket Pings sent.",
    /// Conversations that ended because their client broke the protocol or a limit.
    violations: counter "WebSockets whose client broke the protocol or a limit.",
    /// Conversations that ended because nothing arrived from their client, not even a Pong.
    idle: counter "WebSockets that ended because their client was silent.",
    /// Conversations that ended because their client did not read in time, or not even its Close
    /// frame.
    too_slow: counter "WebSockets that ended because their client read too slowly.",
    /// Close frames that the client did not answer in time.
    unanswered_closes: counter "WebSocket Close frames without an answer.",
}

/// The numbers of that server.
pub(super) fn numbers_of(server: &ServerHandle) -> Arc<Numbers> {
    server.shared.parts.of()
}

fn prometheus_name(name: &str, kind: &str) -> String {
    let ending = if kind == "counter" { "_total" } else { "" };
    format!("straightline_websocket_{name}{ending}")
}

/// A number that several threads change.
#[derive(Debug, Default)]
pub(super) struct Number(AtomicU64);

impl Number {
    pub(super) fn bump(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lower(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
