//! Host, path, method, header and query -> route, decided on the normal form of the path.
//!
//! An exact host goes before a wildcard, a longer wildcard before a shorter one, any of them before no
//! host. Within a host the most specific path wins, segment by segment: literal, `{name}`, `{*rest}`.
//! Method, header and query are looked at last, among the routes of that path only: a path without the method is
//! 405, one whose conditions are not met is 404, never another path's route.
//!
//! The tree is our own because the crate `matchit` refuses `/x/{name}` beside `/x/{*rest}`, which is
//! the usual pair of an API and its fallback, and lets `{*rest}` match no empty rest.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method};

use super::condition::Facts;
use super::host;
use super::path;
use crate::config::{Conditions, RedirectConfig, Retry, RouteConfig, SplitConfig, Target, Transform};
use crate::gateway::auth::{Auth, Authenticator};
use crate::gateway::cache::RouteCache;
use crate::gateway::files::Files;
use crate::gateway::policies::Policies;
use crate::gateway::policies::rate_limit::RateLimiters;
use crate::gateway::reply::Refusal;
use crate::names::ServiceName;
use crate::telemetry::requests::RouteRequests;

/// Why routes cannot be taken into use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Two routes match the same requests.
    #[error(
        "the route {pattern} of line {line} matches what that of line {other} matches: change one of them"
    )]
    Equal {
        /// The pattern of the later one.
        pattern: String,
        /// Its line in gateway.toml.
        line: usize,
        /// The line of the earlier one.
        other: usize,
    },
    /// A pattern that cannot be matched.
    #[error("the path {pattern} of line {line} is no pattern: {rule}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Its line in gateway.toml.
        line: usize,
        /// What it breaks.
        rule: &'static str,
    },
}

/// One route: what is done with the requests that it matches.
#[derive(Debug)]
pub struct Route {
    /// The path pattern as configured; the label of metrics.
    pub pattern: Arc<str>,
    /// The methods; empty for all.
    pub methods: Vec<Method>,
    /// What a request must have besides.
    pub conditions: Conditions,
    /// What answers.
    pub action: Action,
    /// What is changed in requests and responses.
    pub transform: Transform,
    /// The time to the response head, when the route sets one.
    pub time: Option<Duration>,
    /// The longest request body in bytes, when the route sets one.
    pub body_bytes_max: Option<u64>,
    /// What else it does.
    pub policies: Policies,
    /// How requests that fail are tried again, when the route says.
    pub retry: Option<Arc<Retry>>,
    /// Who may use it; none: everybody.
    pub auth: Option<Auth>,
    /// How it uses the cache; none: not at all.
    pub cache: Option<Arc<RouteCache>>,
    /// Counts its requests.
    pub requests: RouteRequests,
    /// The line in gateway.toml.
    pub line: usize,
}

/// What answers the requests of a route.
#[derive(Debug)]
pub enum Action {
    /// A service.
    Forward(ServiceName),
    /// One of several services.
    Split(SplitConfig),
    /// Another address.
    Redirect(RedirectConfig),
    /// A folder or file.
    Files(Files),
}

/// A route that was found.
#[derive(Debug)]
pub struct Found<'p> {
    /// The route.
    pub route: &'p Arc<Route>,
    /// The normal form of the path.
    path: Cow<'p, str>,
    rest_start: usize,
}

impl Found<'_> {
    /// What `{*rest}` matched, in normal form; empty when the pattern has no rest.
    pub fn rest(&self) -> &str {
        &self.path[self.rest_start..]
    }

    /// The path in normal form.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the path ends with a slash.
    pub fn ends_with_slash(&self) -> bool {
        self.path.ends_with('/')
    }
}

/// All routes, built once and swapped whole.
#[derive(Debug, Default)]
pub struct Routes {
    exact: HashMap<String, Node>,
    /// By the suffix of the host, such as `.example.com`.
    wildcard: HashMap<String, Node>,
    any: Node,
}

