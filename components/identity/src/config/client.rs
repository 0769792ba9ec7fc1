//! The clients: who may ask for tokens. They stand in `clients` of the config and are reviewed like code; so nobody can
//! register one over the network.

use std::collections::HashSet;

use hostel_sdk::{Error, Result, config};
use serde::Deserialize;
use subtle::ConstantTimeEq;
use url::Url;
use zeroize::Zeroizing;

use super::issuer::is_protected;
use crate::opaque;

/// The audience of access tokens where nothing else is said.
const AUDIENCE: &str = "shop";

/// A secret as long as this, made by a machine, is beyond guessing, so that its tries need no throttle.
const SECRET_CHARS_MIN: usize = 32;

/// How a client may come to tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    AuthorizationCode,
    RefreshToken,
    ClientCredentials,
}

/// One client.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Its `client_id`.
    pub id: String,
    /// What users read.
    pub name: String,
    /// Where codes may go, compared letter by letter.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// Where browsers may go after a sign-out.
    #[serde(default)]
    pub post_logout_redirect_uris: Vec<String>,
    /// All that it may ask for.
    #[serde(default = "default_scopes")]
    pub scopes: Vec<String>,
    #[serde(default = "default_grants")]
    grants: Vec<GrantType>,
    /// The name of its secret in `secrets`; none for a client that can keep none.
    secret: Option<String>,
    audience: Option<String>,
    #[serde(skip)]
    default_audience: String,
}

/// All clients.
#[derive(Debug)]
pub struct Clients(Vec<Client>);

/// For whom access tokens are where a client says nothing else.
///
/// # Errors
/// When the host cannot read `audience`.
pub fn audience() -> Result<String> {
    Ok(config::get("audience")?.unwrap_or_else(|| AUDIENCE.to_owned()))
}

impl Clients {
    /// Reads `clients` and `audience`.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn read() -> Result<Self> {
        let Some(text) = config::get("clients")? else {
            return Ok(Self(Vec::new()));
        };
        Self::parse(&text, &audience()?)
            .map_err(|faults| Error::internal(format!("`clients` of the config: {}", faults.join("; "))))
    }

    /// The client of this id.
    pub fn find(&self, id: &str) -> Option<&Client> {
        self.0.iter().find(|client| client.id == id)
    }

    /// Checks that every secret is there and long enough.
    ///
    /// # Errors
    /// Which one is not; never what it is.
    pub fn check_secrets(&self) -> Result<()> {
        for client in &self.0 {
            if let Some(name) = &client.secret {
                read_secret(name)?;
            }
        }
        Ok(())
    }

    pub(crate) fn parse(text: &str, audience: &str) -> Result<Self, Vec<String>> {
        let mut clients: Vec<Client> = serde_json::from_str(text).map_err(|error| vec![error.to_string()])?;
        let mut faults = Vec::new();
        let mut ids = HashSet::new();
        for client in &mut clients {
            client.default_audience = audience.to_owned();
            if !ids.insert(client.id.clone()) {
                faults.push(format!("{:?} stands there twice", client.id));
            }
            faults.extend(client.faults().into_iter().map(|fault| format!("{:?} {fault}", client.id)));
        }
        if faults.is_empty() { Ok(Self(clients)) } else { Err(faults) }
    }
}

impl Client {
    /// Whether it may come to tokens in this way.
    pub fn may(&self, grant: GrantType) -> bool {
        self.grants.contains(&grant)
    }

    /// Whether it has a secret to prove itself with.
    pub fn is_confidential(&self) -> bool {
        self.secret.is_some()
    }

    /// For whom its access tokens are.
    pub fn audience(&self) -> &str {
        self.audience.as_deref().unwrap_or(&self.default_audience)
    }

