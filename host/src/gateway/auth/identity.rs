//! Who a caller is, once it has shown it: what that permits, and how services are told.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value};

use super::denial::Denial;
use crate::config::{AuthConfig, IssuerConfig, is_scope};

/// The longest subject: by OpenID Connect Core, 2, it has 255 characters; names in certificates are longer.
const SUBJECT_BYTES_MAX: usize = 1024;

/// The longest claims: as long as a token, since all headers of a request share 32 KiB.
const CLAIMS_BYTES_MAX: usize = 8 * 1024;

/// A caller that has shown who it is.
#[derive(Debug)]
pub struct Identity {
    /// Whom it stands for.
    pub subject: String,
    /// How it has shown that.
    pub way: Way,
    scopes: Vec<String>,
    roles: Vec<String>,
    claims: Map<String, Value>,
    headers: [(&'static str, HeaderValue); 3],
}

/// How a caller has shown who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// By a token.
    Token,
    /// By the API key of this id.
    Key(Arc<str>),
    /// By its certificate.
    Certificate,
    /// By the session of its browser.
    Session,
}

/// An identity that cannot be told in headers without changing it.
#[derive(Debug, PartialEq, Eq)]
pub struct Untellable;

impl Identity {
    /// An identity with these claims.
    ///
    /// # Errors
    ///
    /// When subject or claims are too long, or the subject is empty or would be another one in a header.
    pub fn new(
        way: Way,
        subject: &str,
        scopes: Vec<String>,
        roles: Vec<String>,
        claims: Map<String, Value>,
    ) -> Result<Self, Untellable> {
        // Spaces around a value get lost on the way (RFC 9110, 5.5), so that two subjects would become one.
        if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX || subject.trim() != subject {
            return Err(Untellable);
        }
        // A service would read one with a space in it as two.
        let scopes: Vec<String> = scopes.into_iter().filter(|scope| is_scope(scope)).collect();
        let told = in_ascii(&Value::Object(claims.clone()).to_string());
        if told.len() > CLAIMS_BYTES_MAX {
            return Err(Untellable);
        }
        let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).map_err(|_| Untellable);
        let headers = [
            ("hostel-subject", value(subject)?),
            ("hostel-scopes", value(&scopes.join(" "))?),
            ("hostel-claims", value(&told)?),
        ];
        Ok(Self { subject: subject.to_owned(), way, scopes, roles, claims, headers })
    }

    /// Whether the rules of a route let it pass.
    ///
    /// # Errors
    ///
    /// What it lacks.
    pub fn check(&self, rules: &AuthConfig) -> Result<(), Denial> {
        if !rules.scopes.iter().all(|needed| self.scopes.contains(needed)) {
            return Err(Denial::Scope(rules.scopes.join(" ")));
        }
        let has_role = rules.roles.is_empty() || rules.roles.iter().any(|role| self.roles.contains(role));
        let has_claim = |(name, allowed): (&String, &Vec<String>)| {
            let values = claim(&self.claims, name).map(values).unwrap_or_default();
            values.iter().any(|value| allowed.contains(value))
        };
        if !has_role || !rules.claims.iter().all(has_claim) {
            return Err(Denial::Forbidden);
        }
        Ok(())
    }

    /// Tells the service who asks.
    pub fn tell(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.insert(*name, value.clone());
        }
    }

    /// What is said of it.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// About how much memory it takes, in bytes.
    pub fn weight(&self) -> usize {
        // The claims are held as text and as values, which take about three times as much.
        let text: usize = self.headers.iter().map(|(_, value)| value.len()).sum();
        size_of::<Self>() + 4 * text
    }
}

/// A claim by its name; where there is none of this name, by a path with dots.
pub fn claim<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    claims.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        claim(claims.get(first)?.as_object()?, rest)
    })
}

/// The roles that claims of this issuer hold.
pub fn roles_of(claims: &Map<String, Value>, issuer: &IssuerConfig) -> Vec<String> {
    claim(claims, &issuer.roles_claim).map(words).unwrap_or_default()
}