impl Routes {
    /// Builds the routes of a checked configuration.
    pub fn new(
        routes: &[RouteConfig],
        limiters: &RateLimiters,
        authenticator: &Arc<Authenticator>,
    ) -> Result<Self, RouteError> {
        let mut all = Self::default();
        for config in routes {
            let pattern: Arc<str> = config.path.as_str().into();
            let route = Route {
                requests: RouteRequests::new(pattern.clone()),
                pattern,
                methods: config.methods.clone(),
                conditions: config.conditions.clone(),
                action: action(&config.target),
                transform: config.transform.clone(),
                time: config.time,
                body_bytes_max: config.body_bytes_max,
                policies: Policies::new(config, limiters),
                retry: config.retry.clone(),
                auth: config.auth.as_ref().map(|rules| Auth::new(rules, authenticator)),
                cache: RouteCache::new(config),
                line: config.line,
            };
            all.table(config.host.as_deref()).insert(Arc::new(route))?;
        }
        Ok(all)
    }

    /// Finds the route of a request; `raw_path` is the path as the client sent it, without query.
    pub fn find<'p>(
        &'p self,
        host: Option<&str>,
        method: &Method,
        raw_path: &'p str,
        facts: Facts<'_>,
    ) -> Result<Found<'p>, Refusal> {
        let path = path::normal_form(raw_path).map_err(Refusal::Path)?;
        let host = host.map(host::comparable);
        let (route, rest_start) = self.choose(host.as_deref(), method, &path, facts)?;
        for reading in path::other_readings(&path) {
            let other = self.choose(host.as_deref(), method, &reading, facts);
            if !other.is_ok_and(|(other, _)| Arc::ptr_eq(other, route)) {
                return Err(Refusal::AmbiguousPath);
            }
        }
        Ok(Found { route, path, rest_start })
    }

    fn choose(
        &self,
        host: Option<&str>,
        method: &Method,
        path: &str,
        facts: Facts<'_>,
    ) -> Result<(&Arc<Route>, usize), Refusal> {
        let (routes, rest_length) = self.candidates(host, path).ok_or(Refusal::NoRoute)?;
        let met = || routes.iter().filter(|route| facts.meet(&route.conditions));
        // They stand in the order of how specific they are.
        let named = |method: &Method| met().find(|route| route.methods.contains(method));
        // Who answers GET answers HEAD (RFC 9110, 9.3.2), where nobody names it.
        let of_get = || named(&Method::GET).filter(|_| method == Method::HEAD);
        let route = named(method).or_else(of_get).or_else(|| met().find(|route| route.methods.is_empty()));
        let rest_start = path.len() - rest_length;
        match route {
            Some(route) => Ok((route, rest_start)),
            None if met().next().is_some() => Err(Refusal::Method { allow: allow(met()) }),
            None => Err(Refusal::NoRoute),
        }
    }

    /// The routes of the most specific host and path, and how long the rest is.
    fn candidates(&self, host: Option<&str>, path: &str) -> Option<(&[Arc<Route>], usize)> {
        let host = host.unwrap_or_default();
        let below = path.strip_prefix('/')?;
        if let Some(found) = self.exact.get(host).and_then(|table| table.find(Some(below))) {
            return Some(found);
        }
        // The longest suffix first; what stands before it is not empty.
        let dots = host.match_indices('.').filter(|(dot, _)| *dot > 0 && !self.wildcard.is_empty());
        let mut wildcards = dots.filter_map(|(dot, _)| self.wildcard.get(&host[dot..]));
        wildcards.find_map(|table| table.find(Some(below))).or_else(|| self.any.find(Some(below)))
    }

    fn table(&mut self, host: Option<&str>) -> &mut Node {
        let Some(host) = host else {
            return &mut self.any;
        };
        let host = host::comparable(host);
        let Some(suffix) = host.strip_prefix('*') else {
            return self.exact.entry(host.into_owned()).or_default();
        };
        self.wildcard.entry(suffix.to_owned()).or_default()
    }
}

