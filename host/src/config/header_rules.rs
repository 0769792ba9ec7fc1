//! What is changed in a header: fields set, added, removed.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};

use super::file::Text;
use super::key::Key;
use super::origin;
use super::report::Report;
use super::route_file::{RequestHeaders, ResponseHeaders};
use crate::names::{is_claim, is_of_host};

/// Fields of one connection or of the framing of a message (RFC 9110, 7.6.1; RFC 9112, 6): changing them by hand
/// would make two parties disagree on where a message ends.
const OF_THE_CONNECTION: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What is changed, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderRules {
    /// Taken out.
    pub remove: Vec<HeaderName>,
    /// In the place of what stands there; the Host among them.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Beside what stands there.
    pub add: Vec<(HeaderName, HeaderValue)>,
}

impl HeaderRules {
    /// Whether they choose the host that a service sees.
    pub fn sets_host(&self) -> bool {
        self.set.iter().any(|(name, _)| name == http::header::HOST)
    }
}

/// Checks the rules for requests.
pub fn request(written: &RequestHeaders, key: &Key, report: &mut Report<'_>) -> HeaderRules {
    let mut rules = HeaderRules {
        remove: names(written.remove.as_deref(), &key.field("remove"), report),
        set: fields(written.set.as_ref(), &key.field("set"), report),
        add: fields(written.add.as_ref(), &key.field("add"), report),
    };
    if let Some(text) = &written.host {
        match host(text) {
            Ok(value) => rules.set.push((http::header::HOST, value)),
            Err(remedy) => report.refuse(&key.field("host"), remedy),
        }
    }
    rules
}

/// Checks the rules for responses.
pub fn response(written: &ResponseHeaders, key: &Key, report: &mut Report<'_>) -> HeaderRules {
    HeaderRules {
        remove: names(written.remove.as_deref(), &key.field("remove"), report),
        set: fields(written.set.as_ref(), &key.field("set"), report),
        add: fields(written.add.as_ref(), &key.field("add"), report),
    }
}

/// A field by which a client can be told from another; an error says what would be right.
pub fn of_client(name: HeaderName) -> Result<HeaderName, String> {
    if is_claim(&name) {
        return Err(format!(
            "name another field than `{name}`: what clients say there is thrown away before"
        ));
    }
    Ok(name)
}

/// A field that a route may name; an error says what would be right.
pub fn name(text: &str) -> Result<HeaderName, String> {
    let name: HeaderName =
        text.parse().map_err(|_| "name a header field with letters, digits and `-`".to_owned())?;
    if OF_THE_CONNECTION.contains(&name.as_str()) {
        return Err(format!("take `{name}` out: it belongs to the connection, and the gateway sees to it"));
    }
    if is_of_host(&name) {
        return Err(format!("take `{name}` out: only the host says what stands in `hostel-…`"));
    }
    if name == http::header::HOST {
        return Err(
            "use the key `host`: of a route, or of `request-headers` for what the service sees".into()
        );
    }
    Ok(name)
}

/// The value of a field; an error says what would be right.
pub fn value(text: &str) -> Result<HeaderValue, String> {
    let is_text = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    match HeaderValue::from_str(text) {
        Ok(value) if is_text && text.trim() == text => Ok(value),
        _ => Err("write visible ASCII characters, without blanks at the ends".into()),
    }
}

fn host(text: &str) -> Result<HeaderValue, String> {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    origin::check_host(&name.to_ascii_lowercase())?;
    if name.starts_with("*.") {
        return Err("write one host; a pattern names none".into());
    }
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err("write a port from 1 to 65535 after the host, or none".into());
    }
    value(text)
}

fn names(written: Option<&[String]>, key: &Key, report: &mut Report<'_>) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for (index, text) in written.unwrap_or_default().iter().enumerate() {
        match name(text) {
            Ok(name) => names.push(name),
            Err(remedy) => report.refuse(&key.item(index), remedy),
        }
    }
    names
}

fn fields(
    written: Option<&BTreeMap<String, Text>>,
    key: &Key,
    report: &mut Report<'_>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut fields = Vec::new();
    for (text, Text(written)) in written.into_iter().flatten() {
        match name(text).and_then(|name| Ok((name, value(written)?))) {
            Ok(field) => fields.push(field),
            Err(remedy) => report.refuse(&key.field(text), remedy),
        }
    }
    fields
}
