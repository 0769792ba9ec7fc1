//! A route: which requests it takes, where they go, and their limits.

use std::path::PathBuf;
use std::time::Duration;

use http::Method;

use crate::names::ServiceName;

use super::cache::{self, CacheRules};
use super::file;
use super::grants::{self, Surroundings};
use super::key::Key;
use super::origin;
use super::pattern;
use super::report::Report;
use super::suggest;
use super::units::{self, SIZE_BYTES_MAX};

/// The methods that a route can name (RFC 9110, 9.3; RFC 5789). CONNECT and TRACE end at the gateway.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];

/// One route, checked.
#[derive(Debug, Clone)]
pub struct RouteConfig {
    /// A host in lower case, or `*.` and a name for all hosts below it; none: any host.
    pub host: Option<String>,
    /// The pattern: `{name}` is one segment, `{*rest}` the rest, which may be empty.
    pub path: String,
    /// The methods, in upper case; empty: all.
    pub methods: Vec<Method>,
    /// Who answers.
    pub target: Target,
    /// The time to the response head; none: as the service's.
    pub time: Option<Duration>,
    /// The longest request body in bytes; none: as the service's or the gateway's.
    pub body_bytes_max: Option<u64>,
    /// How responses are kept and used again; none: not at all.
    pub cache: Option<CacheRules>,
    /// The line of the file where it begins, for messages; it does not count when routes are compared.
    pub line: usize,
}

/// Who answers the requests of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A service of the file.
    Service(ServiceName),
    /// The static files of a folder, absolute; the path of the route ends in `{*rest}`.
    Files(PathBuf),
}

impl RouteConfig {
    /// The path without the names of its parameters: equal shapes match the same paths.
    pub fn shape(&self) -> String {
        pattern::shape(&self.path)
    }

    /// Whether a request exists for which neither route is the more specific one. A route with methods is
    /// more specific than one for all.
    pub fn is_equal_to(&self, other: &Self) -> bool {
        let has_common_method = match (self.methods.as_slice(), other.methods.as_slice()) {
            ([], []) => true,
            (one, other) => one.iter().any(|method| other.contains(method)),
        };
        has_common_method && self.host == other.host && self.shape() == other.shape()
    }
}

impl PartialEq for RouteConfig {
    /// Whether a running route could stay as it is; moving it in the file changes nothing.
    fn eq(&self, other: &Self) -> bool {
        let Self { host, path, methods, target, time, body_bytes_max, cache, line: _ } = self;
        *host == other.host
            && *path == other.path
            && *methods == other.methods
            && *target == other.target
            && *time == other.time
            && *body_bytes_max == other.body_bytes_max
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
    for (index, written) in written.iter().enumerate() {
        let key = Key::root().field("routes").item(index);
        let Some(route) = check(written, around, &key, report) else { continue };
        if let Some(equal) = routes.iter().find(|above| above.is_equal_to(&route)) {
            let remedy = format!(
                "change host, path or methods: the route at line {} takes the same requests",
                equal.line
            );
            report.refuse(&key.field("path"), remedy);
        }
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
    let target = target(written, around, key, report);
    let time = units::time_or_none(written.time.as_ref(), &key.field("time"), report);
    let body_bytes_max =
        units::size_or_none(written.body.as_ref(), 1..=SIZE_BYTES_MAX, &key.field("body"), report);
    let cache = cache::of_route(written, around.cache, &key.field("cache"), report);
    Some(RouteConfig {
        host: host.ok()?,
        path: path?,
        methods: methods?,
        target: target?,
        time,
        body_bytes_max,
        cache,
        line: report.line(key),
    })
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

fn target(
    written: &file::Route,
    around: Surroundings<'_>,
    key: &Key,
    report: &mut Report<'_>,
) -> Option<Target> {
    match (&written.service, &written.files) {
        (Some(service), None) => {
            let directory = around.directory;
            if !directory.services.contains(service) {
                let advice = suggest::advise(service, "services", directory.services());
                report.refuse(&key.field("service"), advice);
            }
            // An invalid name of a service that stands in the file is refused there.
            service.parse().ok().map(Target::Service)
        }
        (None, Some(files)) => {
            let files_key = key.field("files");
            let folder = units::path(files, around.folder, &files_key, report);
            if !folder.is_dir() {
                report.refuse(&files_key, "correct the path or make the folder: there is no such folder");
            }
            Some(Target::Files(folder))
        }
        (Some(_), Some(_)) => {
            let remedy = "keep one of them: a service or a folder of files answers";
            report.refuse_found(&key.field("files"), "`files` beside `service`", remedy);
            None
        }
        (None, None) => {
            // A misspelt key was refused, and it was probably one of these.
            if !report.refused_within(key) {
                let remedy = "add `service = \"NAME\"` or `files = \"FOLDER\"`";
                report.refuse_found(key, "neither `service` nor `files`", remedy);
            }
            None
        }
    }
}
