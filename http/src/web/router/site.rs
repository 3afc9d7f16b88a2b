//! The routes of a host, flat, as they are looked up.

use std::sync::Arc;

use http::{HeaderValue, Method};

use super::handler::Endpoint;
use super::hosts::Hosts;
use super::params::PathParams;
use super::path::normal_form;
use super::settings::RouteSettings;
use crate::conn::Wrapper;
use crate::telemetry::RouteLabel;

/// A router, compiled.
pub(super) struct Sites {
    pub(super) by_host: Hosts<Site>,
    /// For all other hosts.
    pub(super) other: Site,
}

/// The routes of one host.
#[derive(Default)]
pub(super) struct Site {
    /// The index of each path in `paths`.
    pub(super) tree: matchit::Router<usize>,
    pub(super) paths: Vec<PathEntry>,
    /// The routers in routers, which answer what is not found below their prefix. The longest
    /// prefix first.
    pub(super) scopes: Vec<(Vec<PrefixSegment>, Scope)>,
    /// The router itself.
    pub(super) root: Scope,
}

/// A path of the program, and what answers each method.
pub(super) struct PathEntry {
    /// Its name in logs and metrics.
    pub(super) label: RouteLabel,
    pub(super) names: Arc<[String]>,
    /// GET is the first, if there is one.
    pub(super) methods: Vec<(Method, Target)>,
    pub(super) any: Option<Target>,
    /// Around the answers of the router itself: 405, and 204 to OPTIONS.
    pub(super) wrappers: Box<[Arc<Wrapper>]>,
    pub(super) allow: HeaderValue,
}

/// A handler and what is around it.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) endpoint: Arc<Endpoint>,
    /// Of all routers around it and of its path, the outermost first.
    pub(super) wrappers: Box<[Arc<Wrapper>]>,
    /// Boxed, because most routes have none.
    pub(super) settings: Option<Box<RouteSettings>>,
}

/// What answers where nothing is found.
#[derive(Clone, Default)]
pub(super) struct Scope {
    /// `None` is a 404.
    pub(super) fallback: Option<Arc<Endpoint>>,
    pub(super) wrappers: Box<[Arc<Wrapper>]>,
    pub(super) settings: Option<Box<RouteSettings>>,
}

/// A segment of a prefix: all of it, or what stands before and behind a parameter.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PrefixSegment {
    Fixed(String),
    Param { before: String, behind: String },
}

impl Sites {
    /// The routes for a host.
    #[inline]
    pub(super) fn of(&self, host: Option<&str>) -> &Site {
        if self.by_host.is_empty() {
            return &self.other;
        }
        host.and_then(|host| self.by_host.find(host)).unwrap_or(&self.other)
    }
}

impl Site {
    /// The path of the program that a request's path matches, with the parameters' values if it has
    /// parameters.
    #[inline]
    pub(super) fn find(&self, path: &str) -> Option<(&PathEntry, Option<PathParams>)> {
        let path = normal_form(path);
        let found = self.tree.at(&path).ok()?;
        let entry = self.paths.get(*found.value)?;
        if entry.names.is_empty() {
            return Some((entry, None));
        }
        let values = found.params.iter().map(|(_, value)| value);
        Some((entry, Some(PathParams::new(&entry.names, &path, values))))
    }

    /// The innermost router for a path that is not found.
    #[cold]
    pub(super) fn scope(&self, path: &str) -> &Scope {
        let path = normal_form(path);
        let scope = self.scopes.iter().find(|(prefix, _)| is_below(prefix, &path));
        scope.map_or(&self.root, |(_, scope)| scope)
    }
}

/// Whether a path begins with a prefix, by whole segments.
fn is_below(prefix: &[PrefixSegment], path: &str) -> bool {
    let mut segments = path.split('/').skip(1);
    prefix.iter().all(|expected| segments.next().is_some_and(|segment| expected.matches(segment)))
}

impl PrefixSegment {
    /// The segments of a pattern in the form for the tree.
    pub(super) fn of_pattern(for_tree: &str) -> Vec<Self> {
        let trimmed = for_tree.strip_suffix('/').unwrap_or(for_tree);
        let parse = |segment: &str| match (segment.find('{'), segment.find('}')) {
            (Some(open), Some(close)) => Self::Param {
                before: segment[..open].to_owned(),
                behind: segment[close + 1..].to_owned(),
            },
            _ => Self::Fixed(segment.to_owned()),
        };
        trimmed.split('/').skip(1).map(parse).collect()
    }

    fn matches(&self, segment: &str) -> bool {
        match self {
            Self::Fixed(text) => segment == text,
            Self::Param { before, behind } => {
                let value = segment.strip_prefix(&**before);
                let value = value.and_then(|rest| rest.strip_suffix(&**behind));
                value.is_some_and(|value| !value.is_empty())
            }
        }
    }
}
