//! What a router was told, before it is compiled.

use std::sync::Arc;

use http::Method;

use super::handler::Endpoint;
use super::layer::Layer;
use super::settings::RouteSettings;

/// A router's definition, without the types of its handlers and its state.
#[derive(Clone, Default)]
pub(super) struct Definition {
    pub(super) routes: Vec<(String, RouteDefinition)>,
    pub(super) nested: Vec<(String, Definition)>,
    pub(super) hosts: Vec<(String, Definition)>,
    /// Around everything that the router answers, the outermost first.
    pub(super) layers: Vec<Arc<Layer>>,
    pub(super) fallback: Option<Arc<Endpoint>>,
    pub(super) settings: RouteSettings,
    /// What the handlers themselves find wrong, such as a directory that is not there.
    pub(super) mistakes: Vec<String>,
}

/// The handlers of a path.
#[derive(Clone)]
pub(super) struct RouteDefinition {
    /// No method stands for all that have no handler of their own.
    pub(super) handlers: Vec<(Option<Method>, Arc<Endpoint>)>,
    pub(super) layers: Vec<Arc<Layer>>,
    pub(super) settings: RouteSettings,
    /// The name in logs and metrics; without one the pattern.
    pub(super) name: Option<&'static str>,
}
