//! axum on tokio's single-threaded runtime, with `TCP_NODELAY`.

use std::io;

use axum::Router;
use axum::serve::ListenerExt;

use super::answer::{ANY_PORT, announce};

/// Serves the routes until the process ends.
pub(crate) fn run(routes: Router) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(ANY_PORT).await?;
        announce(listener.local_addr()?);
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, routes).await
    })
}