/// The routes that share the segments so far.
#[derive(Debug, Default)]
struct Node {
    literals: HashMap<String, Node>,
    parameter: Option<Box<Node>>,
    /// Patterns that end here.
    here: Vec<Arc<Route>>,
    /// Patterns that take everything from here on.
    rest: Vec<Arc<Route>>,
}

impl Node {
    /// `below` is the path after the slash behind this node; none when the path ends at this node.
    fn find(&self, below: Option<&str>) -> Option<(&[Arc<Route>], usize)> {
        let Some(below) = below else {
            // `/x/{*rest}` takes `/x` too, where no pattern says more.
            let routes = if self.here.is_empty() { &self.rest } else { &self.here };
            return (!routes.is_empty()).then_some((routes, 0));
        };
        let (segment, next) = match below.split_once('/') {
            Some((segment, next)) => (segment, Some(next)),
            None => (below, None),
        };
        let literal = self.literals.get(segment).and_then(|node| node.find(next));
        let parameter = || self.parameter.as_ref().filter(|_| !segment.is_empty())?.find(next);
        let rest = || (!self.rest.is_empty()).then_some((self.rest.as_slice(), below.len()));
        literal.or_else(parameter).or_else(rest)
    }

    fn insert(&mut self, route: Arc<Route>) -> Result<(), RouteError> {
        let fault = |rule| RouteError::Pattern { pattern: route.pattern.to_string(), line: route.line, rule };
        let below = route.pattern.strip_prefix('/').ok_or_else(|| fault("it begins with `/`"))?;
        let mut node = self;
        let mut segments = below.split('/').peekable();
        while let Some(segment) = segments.next() {
            let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            match name {
                Some(name) if name.contains(['{', '}']) => {
                    return Err(fault("`{name}` is a whole segment"));
                }
                Some(name) if name.starts_with('*') && segments.peek().is_none() => {
                    return add(&mut node.rest, route);
                }
                Some(name) if name.is_empty() || name.contains('*') => {
                    return Err(fault("a parameter has a name, and `{*rest}` stands only at the end"));
                }
                Some(_) => node = node.parameter.get_or_insert_default(),
                None if segment.contains(['{', '}']) => {
                    return Err(fault("`{name}` is a whole segment"));
                }
                None => {
                    let literal = format!("/{segment}");
                    let literal = path::normal_form(&literal)
                        .map_err(|_| fault("it has a segment that no request can have"))?;
                    node = node.literals.entry(literal[1..].to_owned()).or_default();
                }
            }
        }
        add(&mut node.here, route)
    }
}

fn action(target: &Target) -> Action {
    match target {
        Target::Service(name) => Action::Forward(name.clone()),
        Target::Split(split) => Action::Split(split.clone()),
        Target::Redirect(redirect) => Action::Redirect(redirect.clone()),
        Target::Files(files) => Action::Files(Files::new(files.clone())),
    }
}

/// Adds a route to those of one path, the one with the most conditions first.
fn add(routes: &mut Vec<Arc<Route>>, route: Arc<Route>) -> Result<(), RouteError> {
    let equal = |other: &&Arc<Route>| {
        let has_common_method = (other.methods.is_empty() && route.methods.is_empty())
            || other.methods.iter().any(|method| route.methods.contains(method));
        has_common_method && other.conditions.is_equal_to(&route.conditions)
    };
    if let Some(other) = routes.iter().find(equal) {
        return Err(RouteError::Equal {
            pattern: route.pattern.to_string(),
            line: route.line,
            other: other.line,
        });
    }
    let place = routes.partition_point(|other| other.conditions.weight() >= route.conditions.weight());
    routes.insert(place, route);
    Ok(())
}

fn allow<'r>(routes: impl Iterator<Item = &'r Arc<Route>>) -> HeaderValue {
    let mut methods: Vec<&str> = routes.flat_map(|route| &route.methods).map(Method::as_str).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.sort_unstable();
    methods.dedup();
    HeaderValue::from_str(&methods.join(", ")).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "route_fuzz.rs"]
mod fuzz;
