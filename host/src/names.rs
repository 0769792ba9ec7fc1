//! Typed names: service, domain, topic, version, request; and the names of header fields that are the host's.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use http::HeaderName;
use serde::{Deserialize, Serialize};
use uuid::{ContextV7, Timestamp, Uuid};

/// The longest name of a service or domain; it becomes a DNS label in `http://<service>.internal`
/// (RFC 1035, 2.3.4).
pub const NAME_BYTES_MAX: usize = 63;

/// The longest topic or topic pattern.
pub const TOPIC_BYTES_MAX: usize = 255;

/// A name that breaks a rule; says which.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no {what}: {rule}")]
pub struct InvalidName {
    what: &'static str,
    found: String,
    rule: &'static str,
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The name, shared.
            pub fn as_arc(&self) -> &Arc<str> {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                check_label($what, text)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

label! {
    /// The name of a domain service: `order`.
    ServiceName, "service name"
}

/// The name under which the host itself calls services and receives messages; no service can have it.
const HOST: &str = "hostel";

impl ServiceName {
    /// The name of the host itself.
    pub fn of_host() -> Self {
        Self(HOST.into())
    }
}

label! {
    /// The name of a domain, whose services share a message broker: `order-management`.
    DomainName, "domain name"
}

/// The domain of services that name none.
pub fn default_domain() -> DomainName {
    DomainName("default".into())
}

/// The namespace of the header fields that only the host sets.
const OF_HOST: &str = "hostel-";

/// The header field in which the host tells a service who calls it.
pub const CALLER: HeaderName = HeaderName::from_static("hostel-service");

/// The header field in which the host tells a service the id of the request.
pub const REQUEST: HeaderName = HeaderName::from_static("hostel-request");

/// Whether only the host may set a header field.
pub fn is_of_host(name: &HeaderName) -> bool {
    begins_with(name, OF_HOST)
}

/// The header fields in which proxies say whom they speak for.
const OF_PROXIES: [&str; 3] = ["forwarded", "x-real-ip", "x-forwarded-"];

/// Whether nobody believes a client what it says in a header field: only the host and trusted proxies speak there.
pub fn is_claim(name: &HeaderName) -> bool {
    is_of_host(name) || OF_PROXIES.into_iter().any(|prefix| begins_with(name, prefix))
}

/// Whether the name of a header field begins so. `_` counts as `-`, since many frameworks read both as the same name.
fn begins_with(name: &HeaderName, prefix: &str) -> bool {
    let bytes = name.as_str().bytes().map(|byte| if byte == b'_' { b'-' } else { byte });
    name.as_str().len() >= prefix.len() && bytes.zip(prefix.bytes()).all(|(one, other)| one == other)
}

/// The number of a version of a service: 1 is v1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionNumber(pub u32);

impl fmt::Display for VersionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("v{}", self.0))
    }
}

/// What a message is about: words with dots between them, `order.placed`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Topic(Arc<str>);

