//! The routes of a host, flat, as they are looked up.

use std::sync::Arc;

use http::Method;

use super::fixed_paths::FixedPaths;
use super::handler::Endpoint;
use super::hosts::Hosts;
use super::params::PathParams;
use super::path::normal_form;
use crate::telemetry::RouteLabel;

/// A router, compiled.
pub(super) struct Sites {
    pub(super) by_host: Hosts<Site>,
    /// For all other hosts.
    pub(super) other: Site,
    /// The largest bound of a route on its bodies, if one has a bound.
    pub(super) largest_body: Option<u64>,
}

/// The routes of one host.
pub(super) struct Site {
    /// The index in `paths` of each path without parameters.
    pub(super) fixed: FixedPaths,
    /// The index in `paths` of each pattern.
    pub(super) tree: matchit::Router<usize>,
    pub(super) paths: Vec<PathEntry>,
    /// The routers in routers, which answer what is not found below their prefix. The longest
    /// prefix first.
    pub(super) scopes: Vec<(Vec<PrefixSegment>, Arc<Endpoint>)>,
    /// What the router itself answers where nothing is found.
    pub(super) not_found: Arc<Endpoint>,
    /// For requests that have no path.
    pub(super) without_path: Arc<Endpoint>,
}

/// A path of the program, and what answers each method. All endpoints have the wrappers and limits
/// of their route and of all routers around it.
pub(super) struct PathEntry {
    /// Its name in logs and metrics.
    pub(super) label: RouteLabel,
    pub(super) names: Arc<[String]>,
    /// Most requests are of this method.
    pub(super) get: Option<Arc<Endpoint>>,
    /// All other methods that have a handler.
    pub(super) methods: Vec<(Method, Arc<Endpoint>)>,
    /// For all other methods: the program's, or a 405, and a 204 to OPTIONS.
    pub(super) other: Arc<Endpoint>,
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
    /// The path of the program that a request's path is, if that has no parameters.
    #[inline]
    pub(super) fn find_fixed(&self, path: &[u8]) -> Option<&PathEntry> {
        self.paths.get(self.fixed.find(path)?)
    }

    /// The path of the program that a request's path matches, with the parameters' values if it has
    /// parameters.
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

    /// What the innermost router answers for a path that is not found.
    #[cold]
    pub(super) fn not_found(&self, path: &str) -> &Arc<Endpoint> {
        let path = normal_form(path);
        let scope = self.scopes.iter().find(|(prefix, _)| is_below(prefix, &path));
        scope.map_or(&self.not_found, |(_, endpoint)| endpoint)
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
