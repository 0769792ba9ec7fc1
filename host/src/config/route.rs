//! A route: which requests it takes, where they go, and their limits.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use super::auth::{self, AuthConfig};
use super::cache::{self, CacheRules};
use super::conditions::{self, Conditions};
use super::file;
use super::grants::{self, Surroundings};
use super::key::Key;
use super::origin;
use super::pattern;
use super::policies::{self, Policies};
use super::report::Report;
use super::retry::{self, Retry};
use super::suggest;
use super::target::{self, Target};
use super::transform::{self, Transform};
use super::units::{self, SIZE_BYTES_MAX};

/// The methods that a route can name (RFC 9110, 9.3; RFC 5789). CONNECT and TRACE end at the gateway.
pub const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];

/// One route, checked.
#[derive(Debug, Clone)]
pub struct RouteConfig {
    /// A host in lower case, or `*.` and a name for all hosts below it; none: any host.
    pub host: Option<String>,
    /// The pattern: `{name}` is one segment, `{*rest}` the rest, which may be empty.
    pub path: String,
    /// The methods, in upper case; empty: all.
    pub methods: Vec<Method>,
    /// What a request must have besides.
    pub conditions: Conditions,
    /// Who answers.
    pub target: Target,
    /// What is changed in requests and responses.
    pub transform: Transform,
    /// The time to the response head; none: as the service's.
    pub time: Option<Duration>,
    /// The longest request body in bytes; none: as the service's or the gateway's.
    pub body_bytes_max: Option<u64>,
    /// What it does beside answering, with the defaults of the gateway.
    pub policies: Policies,
    /// How requests that fail are tried again; none: as the service's.
    pub retry: Option<Arc<Retry>>,
    /// Who may use it; none: everybody.
    pub auth: Option<AuthConfig>,
    /// How responses are kept and used again; none: not at all.
    pub cache: Option<CacheRules>,
    /// The line of the file where it begins, for messages; it does not count when routes are compared.
    pub line: usize,
}

impl RouteConfig {
    /// The path without the names of its parameters: equal shapes match the same paths.
    pub fn shape(&self) -> String {
        pattern::shape(&self.path)
    }

    /// Whether a request exists for which neither route is the more specific one. A route with methods is
    /// more specific than one for all, then one with more conditions.
    pub fn is_equal_to(&self, other: &Self) -> bool {
        let has_common_method = match (self.methods.as_slice(), other.methods.as_slice()) {
            ([], []) => true,
            (one, other) => one.iter().any(|method| other.contains(method)),
        };
        has_common_method
            && self.conditions.is_equal_to(&other.conditions)
            && self.host == other.host
            && self.shape() == other.shape()
    }
}

impl PartialEq for RouteConfig {
    /// Whether a running route could stay as it is; moving it in the file changes nothing.
    fn eq(&self, other: &Self) -> bool {
        let Self {
            host,
            path,
            methods,
            conditions,
            target,
            transform,
            time,
            body_bytes_max,
            policies,
            retry,
            auth,
            cache,
            line: _,
        } = self;
        *host == other.host
            && *path == other.path
            && *methods == other.methods
            && *conditions == other.conditions
            && *target == other.target
            && *transform == other.transform
            && *time == other.time
            && *body_bytes_max == other.body_bytes_max
            && *policies == other.policies
            && *retry == other.retry
            && *auth == other.auth
            && *cache == other.cache
    }
}

