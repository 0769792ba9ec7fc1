//! A route whose requests go to several services by weight.

use crate::names::ServiceName;

use http::HeaderName;

use super::directory::Directory;
use super::header_rules;
use super::key::Key;
use super::report::Report;
use super::route_file;
use super::suggest;

/// What a share weighs that does not say.
const WEIGHT: u64 = 1;

/// Several services with their shares of the requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitConfig {
    /// At least two, with a sum above 0.
    pub shares: Vec<Share>,
    /// By what a client stays with one service; none: each request goes its own way.
    pub sticky: Option<Sticky>,
}

/// A service and its share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The service.
    pub service: ServiceName,
    /// In proportion to the others; 0 for none.
    pub weight: u32,
}

/// By what a client is known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sticky {
    /// A cookie of this name, which the gateway gives to clients without it.
    Cookie(String),
    /// The value of a header field; without it each request goes its own way.
    Header(HeaderName),
    /// The address of the client.
    Address,
}

/// Checks the split of the route under the key.
pub fn check(
    written: &[route_file::Share],
    sticky_text: Option<&str>,
    directory: &Directory,
    key: &Key,
    report: &mut Report<'_>,
) -> Option<SplitConfig> {
    let list = key.field("split");
    let mut shares: Vec<Share> = Vec::with_capacity(written.len());
    for (index, written) in written.iter().enumerate() {
        let key = list.item(index).field("service");
        let Some(name) = written.service.as_deref() else { continue };
        if !directory.services.contains(name) {
            report.refuse(&key, suggest::advise(name, "services", directory.services()));
        }
        // An invalid name of a service that stands in the file is refused there.
        let Ok(service) = name.parse::<ServiceName>() else { continue };
        if shares.iter().any(|share| share.service == service) {
            report.refuse(&key, "add the weights up: the service stands here twice");
        }
        let weight = written.weight.unwrap_or(WEIGHT).try_into().unwrap_or(u32::MAX);
        shares.push(Share { service, weight });
    }
    if !report.refused_within(&list) {
        if written.len() < 2 {
            report.refuse_found(
                &list,
                "fewer than two services",
                "add another, or write `service = \"NAME\"`",
            );
        } else if shares.iter().all(|share| share.weight == 0) {
            report.refuse_found(&list, "no weight above 0", "give one service a weight");
        }
    }
    let sticky = sticky_text.map(|text| sticky(text, &key.field("sticky"), report));
    let sticky = sticky.map_or(Some(None), |sticky| sticky.map(Some))?;
    Some(SplitConfig { shares, sticky })
}

fn sticky(text: &str, key: &Key, report: &mut Report<'_>) -> Option<Sticky> {
    let sticky = match text.split_once(':') {
        None if text == "address" => Ok(Sticky::Address),
        Some(("header", name)) => {
            header_rules::name(name).and_then(header_rules::of_client).map(Sticky::Header)
        }
        Some(("cookie", name)) if is_token(name) => Ok(Sticky::Cookie(name.to_owned())),
        _ => Err("write \"cookie:NAME\", \"header:NAME\" or \"address\"".into()),
    };
    sticky.map_err(|remedy| report.refuse(key, remedy)).ok()
}

/// Whether the text can name a cookie (RFC 6265, 4.1.1).
fn is_token(text: &str) -> bool {
    let is_mark = |byte| b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || is_mark(byte))
}
