//! Pages of other origins (Fetch standard, CORS protocol): preflights are answered here, and responses tell the
//! browser who may read them. What a service says about it itself is taken out.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request};

use super::vary;
use crate::body::{self, Response};
use crate::config;
use crate::config::Origins;

const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");
const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");

/// Everything that a server can say; no word of a service counts beside the rules of the route.
static ANSWERS: [HeaderName; 7] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
    ALLOW_PRIVATE_NETWORK,
];

/// What the answer to a preflight depends on.
const PREFLIGHT_VARY: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network";

/// The rules of one route, ready to be said.
#[derive(Debug)]
pub struct Cors {
    /// None for any origin.
    origins: Option<Vec<Allowed>>,
    credentials: bool,
    expose: Option<HeaderValue>,
    /// None: whatever the route takes.
    methods: Option<HeaderValue>,
    headers: Option<HeaderValue>,
    max_age: HeaderValue,
    private_network: bool,
}

/// An origin, as browsers write it.
#[derive(Debug)]
enum Allowed {
    Exact(String),
    /// All names below one.
    Below {
        /// `https://`
        scheme: String,
        /// `.example.com:8443`
        suffix: String,
    },
}

impl Cors {
    /// The rules as checked.
    pub fn new(rules: &config::Cors) -> Self {
        let origins = match &rules.origins {
            Origins::Any => None,
            Origins::Listed(origins) => Some(origins.iter().map(Allowed::new).collect()),
        };
        Self {
            origins,
            credentials: rules.credentials,
            expose: list(&rules.expose),
            methods: list(&rules.methods),
            headers: list(&rules.headers),
            max_age: HeaderValue::from(rules.max_age.as_secs()),
            private_network: rules.private_network,
        }
    }

    /// What `Access-Control-Allow-Origin` says to this request; none when it may not be read from elsewhere.
    pub fn allow_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut sent = headers.get_all(header::ORIGIN).iter();
        let (origin, None) = (sent.next()?, sent.next()) else {
            return None;
        };
        let Some(origins) = &self.origins else {
            return Some(HeaderValue::from_static("*"));
        };
        let text = origin.to_str().ok()?;
        origins.iter().any(|allowed| allowed.covers(text)).then(|| origin.clone())
    }

    /// The answer to a preflight. One from an origin that may not ask says nothing, and so forbids.
    pub fn preflight(&self, head: &request::Parts) -> Response {
        let mut response = Response::new(body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static(PREFLIGHT_VARY));
        let Some(origin) = self.allow_origin(&head.headers) else {
            return response;
        };
        self.allow(origin, headers);
        let asked = head.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD);
        let methods = self.methods.as_ref().or(asked);
        headers.extend(methods.map(|methods| (header::ACCESS_CONTROL_ALLOW_METHODS, methods.clone())));
        let allowed = self.headers.as_ref();
        headers.extend(allowed.map(|allowed| (header::ACCESS_CONTROL_ALLOW_HEADERS, allowed.clone())));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        let asks_for_network =
            head.headers.get(REQUEST_PRIVATE_NETWORK).is_some_and(|asked| asked.as_bytes() == b"true");
        if self.private_network && asks_for_network {
            headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
        }
        response
    }

    /// Sets what the answer to a request says; `origin` is what [`Self::allow_origin`] gave for it.
    pub fn answer(&self, origin: Option<HeaderValue>, headers: &mut HeaderMap) {
        for name in &ANSWERS {
            headers.remove(name);
        }
        // Also where nothing is allowed: a cache must not give that answer to those who may ask.
        vary::add(headers, header::ORIGIN);
        if let Some(origin) = origin {
            self.allow(origin, headers);
            let expose = self.expose.as_ref();
            headers.extend(expose.map(|expose| (header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone())));
        }
    }

    fn allow(&self, origin: HeaderValue, headers: &mut HeaderMap) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}

/// The method that a preflight asks about; none when the request is no preflight.
pub fn asked_method(head: &request::Parts) -> Option<Method> {
    if head.method != Method::OPTIONS || !head.headers.contains_key(header::ORIGIN) {
        return None;
    }
    let asked = head.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(asked.as_bytes()).ok()
}

impl Allowed {
    fn new(origin: &config::Origin) -> Self {
        let text = origin.to_string();
        match text.split_once('*') {
            Some((scheme, suffix)) => Self::Below { scheme: scheme.to_owned(), suffix: suffix.to_owned() },
            None => Self::Exact(text),
        }
    }

    /// Byte by byte: browsers write an origin in one way only.
    fn covers(&self, origin: &str) -> bool {
        match self {
            Self::Exact(text) => text == origin,
            Self::Below { scheme, suffix } => {
                let name = origin.strip_prefix(scheme.as_str());
                name.and_then(|name| name.strip_suffix(suffix.as_str())).is_some_and(are_labels)
            }
        }
    }
}

/// Labels of a host name; nothing else may stand before the suffix, so that it cannot be the end of a path or port.
fn are_labels(text: &str) -> bool {
    let is_letter =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    text.split('.').all(|label| !label.is_empty() && label.bytes().all(is_letter))
}

