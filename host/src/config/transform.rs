//! What a route changes in its requests and responses.

use super::directory::Directory;
use super::file;
use super::header_rules::{self, HeaderRules};
use super::key::Key;
use super::pattern;
use super::report::Report;
use super::rewrite::{self, Rewrite};
use super::target;

/// The changes of one route; none for most routes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transform {
    /// Of the path that the service sees.
    pub rewrite: Option<Rewrite>,
    /// Of the header that the service sees.
    pub request_headers: Option<HeaderRules>,
    /// Of the header that the client sees.
    pub response_headers: Option<HeaderRules>,
}

/// Checks the changes of the route under the key.
pub fn check(written: &file::Route, directory: &Directory, key: &Key, report: &mut Report<'_>) -> Transform {
    let is_for_service = written.service.is_some() || written.split.is_some();
    let only_services =
        [("rewrite", written.rewrite.is_some()), ("request-headers", written.request_headers.is_some())];
    for (name, is_given) in only_services {
        if is_given && !is_for_service && (written.files.is_some() || written.redirect.is_some()) {
            let remedy = "take it out: it changes what a service sees, and no service answers here";
            report.refuse_found(&key.field(name), format!("`{name}` on a route without a service"), remedy);
        }
    }
    let is_http2 = |name: &&String| directory.http2.contains(*name);
    let sets_host = written.request_headers.as_ref().is_some_and(|headers| headers.host.is_some());
    if let Some(name) = target::services(written).find(is_http2).filter(|_| sets_host) {
        let found = format!("`host` on a route to `{name}`, which has `http = \"2\"`");
        let remedy = "take one of them out: over HTTP/2 the host is that of the address";
        report.refuse_found(&key.field("request-headers").field("host"), found, remedy);
    }
    let pattern = written.path.as_deref().filter(|path| pattern::check(path).is_ok());
    let rewrite = written.rewrite.as_ref().filter(|_| is_for_service);
    let request = written.request_headers.as_ref();
    let response = written.response_headers.as_ref();
    Transform {
        rewrite: rewrite.and_then(|written| rewrite::check(written, pattern?, &key.field("rewrite"), report)),
        request_headers: request
            .map(|written| header_rules::request(written, &key.field("request-headers"), report)),
        response_headers: response
            .map(|written| header_rules::response(written, &key.field("response-headers"), report)),
    }
}
