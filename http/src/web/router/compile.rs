//! Makes a router's definition into what is looked up, and finds its mistakes.
//!
//! Routers in routers are made flat: each path has the wrappers and settings of all routers around
//! it, so a request costs one look-up, however deep its route is nested.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

use http::Method;

use super::automatic::{not_found, other_methods, without_path};
use super::definition::{Definition, RouteDefinition};
use super::fixed_paths::FixedPaths;
use super::handler::Endpoint;
use super::hosts::{Hosts, parse_host};
use super::layer::{Layer, surround};
use super::pattern::{Pattern, join};
use super::settings::RouteSettings;
use super::site::{PathEntry, PrefixSegment, Site, Sites};
use crate::telemetry::RouteLabel;

/// Compiles a router.
///
/// # Errors
///
/// All mistakes of the definition, in one text.
pub(super) fn compile(definition: &Definition) -> Result<Sites, String> {
    let mut mistakes = Vec::new();
    let outer = Surroundings::default().inside(definition);
    let mut largest_body = None;
    let other = compile_site(definition, &outer, true, &mut mistakes, &mut largest_body);
    let mut by_host = Hosts::new();
    for (host, of_host) in &definition.hosts {
        let inner = outer.inside(of_host);
        let mut found = Vec::new();
        let site = compile_site(of_host, &inner, false, &mut found, &mut largest_body);
        mistakes.extend(found.into_iter().map(|mistake| format!("{mistake} (host `{host}`)")));
        match parse_host(host) {
            Err(why) => mistakes.push(format!("the host `{host}` {why}")),
            Ok(name) => {
                if !by_host.insert(name, site) {
                    mistakes.push(format!("the host `{host}` has two routers"));
                }
            }
        }
    }
    if mistakes.is_empty() {
        Ok(Sites { by_host, other, largest_body })
    } else {
        Err(mistakes.join("; "))
    }
}

/// The mistakes of a router, as an error of `Handler::check`.
pub(super) fn invalid(mistakes: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("the router: {mistakes}"))
}

/// What the routers around a route say about it.
#[derive(Clone, Default)]
struct Surroundings {
    layers: Vec<Arc<Layer>>,
    settings: RouteSettings,
    fallback: Option<Arc<Endpoint>>,
}

impl Surroundings {
    fn inside(&self, definition: &Definition) -> Self {
        Self {
            layers: [&*self.layers, &*definition.layers].concat(),
            settings: definition.settings.inside(self.settings),
            fallback: definition.fallback.clone().or_else(|| self.fallback.clone()),
        }
    }

    /// What a router answers where nothing is found.
    fn not_found(&self) -> Arc<Endpoint> {
        self.around(self.fallback.clone().unwrap_or_else(not_found))
    }

    fn around(&self, endpoint: Arc<Endpoint>) -> Arc<Endpoint> {
        surround(endpoint, self.settings, &self.layers)
    }
}

fn compile_site(
    definition: &Definition,
    surroundings: &Surroundings,
    may_have_hosts: bool,
    mistakes: &mut Vec<String>,
    largest_body: &mut Option<u64>,
) -> Site {
    let mut compiler = Compiler {
        tree: matchit::Router::new(),
        paths: Vec::new(),
        scopes: Vec::new(),
        known: HashMap::new(),
        mistakes,
        largest_body,
    };
    if !may_have_hosts {
        compiler.refuse_hosts(definition);
    }
    compiler.add_router(definition, "", surroundings);
    let Compiler { tree, paths, mut scopes, known, .. } = compiler;
    scopes.sort_by_key(|(prefix, _)| Reverse(prefix.len()));
    let without_params = |(_, index): &(&String, &usize)| paths[**index].names.is_empty();
    let fixed = known.iter().filter(without_params).map(|(path, index)| (&**path, *index));
    let mut methods = BTreeSet::from([Method::OPTIONS.as_str()]);
    methods.extend(paths.iter().flat_map(PathDraft::methods));
    let without_path = without_path(&methods.into_iter().collect::<Vec<_>>());
    Site {
        fixed: FixedPaths::new(fixed),
        tree,
        scopes,
        not_found: surroundings.not_found(),
        without_path: surroundings.around(without_path),
        paths: paths.into_iter().map(PathDraft::complete).collect(),
    }
}

struct Compiler<'m> {
    tree: matchit::Router<usize>,
    paths: Vec<PathDraft>,
    scopes: Vec<(Vec<PrefixSegment>, Arc<Endpoint>)>,
    /// The paths by their patterns in the form for the tree.
    known: HashMap<String, usize>,
    mistakes: &'m mut Vec<String>,
    largest_body: &'m mut Option<u64>,
}

/// A path to which methods are added.
struct PathDraft {
    label: RouteLabel,
    names: Arc<[String]>,
    methods: Vec<(Method, Arc<Endpoint>)>,
    any: Option<Arc<Endpoint>>,
    /// Around what the router answers by itself: what is around the first route of the path.
    around: Surroundings,
    /// Where the path was defined first, for messages.
    origin: String,
}