impl Topic {
    /// The topic as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Topic {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        check_tokens("topic", text, |token| token.bytes().all(is_topic_byte))?;
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for Topic {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<Topic> for String {
    fn from(topic: Topic) -> String {
        topic.0.to_string()
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Which topics: `order.*` (one word) or `order.>` (one word or more), as NATS subjects do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicPattern(Arc<str>);

impl TopicPattern {
    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the topic is one of these.
    pub fn matches(&self, topic: &Topic) -> bool {
        let mut words = topic.0.split('.');
        for token in self.0.split('.') {
            match (token, words.next()) {
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (exact, Some(word)) if exact == word => {}
                _ => return false,
            }
        }
        words.next().is_none()
    }
}

impl FromStr for TopicPattern {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let last = text.split('.').count().saturating_sub(1);
        let misplaced = text.split('.').enumerate().any(|(index, token)| token == ">" && index != last);
        if misplaced {
            return Err(InvalidName {
                what: "topic pattern",
                found: text.into(),
                rule: "`>` stands only at the end",
            });
        }
        check_tokens("topic pattern", text, |token| {
            token == "*" || token == ">" || token.bytes().all(is_topic_byte)
        })?;
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for TopicPattern {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<TopicPattern> for String {
    fn from(pattern: TopicPattern) -> String {
        pattern.0.to_string()
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Orders the ids of one time.
static ORDER: Mutex<ContextV7> = Mutex::new(ContextV7::new());

/// The id of one request or delivery, found again in the access log, the logs of services and problem
/// documents.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The id of a request that has come now.
    pub fn new() -> Self {
        Self::at(jiff::Timestamp::now())
    }

    /// The id of one that has come then (UUID version 7, RFC 9562). Later ones are larger: one that came before the last
    /// one is taken to have come with it.
    pub fn at(time: jiff::Timestamp) -> Self {
        // No clock stands before 1970.
        let seconds = u64::try_from(time.as_second()).unwrap_or_default();
        let nanoseconds = u32::try_from(time.subsec_nanosecond()).unwrap_or_default();
        let time = Timestamp::from_unix(&ORDER, seconds, nanoseconds);
        let mut text = Uuid::encode_buffer();
        Self(Arc::from(&*Uuid::new_v7(time).simple().encode_lower(&mut text)))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<RequestId> for Arc<str> {
    fn from(id: RequestId) -> Arc<str> {
        id.0
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn check_label(what: &'static str, text: &str) -> Result<(), InvalidName> {
    let rule = if text.is_empty() || text.len() > NAME_BYTES_MAX {
        "it has 1 to 63 characters"
    } else if !text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        "it has lower-case letters, digits and `-` only"
    } else if !text.as_bytes()[0].is_ascii_lowercase() || text.ends_with('-') {
        "it begins with a letter and does not end with `-`"
    } else {
        return Ok(());
    };
    Err(InvalidName { what, found: text.into(), rule })
}

fn check_tokens(what: &'static str, text: &str, is_token: impl Fn(&str) -> bool) -> Result<(), InvalidName> {
    let rule = if text.is_empty() || text.len() > TOPIC_BYTES_MAX {
        "it has 1 to 255 characters"
    } else if text.split('.').any(str::is_empty) {
        "no word between its dots is empty"
    } else if !text.split('.').all(is_token) {
        "its words have letters, digits, `-` and `_` only"
    } else {
        return Ok(());
    };
    Err(InvalidName { what, found: text.into(), rule })
}

fn is_topic_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_names_are_dns_labels() {
        for good in ["order", "a", "psp-2"] {
            assert!(good.parse::<ServiceName>().is_ok(), "{good}");
        }
        for bad in ["", "Order", "2nd", "a-", "a.b", "a_b", &"x".repeat(64)] {
            assert!(bad.parse::<ServiceName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_spelling_of_a_field_of_the_host_is_known() {
        for (name, expected) in [
            ("hostel-subject", true),
            ("Hostel-Subject", true),
            ("hostel_subject", true),
            ("HOSTEL_CLAIMS", true),
            ("hostel-", true),
            ("hostel", false),
            ("hostelry", false),
            ("x-hostel-subject", false),
        ] {
            assert_eq!(is_of_host(&name.parse().unwrap()), expected, "{name}");
        }
    }

    #[test]
    fn patterns_match_as_in_nats() {
        let check = |pattern: &str, topic: &str, expected: bool| {
            let pattern: TopicPattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(&topic.parse().unwrap()), expected, "{pattern} {topic}");
        };
        check("order.*", "order.placed", true);
        check("order.*", "order", false);
        check("order.*", "order.placed.eu", false);
        check("order.>", "order.placed.eu", true);
        check("order.>", "order", false);
        check("*.placed", "order.placed", true);
        check("order.placed", "order.placed", true);
        check("order.placed", "order.shipped", false);
        check(">", "order", true);
    }

    #[test]
    fn a_tail_wildcard_stands_only_at_the_end() {
        assert!("order.>.x".parse::<TopicPattern>().is_err());
        assert!("order.*".parse::<Topic>().is_err());
        assert!("order..x".parse::<Topic>().is_err());
    }
}