/// The words of a claim: a text of words with spaces between them (RFC 8693, 4.2), or a list of words.
pub fn words(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => text.split_ascii_whitespace().map(str::to_owned).collect(),
        value => values(value),
    }
}

/// The values of a claim as texts: its own, or those of its list.
fn values(value: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    match value {
        Value::Array(items) => items.iter().filter_map(text).collect(),
        value => text(value).into_iter().collect(),
    }
}

/// JSON in ASCII: a header has no other letters that everybody reads alike.
fn in_ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut units = [0; 2];
    for letter in json.chars() {
        match letter {
            letter if letter.is_ascii() && letter != '\u{7f}' => text.push(letter),
            letter => {
                for unit in letter.encode_utf16(&mut units) {
                    text.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn identity(subject: &str, scopes: &[&str], claims: Value) -> Result<Identity, Untellable> {
        let Value::Object(claims) = claims else { panic!("claims are an object") };
        let scopes = scopes.iter().map(ToString::to_string).collect();
        Identity::new(Way::Token, subject, scopes, vec!["clerk".into()], claims)
    }

    #[test]
    fn services_are_told_what_the_caller_is_and_nothing_else() {
        let claims = json!({ "name": "Zoë 🦀", "tenant": "a" });
        let mut headers = HeaderMap::new();
        identity("zoë", &["orders", "a b", "", "x\"y"], claims.clone()).unwrap().tell(&mut headers);
        assert_eq!(headers["hostel-subject"].as_bytes(), "zoë".as_bytes());
        assert_eq!(headers["hostel-scopes"], "orders", "what is no scope is not told, nor split");
        let told = headers["hostel-claims"].to_str().unwrap();
        assert!(told.is_ascii());
        assert_eq!(serde_json::from_str::<Value>(told).unwrap(), claims);
    }

    #[test]
    fn a_subject_that_would_become_another_one_is_refused() {
        for subject in ["", " admin", "admin ", "ad\r\nmin", "ad\nx: y", "ad\0min", "\u{a0}admin"] {
            assert_eq!(identity(subject, &[], json!({})).unwrap_err(), Untellable, "{subject:?}");
        }
        assert!(identity(&"x".repeat(SUBJECT_BYTES_MAX + 1), &[], json!({})).is_err());
        assert!(identity("x", &[], json!({ "long": "é".repeat(CLAIMS_BYTES_MAX / 4) })).is_err());
    }

    #[test]
    fn rules_are_about_scopes_roles_and_claims() {
        let claims = json!({
            "tenant": "a", "level": 3, "vip": true, "groups": ["x", "y"],
            "realm": { "unit": { "name": "north" } }, "realm.unit.name": null, "a.b": "dotted",
        });
        let caller = identity("ada", &["orders", "stock"], claims).unwrap();
        let check = |change: &dyn Fn(&mut AuthConfig), expected: bool| {
            let mut rules = AuthConfig::default();
            change(&mut rules);
            assert_eq!(caller.check(&rules).is_ok(), expected, "{rules:?}");
        };
        check(&|_| (), true);
        check(&|rules| rules.scopes = vec!["orders".into(), "stock".into()], true);
        check(&|rules| rules.scopes = vec!["orders".into(), "admin".into()], false);
        check(&|rules| rules.roles = vec!["admin".into(), "clerk".into()], true);
        check(&|rules| rules.roles = vec!["admin".into()], false);
        for (name, value, expected) in [
            ("tenant", "a", true),
            ("tenant", "b", false),
            ("level", "3", true),
            ("vip", "true", true),
            ("groups", "y", true),
            ("groups", "x y", false),
            ("a.b", "dotted", true),
            ("realm.unit", "north", false),
            ("realm.unit.name", "north", false),
            ("nothing", "", false),
        ] {
            check(&|rules| _ = rules.claims.insert(name.into(), vec![value.into()]), expected);
        }
        let nested = identity("ada", &[], json!({ "realm": { "roles": ["admin"] } })).unwrap();
        let mut rules = AuthConfig::default();
        rules.claims.insert("realm.roles".into(), vec!["admin".into()]);
        assert!(nested.check(&rules).is_ok());
    }
}
