//! Host, path and method -> route, decided on the normal form of the path.
//!
//! An exact host goes before a wildcard, a longer wildcard before a shorter one, any of them before no
//! host. Within a host the most specific path wins, segment by segment: literal, `{name}`, `{*rest}`.
//! The method is looked at last, so that a path without the method is 405, not another route.
//!
//! The tree is our own because the crate `matchit` refuses `/x/{name}` beside `/x/{*rest}`, which is
//! the usual pair of an API and its fallback, and lets `{*rest}` match no empty rest.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method};

use super::cache::RouteCache;
use super::files::Files;
use super::host;
use super::path;
use super::reply::Refusal;
use crate::config::{RouteConfig, Target};
use crate::names::ServiceName;

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
    pub pattern: String,
    /// The methods; empty for all.
    pub methods: Vec<Method>,
    /// What answers.
    pub action: Action,
    /// The time to the response head, when the route sets one.
    pub time: Option<Duration>,
    /// The longest request body in bytes, when the route sets one.
    pub body_bytes_max: Option<u64>,
    /// How it uses the cache; none: not at all.
    pub cache: Option<Arc<RouteCache>>,
    /// The line in gateway.toml.
    pub line: usize,
}

/// What answers the requests of a route.
#[derive(Debug)]
pub enum Action {
    /// A service.
    Forward(ServiceName),
    /// A folder or file.
    Files(Files),
}

/// A route that was found.
#[derive(Debug)]
pub struct Found<'p> {
    /// The route.
    pub route: Arc<Route>,
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
    /// Host suffixes such as `.example.com`, the longest first.
    wildcard: Vec<(String, Node)>,
    any: Node,
}

impl Routes {
    /// Builds the routes of a checked configuration.
    pub fn new(routes: &[RouteConfig]) -> Result<Self, RouteError> {
        let mut all = Self::default();
        for config in routes {
            let route = Route {
                pattern: config.path.clone(),
                methods: config.methods.clone(),
                action: action(&config.target),
                time: config.time,
                body_bytes_max: config.body_bytes_max,
                cache: RouteCache::new(config),
                line: config.line,
            };
            all.table(config.host.as_deref()).insert(Arc::new(route))?;
        }
        all.wildcard.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        Ok(all)
    }

    /// Finds the route of a request; `raw_path` is the path as the client sent it, without query.
    pub fn find<'p>(
        &self,
        host: Option<&str>,
        method: &Method,
        raw_path: &'p str,
    ) -> Result<Found<'p>, Refusal> {
        let path = path::normal_form(raw_path).map_err(Refusal::Path)?;
        let host = host.map(host::comparable);
        let (route, rest_start) = self.choose(host.as_deref(), method, &path)?;
        for reading in path::other_readings(&path) {
            let other = self.choose(host.as_deref(), method, &reading);
            if !other.is_ok_and(|(other, _)| Arc::ptr_eq(other, route)) {
                return Err(Refusal::AmbiguousPath);
            }
        }
        Ok(Found { route: route.clone(), path, rest_start })
    }

    fn choose(
        &self,
        host: Option<&str>,
        method: &Method,
        path: &str,
    ) -> Result<(&Arc<Route>, usize), Refusal> {
        let (routes, rest_length) = self.candidates(host, path).ok_or(Refusal::NoRoute)?;
        let named = routes.iter().find(|route| !route.methods.is_empty() && accepts(route, method));
        let route = named.or_else(|| routes.iter().find(|route| route.methods.is_empty()));
        let route = route.ok_or_else(|| Refusal::Method { allow: allow(routes) })?;
        Ok((route, path.len() - rest_length))
    }

    /// The routes of the most specific host and path, and how long the rest is.
    fn candidates(&self, host: Option<&str>, path: &str) -> Option<(&[Arc<Route>], usize)> {
        let host = host.unwrap_or_default();
        let below = path.strip_prefix('/')?;
        let wildcards = self.wildcard.iter();
        let wildcards = wildcards
            .filter(|(suffix, _)| host.len() > suffix.len() && host.ends_with(suffix.as_str()))
            .map(|(_, node)| node);
        let mut tables = self.exact.get(host).into_iter().chain(wildcards).chain([&self.any]);
        tables.find_map(|table| table.find(Some(below)))
    }

    fn table(&mut self, host: Option<&str>) -> &mut Node {
        let Some(host) = host else {
            return &mut self.any;
        };
        let host = host::comparable(host);
        let Some(suffix) = host.strip_prefix('*') else {
            return self.exact.entry(host.into_owned()).or_default();
        };
        let index = self.wildcard.iter().position(|(known, _)| known == suffix);
        let index = index.unwrap_or_else(|| {
            self.wildcard.push((suffix.to_owned(), Node::default()));
            self.wildcard.len() - 1
        });
        &mut self.wildcard[index].1
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
        let fault = |rule| RouteError::Pattern { pattern: route.pattern.clone(), line: route.line, rule };
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

/// What is shown of a route.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct RouteView {
    /// The host as configured; none for any.
    pub host: Option<String>,
    /// The path pattern.
    pub path: String,
    /// The methods; empty for all.
    pub methods: Vec<String>,
    /// The service that answers.
    #[schema(value_type = Option<String>)]
    pub service: Option<ServiceName>,
    /// The folder of files that answers.
    #[schema(value_type = Option<String>)]
    pub files: Option<PathBuf>,
    /// The line in gateway.toml.
    pub line: usize,
}

impl From<&RouteConfig> for RouteView {
    fn from(config: &RouteConfig) -> Self {
        let (service, files) = match &config.target {
            Target::Service(name) => (Some(name.clone()), None),
            Target::Files(folder) => (None, Some(folder.clone())),
        };
        Self {
            host: config.host.clone(),
            path: config.path.clone(),
            methods: config.methods.iter().map(Method::to_string).collect(),
            service,
            files,
            line: config.line,
        }
    }
}

fn action(target: &Target) -> Action {
    match target {
        Target::Service(name) => Action::Forward(name.clone()),
        Target::Files(folder) => Action::Files(Files::new(folder.clone())),
    }
}

fn add(routes: &mut Vec<Arc<Route>>, route: Arc<Route>) -> Result<(), RouteError> {
    let equal = |other: &&Arc<Route>| {
        (other.methods.is_empty() && route.methods.is_empty())
            || other.methods.iter().any(|method| route.methods.contains(method))
    };
    if let Some(other) = routes.iter().find(equal) {
        return Err(RouteError::Equal {
            pattern: route.pattern.clone(),
            line: route.line,
            other: other.line,
        });
    }
    routes.push(route);
    Ok(())
}

/// Who answers GET answers HEAD (RFC 9110, 9.3.2).
fn accepts(route: &Route, method: &Method) -> bool {
    route.methods.contains(method) || (method == Method::HEAD && route.methods.contains(&Method::GET))
}

fn allow(routes: &[Arc<Route>]) -> HeaderValue {
    let mut methods: Vec<&str> = routes.iter().flat_map(|route| &route.methods).map(Method::as_str).collect();
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