impl Compiler<'_> {
    fn add_router(&mut self, definition: &Definition, prefix: &str, surroundings: &Surroundings) {
        self.mistakes.extend(definition.mistakes.iter().cloned());
        for (pattern, route) in &definition.routes {
            self.add_route(prefix, pattern, route, surroundings);
        }
        for (inner_prefix, nested) in &definition.nested {
            self.refuse_hosts(nested);
            let inner = surroundings.inside(nested);
            if inner_prefix.is_empty() {
                if nested.fallback.is_some() {
                    self.mistakes.push(format!(
                        "a router that is merged{} has a fallback, but no paths of its own",
                        at(prefix)
                    ));
                }
                self.add_router(nested, prefix, &inner);
                continue;
            }
            let joined = join(prefix, inner_prefix);
            match Pattern::parse(inner_prefix).and_then(|_| Pattern::parse(&joined)) {
                Err(why) => self.mistakes.push(format!("the prefix `{joined}` {why}")),
                Ok(_) if inner_prefix == "/" => self.mistakes.push(
                    "a router is nested at `/`; `merge` adds its routes without a prefix".into(),
                ),
                Ok(pattern) if pattern.has_wildcard => self.mistakes.push(format!(
                    "the prefix `{joined}` has a wildcard, and nothing can be behind that"
                )),
                Ok(pattern) => {
                    let segments = PrefixSegment::of_pattern(&pattern.for_tree);
                    if self.scopes.iter().any(|(other, _)| *other == segments) {
                        self.mistakes.push(format!("two routers are nested at `{joined}`"));
                    }
                    self.scopes.push((segments, inner.not_found()));
                    self.add_router(nested, &joined, &inner);
                }
            }
        }
    }

    fn add_route(
        &mut self,
        prefix: &str,
        text: &str,
        route: &RouteDefinition,
        surroundings: &Surroundings,
    ) {
        let origin = format!("`{text}`{}", at(prefix));
        let joined = join(prefix, text);
        let pattern = Pattern::parse(text).and_then(|_| Pattern::parse(&joined));
        let pattern = match pattern {
            Ok(pattern) => pattern,
            Err(why) => return self.mistakes.push(format!("the route {origin} {why}")),
        };
        let around = Surroundings {
            layers: [&*surroundings.layers, &*route.layers].concat(),
            settings: route.settings.inside(surroundings.settings),
            fallback: None,
        };
        *self.largest_body = (*self.largest_body).max(around.settings.body_limit);
        let Some(index) = self.index_of(&pattern, &origin, route, &around) else { return };
        let draft = &mut self.paths[index];
        for (method, endpoint) in &route.handlers {
            let endpoint = around.around(Arc::clone(endpoint));
            let is_new = match method {
                None => draft.any.replace(endpoint).is_none(),
                Some(method) => {
                    let is_new = draft.methods.iter().all(|(other, _)| other != method);
                    draft.methods.push((method.clone(), endpoint));
                    is_new
                }
            };
            if !is_new {
                let method = method.as_ref().map_or("any method", Method::as_str);
                let first = &draft.origin;
                self.mistakes.push(if *first == origin {
                    format!("the route {origin} has two handlers for {method}")
                } else {
                    format!("the routes {first} and {origin} both have a handler for {method}")
                });
            }
        }
    }

    /// The index of a path, which is added if it is new; `None` if that is a mistake.
    fn index_of(
        &mut self,
        pattern: &Pattern,
        origin: &str,
        route: &RouteDefinition,
        around: &Surroundings,
    ) -> Option<usize> {
        if let Some(&index) = self.known.get(&pattern.for_tree) {
            return Some(index);
        }
        let index = self.paths.len();
        if let Err(error) = self.tree.insert(pattern.for_tree.clone(), index) {
            let mistake = match error {
                matchit::InsertError::Conflict { with } => {
                    let with = self.known.get(&with).map_or(&with, |at| &self.paths[*at].origin);
                    format!(
                        "the routes {with} and {origin} are for the same paths: give a parameter \
                         in the same place the same name, or tell them apart by a fixed segment"
                    )
                }
                error => format!("the route {origin}: {error}"),
            };
            self.mistakes.push(mistake);
            return None;
        }
        self.known.insert(pattern.for_tree.clone(), index);
        self.paths.push(PathDraft {
            label: RouteLabel::kept(route.name.unwrap_or(&pattern.text)),
            names: pattern.names.clone().into(),
            methods: Vec::new(),
            any: None,
            around: around.clone(),
            origin: origin.to_owned(),
        });
        Some(index)
    }

    fn refuse_hosts(&mut self, definition: &Definition) {
        for (host, _) in &definition.hosts {
            self.mistakes.push(format!(
                "the host `{host}` is in a router that is in another one; only the outermost can \
                 have hosts"
            ));
        }
    }
}

impl PathDraft {
    fn methods(&self) -> impl Iterator<Item = &str> {
        let has_get = self.methods.iter().any(|(method, _)| *method == Method::GET);
        let own = self.methods.iter().map(|(method, _)| method.as_str());
        own.chain(has_get.then_some(Method::HEAD.as_str()))
    }

    /// Adds what the router does by itself.
    fn complete(self) -> PathEntry {
        let Self { label, names, mut methods, any, around, .. } = self;
        let mut allowed: Vec<&str> = methods.iter().map(|(method, _)| method.as_str()).collect();
        let has = |methods: &[&str], method: Method| methods.contains(&method.as_str());
        let answers_head = has(&allowed, Method::GET) && !has(&allowed, Method::HEAD);
        if answers_head {
            let behind_get = allowed.iter().position(|method| *method == Method::GET.as_str());
            allowed.insert(behind_get.map_or(0, |at| at + 1), Method::HEAD.as_str());
        }
        if !has(&allowed, Method::OPTIONS) {
            allowed.push(Method::OPTIONS.as_str());
        }
        let other = any.unwrap_or_else(|| around.around(other_methods(&allowed)));
        let at = methods.iter().position(|(method, _)| *method == Method::GET);
        let get = at.map(|at| methods.remove(at).1);
        if let Some(get) = get.as_ref().filter(|_| answers_head) {
            methods.push((Method::HEAD, Arc::clone(get)));
        }
        PathEntry { label, names, get, methods, other }
    }
}

/// Where a route or router is, for messages.
fn at(prefix: &str) -> String {
    if prefix.is_empty() { String::new() } else { format!(" in the router at `{prefix}`") }
}
