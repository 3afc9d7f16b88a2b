//! What is around a handler: wrappers and limits.
//!
//! A router joins each handler with all that is around it when it is compiled, so that a request
//! costs one indirect call for each of them.

use std::sync::Arc;

use super::handler::Endpoint;
use super::settings::RouteSettings;
use crate::conn::Next;
use crate::message::{IntoResponse, Request};

/// Puts a wrapper around a handler.
pub(super) type Layer = dyn Fn(Arc<Endpoint>) -> Arc<Endpoint> + Send + Sync;

/// A wrapper of the program.
pub(super) fn layer<R: IntoResponse>(
    wrapper: impl Fn(&mut Request, Next<'_>) -> R + Send + Sync + 'static,
) -> Arc<Layer> {
    let wrapper = Arc::new(wrapper);
    Arc::new(move |inner: Arc<Endpoint>| {
        let wrapper = Arc::clone(&wrapper);
        let endpoint: Arc<Endpoint> = Arc::new(move |request: &mut Request| {
            R::response_of(|| wrapper(request, Next::inside(&*inner)))
        });
        endpoint
    })
}

/// Puts limits and wrappers around a handler, the first wrapper outermost. The limits hold for what
/// the wrappers read, too; a body that is announced too long is refused inside of them.
pub(super) fn surround(
    endpoint: Arc<Endpoint>,
    settings: RouteSettings,
    layers: &[Arc<Layer>],
) -> Arc<Endpoint> {
    if settings.is_empty() {
        return wrap(endpoint, layers);
    }
    let wrapped = wrap(
        Arc::new(move |request: &mut Request| {
            settings.refuse(request).unwrap_or_else(|| endpoint(request))
        }),
        layers,
    );
    Arc::new(move |request: &mut Request| {
        settings.apply(request);
        wrapped(request)
    })
}

fn wrap(endpoint: Arc<Endpoint>, layers: &[Arc<Layer>]) -> Arc<Endpoint> {
    layers.iter().rev().fold(endpoint, |inner, layer| layer(inner))
}