    /// Whether this is its secret, in a time that tells nothing of it.
    ///
    /// # Errors
    /// When the secret is missing in the configuration.
    pub fn has_secret(&self, given: &str) -> Result<bool> {
        let Some(name) = &self.secret else { return Ok(false) };
        // Digests have one length: not even that of the secret can be found out.
        let (given, real) = (opaque::digest(given), opaque::digest(&read_secret(name)?));
        Ok(given.as_bytes().ct_eq(real.as_bytes()).into())
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.id.is_empty() || !self.id.bytes().all(|byte| byte.is_ascii_graphic()) {
            faults.push("must have an id of visible ASCII".to_owned());
        }
        if self.may(GrantType::AuthorizationCode) && self.redirect_uris.is_empty() {
            faults.push("uses authorization_code, so it needs redirect_uris".to_owned());
        }
        if self.may(GrantType::ClientCredentials) && !self.is_confidential() {
            faults.push("uses client_credentials, so it needs a secret".to_owned());
        }
        let places = self.redirect_uris.iter().chain(&self.post_logout_redirect_uris);
        for place in places.filter(|place| !is_place(place)) {
            let rule = "https, http on this machine, or an app's own scheme with a dot; no fragment";
            faults.push(format!("cannot be sent to {place:?}: {rule}"));
        }
        for scope in self.scopes.iter().filter(|scope| !is_scope(scope)) {
            faults.push(format!("has a scope {scope:?} that is no word of visible ASCII"));
        }
        faults
    }
}

fn default_scopes() -> Vec<String> {
    ["openid", "profile", "email"].map(str::to_owned).to_vec()
}

fn default_grants() -> Vec<GrantType> {
    vec![GrantType::AuthorizationCode]
}

fn read_secret(name: &str) -> Result<Zeroizing<String>> {
    let missing = || Error::internal(format!("the secret `{name}` is missing: add it to the secrets"));
    let secret = config::get(name)?.map(Zeroizing::new).ok_or_else(missing)?;
    if secret.chars().count() < SECRET_CHARS_MIN {
        let fault = format!("the secret `{name}` has under {SECRET_CHARS_MIN} characters");
        return Err(Error::internal(format!("{fault}: make one with `openssl rand -base64 32`")));
    }
    Ok(secret)
}

/// Whether codes may be sent there: protected, or to an app by a scheme of its own domain (RFC 8252, 7.1).
fn is_place(text: &str) -> bool {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    let is_good = |url: Url| url.fragment().is_none() && (is_protected(&url) || url.scheme().contains('.'));
    is_plain && Url::parse(text).is_ok_and(is_good)
}

/// A word of RFC 6749, 3.3.
fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_read_with_their_defaults() {
        let text = r#"[{"id": "shop", "name": "Shop", "redirect_uris": ["https://shop.example/back"]},
            {"id": "robot", "name": "Robot", "grants": ["client_credentials"], "scopes": ["orders"],
             "secret": "robot-secret", "audience": "stock"}]"#;
        let clients = Clients::parse(text, "shop").unwrap();
        let (shop, robot) = (clients.find("shop").unwrap(), clients.find("robot").unwrap());
        assert!(shop.may(GrantType::AuthorizationCode) && !shop.may(GrantType::RefreshToken));
        assert!(!shop.is_confidential() && robot.is_confidential());
        assert_eq!((shop.audience(), robot.audience()), ("shop", "stock"));
        assert_eq!(shop.scopes, ["openid", "profile", "email"]);
        assert!(clients.find("Shop").is_none());
    }

    #[test]
    fn a_client_that_cannot_be_safe_is_refused() {
        let check = |entry: &str, fault: &str| {
            let faults = Clients::parse(&format!("[{entry}]"), "shop").unwrap_err().join("; ");
            assert!(faults.contains(fault), "{entry}: {faults}");
        };
        check(r#"{"id": "a", "name": "A"}"#, "redirect_uris");
        check(r#"{"id": "a", "name": "A", "redirect-uris": []}"#, "unknown field");
        check(r#"{"id": "a", "name": "A", "grants": ["client_credentials"]}"#, "needs a secret");
        check(r#"{"id": "a b", "name": "A", "grants": []}"#, "visible ASCII");
        check(r#"{"id": "a", "name": "A", "grants": [], "scopes": ["a b"]}"#, "no word");
        let twice = r#"{"id": "a", "name": "A", "grants": []}, {"id": "a", "name": "A", "grants": []}"#;
        check(twice, "twice");
        for place in ["http://shop.example/", "https://shop.example/#a", "javascript:alert(1)", "/back"] {
            let entry = format!(r#"{{"id": "a", "name": "A", "redirect_uris": ["{place}"]}}"#);
            check(&entry, "cannot be sent");
        }
    }

    #[test]
    fn apps_have_a_scheme_of_their_own() {
        assert!(is_place("com.example.app:/back") && is_place("http://127.0.0.1:9000/back"));
    }
}