/// Checks all routes, each for itself and then against those above it.
pub fn check_all(
    written: &[file::Route],
    around: Surroundings<'_>,
    report: &mut Report<'_>,
) -> Vec<RouteConfig> {
    let mut routes: Vec<RouteConfig> = Vec::with_capacity(written.len());
    // Only routes of one host and shape can be equal: ten thousand routes are not compared each with each.
    let mut neighbours: HashMap<(Option<String>, String), Vec<usize>> = HashMap::new();
    for (index, written) in written.iter().enumerate() {
        let key = Key::root().field("routes").item(index);
        let Some(route) = check(written, around, &key, report) else { continue };
        let above = neighbours.entry((route.host.clone(), route.shape())).or_default();
        if let Some(equal) = above.iter().map(|index| &routes[*index]).find(|above| above.is_equal_to(&route))
        {
            let remedy = format!(
                "change host, path, methods, headers or query: the route at line {} takes the same requests",
                equal.line
            );
            report.refuse(&key.field("path"), remedy);
        }
        above.push(routes.len());
        routes.push(route);
    }
    routes
}

/// Checks one route; none when it lacks what makes a route, which is reported.
fn check(
    written: &file::Route,
    around: Surroundings<'_>,
    key: &Key,
    report: &mut Report<'_>,
) -> Option<RouteConfig> {
    let host = host(written.host.as_deref(), &key.field("host"), report);
    let path = path(written, &key.field("path"), report);
    let methods = methods(written, &key.field("methods"), report);
    let conditions = conditions::check(written, key, report);
    let target = target::check(written, around, key, report);
    let transform = transform::check(written, around.directory, key, report);
    let time = units::time_or_none(written.time.as_ref(), &key.field("time"), report);
    let body_bytes_max =
        units::size_or_none(written.body.as_ref(), 1..=SIZE_BYTES_MAX, &key.field("body"), report);
    let policies = policies::check(written, around.policies, key, report);
    let retry = retry::check(written.retry.as_ref(), &key.field("retry"), report);
    let auth = auth(written, around, &key.field("auth"), report);
    let cache = cache::of_route(written, around.cache, &key.field("cache"), report);
    Some(RouteConfig {
        host: host.ok()?,
        path: path?,
        methods: methods?,
        conditions,
        target: target?,
        transform,
        time,
        body_bytes_max,
        policies,
        retry,
        auth,
        cache,
        line: report.line(key),
    })
}

fn auth(
    written: &file::Route,
    around: Surroundings<'_>,
    key: &Key,
    report: &mut Report<'_>,
) -> Option<AuthConfig> {
    let auth = auth::check(written.auth.as_ref(), around.auth, key, report)?;
    let is_external = target::services(written).any(|name| around.directory.external.contains(name));
    Some(if is_external { auth.for_external() } else { auth })
}

/// A host was refused.
struct Refused;

fn host(written: Option<&str>, key: &Key, report: &mut Report<'_>) -> Result<Option<String>, Refused> {
    let Some(host) = written.map(str::to_ascii_lowercase) else {
        return if report.refused_within(key) { Err(Refused) } else { Ok(None) };
    };
    if let Err(remedy) = origin::check_host(&host) {
        report.refuse(key, format!("{remedy}; scheme and port are no part of it"));
        return Err(Refused);
    }
    Ok(Some(host))
}

fn path(written: &file::Route, key: &Key, report: &mut Report<'_>) -> Option<String> {
    let path = written.path.as_ref()?;
    if let Err(remedy) = pattern::check(path) {
        report.refuse(key, remedy);
        return None;
    }
    if written.files.is_some() && !pattern::is_folder(path) {
        report.refuse(key, "let the path of files end in `/{*rest}` and have no other parameter");
        return None;
    }
    Some(path.clone())
}

fn methods(written: &file::Route, key: &Key, report: &mut Report<'_>) -> Option<Vec<Method>> {
    if written.methods.as_ref().is_some_and(Vec::is_empty) {
        report.refuse(key, "name a method, or take the key out for all methods");
    }
    let methods = grants::each(&written.methods, key, report, |text| {
        let known = METHODS.iter().find(|known| **known == text);
        let advice = || suggest::advise(&text.to_ascii_uppercase(), "methods", METHODS);
        let known = known.ok_or_else(advice)?;
        Method::from_bytes(known.as_bytes()).map_err(|error| error.to_string())
    });
    (!report.refused_within(key)).then_some(methods)
}
