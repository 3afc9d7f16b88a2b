//! Makes a router's definition into what is looked up, and finds its mistakes.
//!
//! Routers in routers are made flat: each path has the wrappers and settings of all routers around
//! it, so a request costs one look-up, however deep its route is nested.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use http::{HeaderValue, Method};

use super::definition::{Definition, RouteDefinition};
use super::handler::Endpoint;
use super::hosts::{Hosts, parse_host};
use super::pattern::{Pattern, join};
use super::settings::RouteSettings;
use super::site::{PathEntry, PrefixSegment, Scope, Site, Sites, Target};
use crate::conn::Wrapper;
use crate::telemetry::kept_name;

/// Compiles a router.
///
/// # Errors
///
/// All mistakes of the definition, in one text.
pub(super) fn compile(definition: &Definition) -> Result<Sites, String> {
    let mut mistakes = Vec::new();
    let outer = Surroundings::default().inside(definition);
    let other = compile_site(definition, &outer, true, &mut mistakes);
    let mut by_host = Hosts::new();
    for (host, of_host) in &definition.hosts {
        let inner = outer.inside(of_host);
        let mut found = Vec::new();
        let site = compile_site(of_host, &inner, false, &mut found);
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
    if mistakes.is_empty() { Ok(Sites { by_host, other }) } else { Err(mistakes.join("; ")) }
}

/// The mistakes of a router, as an error of `Handler::check`.
pub(super) fn invalid(mistakes: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("the router: {mistakes}"))
}

/// What the routers around a route say about it.
#[derive(Clone, Default)]
struct Surroundings {
    wrappers: Vec<Arc<Wrapper>>,
    settings: RouteSettings,
    fallback: Option<Arc<Endpoint>>,
}

impl Surroundings {
    fn inside(&self, definition: &Definition) -> Self {
        Self {
            wrappers: [&*self.wrappers, &*definition.wrappers].concat(),
            settings: definition.settings.inside(self.settings),
            fallback: definition.fallback.clone().or_else(|| self.fallback.clone()),
        }
    }

    fn scope(&self) -> Scope {
        Scope {
            fallback: self.fallback.clone(),
            wrappers: self.wrappers.clone().into(),
            settings: boxed(self.settings),
        }
    }
}

fn compile_site(
    definition: &Definition,
    surroundings: &Surroundings,
    may_have_hosts: bool,
    mistakes: &mut Vec<String>,
) -> Site {
    let site = Site { root: surroundings.scope(), ..Site::default() };
    let mut compiler = Compiler { site, known: HashMap::new(), origins: Vec::new(), mistakes };
    if !may_have_hosts {
        compiler.refuse_hosts(definition);
    }
    compiler.add_router(definition, "", surroundings);
    let mut site = compiler.site;
    site.scopes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    site.paths.iter_mut().for_each(complete);
    site
}

struct Compiler<'m> {
    site: Site,
    /// The paths by their patterns in the form for the tree.
    known: HashMap<String, usize>,
    /// Where each path was defined first, for messages.
    origins: Vec<String>,
    mistakes: &'m mut Vec<String>,
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
                    if self.site.scopes.iter().any(|(other, _)| *other == segments) {
                        self.mistakes.push(format!("two routers are nested at `{joined}`"));
                    }
                    self.site.scopes.push((segments, inner.scope()));
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
        let wrappers: Box<[_]> = [&*surroundings.wrappers, &*route.wrappers].concat().into();
        let Some(index) = self.index_of(&pattern, &origin, route, &wrappers) else { return };
        let entry = &mut self.site.paths[index];
        let settings = boxed(route.settings.inside(surroundings.settings));
        for (method, endpoint) in &route.handlers {
            let (endpoint, settings) = (Arc::clone(endpoint), settings.clone());
            let target = Target { endpoint, wrappers: wrappers.clone(), settings };
            let is_new = match method {
                None => entry.any.replace(target).is_none(),
                Some(method) => {
                    let is_new = entry.methods.iter().all(|(other, _)| other != method);
                    entry.methods.push((method.clone(), target));
                    is_new
                }
            };
            if !is_new {
                let method = method.as_ref().map_or("any method", Method::as_str);
                let first = &self.origins[index];
                self.mistakes.push(match *first == origin {
                    true => format!("the route {origin} has two handlers for {method}"),
                    false => {
                        format!("the routes {first} and {origin} both have a handler for {method}")
                    }
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
        wrappers: &[Arc<Wrapper>],
    ) -> Option<usize> {
        if let Some(&index) = self.known.get(&pattern.for_tree) {
            return Some(index);
        }
        let index = self.site.paths.len();
        if let Err(error) = self.site.tree.insert(pattern.for_tree.clone(), index) {
            let mistake = match error {
                matchit::InsertError::Conflict { with } => {
                    let with = self.known.get(&with).map_or(&with, |index| &self.origins[*index]);
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
        self.origins.push(origin.to_owned());
        self.site.paths.push(PathEntry {
            label: route.name.unwrap_or_else(|| kept_name(&pattern.text)),
            names: pattern.names.clone().into(),
            methods: Vec::new(),
            any: None,
            wrappers: wrappers.into(),
            allow: HeaderValue::from_static(""),
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

/// Adds what the router does by itself: HEAD, and the methods for `Allow`.
fn complete(entry: &mut PathEntry) {
    let position = |entry: &PathEntry, method: Method| {
        entry.methods.iter().position(|(other, _)| *other == method)
    };
    if let Some(at) = position(entry, Method::GET) {
        entry.methods.swap(0, at);
        if position(entry, Method::HEAD).is_none() {
            entry.methods.insert(1, (Method::HEAD, entry.methods[0].1.clone()));
        }
    }
    let mut names: Vec<&str> = entry.methods.iter().map(|(method, _)| method.as_str()).collect();
    if !names.contains(&Method::OPTIONS.as_str()) {
        names.push(Method::OPTIONS.as_str());
    }
    // A method is a token, and every token is a valid header value.
    if let Ok(allow) = HeaderValue::from_str(&names.join(", ")) {
        entry.allow = allow;
    }
}

/// Where a route or router is, for messages.
fn at(prefix: &str) -> String {
    if prefix.is_empty() { String::new() } else { format!(" in the router at `{prefix}`") }
}

fn boxed(settings: RouteSettings) -> Option<Box<RouteSettings>> {
    (!settings.is_empty()).then(|| Box::new(settings))
}