/// The names as one header field; none for no name.
fn list(names: &[impl AsRef<str>]) -> Option<HeaderValue> {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    if names.is_empty() {
        return None;
    }
    HeaderValue::try_from(names.join(", ")).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Origin;

    fn rules(origins: &[&str]) -> config::Cors {
        let listed = || origins.iter().map(|text| Origin::parse(text).unwrap()).collect();
        config::Cors {
            origins: if origins == ["*"] { Origins::Any } else { Origins::Listed(listed()) },
            methods: Vec::new(),
            headers: vec!["content-type".parse().unwrap(), "x-tenant".parse().unwrap()],
            expose: vec!["etag".parse().unwrap()],
            credentials: false,
            max_age: Duration::from_secs(600),
            private_network: false,
        }
    }

    fn head(fields: &[(&str, &str)]) -> request::Parts {
        let mut request = http::Request::options("/");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    const ASKED: (&str, &str) = ("access-control-request-method", "PUT");

    #[test]
    fn only_listed_origins_may_ask() {
        let cors =
            Cors::new(&rules(&["https://app.example.com", "http://localhost:3000", "https://*.example.org"]));
        let may = |origin: &str| cors.allow_origin(&head(&[("origin", origin)]).headers).is_some();
        for good in [
            "https://app.example.com",
            "http://localhost:3000",
            "https://a.example.org",
            "https://a.b.example.org",
        ] {
            assert!(may(good), "{good}");
        }
        for bad in [
            "null",
            "",
            "*",
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://app.example.com.",
            "https://app.example.com.evil.example",
            "https://evil-app.example.com",
            "https://xapp.example.com",
            "https://APP.example.com",
            "https://app.example.com/",
            "https://app.example.com, https://evil.example",
            "http://localhost",
            "http://localhost:30000",
            "https://example.org",
            "https://.example.org",
            "https://..example.org",
            "https://evilexample.org",
            "https://evil.example/.example.org",
            "https://evil.example?.example.org",
            "https://evil.example:80.example.org",
            "https://user@a.example.org",
            "https://a.example.org:8443",
            "https://a.example.org.evil.example",
            "http://a.example.org",
        ] {
            assert!(!may(bad), "{bad}");
        }
        let two = head(&[("origin", "https://app.example.com"), ("origin", "https://evil.example")]);
        assert!(cors.allow_origin(&two.headers).is_none());
        assert!(cors.allow_origin(&head(&[]).headers).is_none());
    }

    #[test]
    fn a_preflight_is_answered_by_the_rules() {
        let cors = Cors::new(&rules(&["https://a.example"]));
        let asked = head(&[("origin", "https://a.example"), ASKED]);
        assert_eq!(asked_method(&asked), Some(Method::PUT));
        let response = cors.preflight(&asked);
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        let headers = response.headers();
        assert_eq!(headers["access-control-allow-origin"], "https://a.example");
        assert_eq!(headers["access-control-allow-methods"], "PUT");
        assert_eq!(headers["access-control-allow-headers"], "content-type, x-tenant");
        assert_eq!(headers["access-control-max-age"], "600");
        assert!(headers["vary"].to_str().unwrap().starts_with("Origin, "));
        for absent in ["access-control-allow-credentials", "access-control-expose-headers"] {
            assert!(!headers.contains_key(absent), "{absent}");
        }
        let refused = cors.preflight(&head(&[("origin", "https://b.example"), ASKED]));
        assert_eq!((refused.status(), refused.headers().len()), (StatusCode::NO_CONTENT, 1));
    }

    #[test]
    fn only_options_with_origin_and_method_is_a_preflight() {
        assert!(asked_method(&head(&[ASKED])).is_none());
        assert!(asked_method(&head(&[("origin", "https://a")])).is_none());
        assert!(
            asked_method(&head(&[("origin", "https://a"), ("access-control-request-method", "P T")]))
                .is_none()
        );
        let mut get = head(&[("origin", "https://a"), ASKED]);
        get.method = Method::GET;
        assert!(asked_method(&get).is_none());
    }

    #[test]
    fn the_private_network_is_opened_only_where_the_rules_say_so() {
        let asked =
            head(&[("origin", "https://a"), ASKED, ("access-control-request-private-network", "true")]);
        for open in [true, false] {
            let cors = Cors::new(&config::Cors { private_network: open, ..rules(&["https://a"]) });
            assert_eq!(cors.preflight(&asked).headers().contains_key(ALLOW_PRIVATE_NETWORK), open);
            let without = head(&[("origin", "https://a"), ASKED]);
            assert!(!cors.preflight(&without).headers().contains_key(ALLOW_PRIVATE_NETWORK));
        }
    }

    #[test]
    fn an_answer_says_what_the_rules_say_and_nothing_else() {
        let answered = |rules: config::Cors, origin: &str| {
            let cors = Cors::new(&rules);
            let mut headers = HeaderMap::new();
            headers.insert("access-control-allow-origin", HeaderValue::from_static("https://evil.example"));
            headers.insert("access-control-allow-credentials", HeaderValue::from_static("true"));
            headers.insert("vary", HeaderValue::from_static("accept"));
            let allowed = cors.allow_origin(&head(&[("origin", origin)]).headers);
            cors.answer(allowed, &mut headers);
            let vary: Vec<_> = headers.get_all("vary").iter().cloned().collect();
            assert_eq!(vary, ["accept", "origin"]);
            headers
        };
        let refused = answered(rules(&["https://a"]), "https://b");
        assert_eq!(refused.len(), 2, "{refused:?}");
        let plain = answered(rules(&["https://a"]), "https://a");
        assert_eq!(plain["access-control-allow-origin"], "https://a");
        assert_eq!(plain["access-control-expose-headers"], "etag");
        assert!(!plain.contains_key("access-control-allow-credentials"));
        let trusted = answered(config::Cors { credentials: true, ..rules(&["https://a"]) }, "https://a");
        assert_eq!(trusted["access-control-allow-credentials"], "true");
        assert_eq!(answered(rules(&["*"]), "https://b")["access-control-allow-origin"], "*");
    }
}
