//! Issuers of tokens and the identity rules of routes, as they are written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::Time;

/// An OpenID provider whose tokens count.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Issuer {
    /// Its name in tokens, exactly as it stands in their `iss`.
    #[schemars(required, example = &"https://id.example.com")]
    pub issuer: Option<String>,
    /// Whom its tokens must be for: one of these stands in their `aud`.
    #[schemars(required, extend("examples" = [["shop"]]))]
    pub audience: Option<Vec<String>>,
    /// How far its clock may be from this host's; 60s when absent.
    #[schemars(example = &"60s")]
    pub leeway: Option<Time>,
    /// Where its keys are; found by its discovery document when absent.
    #[schemars(example = &"https://id.example.com/keys")]
    pub jwks: Option<String>,
    /// The signatures that count; all of these when absent.
    #[schemars(extend("examples" = [["ES256"]]))]
    pub algorithms: Option<Vec<TokenAlgorithm>>,
    /// The claim in which scopes stand, a path with dots where it lies deeper; `scope` when absent.
    #[schemars(example = &"scope")]
    pub scopes_claim: Option<String>,
    /// The claim in which roles stand; `roles` when absent.
    #[schemars(example = &"realm_access.roles")]
    pub roles_claim: Option<String>,
    /// The service of this host that is this provider, of which `hostel token` gets tokens; none when absent.
    #[schemars(example = &"identity")]
    pub service: Option<String>,
    /// How browsers sign in with it at this gateway; not at all when absent.
    pub login: Option<Login>,
}

/// The gateway as a client of an OpenID provider.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Login {
    /// Its name at the provider.
    #[schemars(required, example = &"storefront")]
    pub client: Option<String>,
    /// Where its secret is; a public client when absent.
    #[schemars(example = &"env:CLIENT_SECRET")]
    pub secret: Option<String>,
    /// What it asks for; `openid`, `profile` and `email` when absent.
    #[schemars(extend("examples" = [["openid", "email"]]))]
    pub scopes: Option<Vec<String>>,
    /// The path below which the gateway answers browsers; `/session` when absent.
    #[schemars(example = &"/session")]
    pub path: Option<String>,
    /// How long a session lasts; 12h when absent.
    #[schemars(example = &"12h")]
    pub lifetime: Option<Time>,
}

/// How a token is signed (RFC 7518, 3.1; RFC 8037). Only with a private key: who can check a token of another
/// kind can also make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
pub enum TokenAlgorithm {
    /// RSA PKCS #1 v1.5 with SHA-256.
    RS256,
    /// RSA PKCS #1 v1.5 with SHA-384.
    RS384,
    /// RSA PKCS #1 v1.5 with SHA-512.
    RS512,
    /// RSA PSS with SHA-256.
    PS256,
    /// ECDSA over P-256 with SHA-256.
    ES256,
    /// ECDSA over P-384 with SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
}

/// Who may use a route.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Auth {
    /// `true`: everybody who is known; `false`: everybody, without the default of `[gateway]`.
    Switch(bool),
    /// Those for whom all of this holds.
    Rules(Box<AuthRules>),
}

/// What must hold for a caller.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AuthRules {
    /// The scopes that it has, all of them; none needed when absent.
    #[schemars(extend("examples" = [["orders"]]))]
    pub scopes: Option<Vec<String>>,
    /// The roles of which it has one; none needed when absent.
    #[schemars(extend("examples" = [["admin"]]))]
    pub roles: Option<Vec<String>>,
    /// The claims that it has, each with one of these values; none needed when absent.
    pub claims: Option<BTreeMap<String, ClaimValues>>,
    /// The issuers whose tokens count; all of the file when absent.
    #[schemars(extend("examples" = [["main"]]))]
    pub issuers: Option<Vec<String>>,
    /// The ways in which it may show who it is; all when absent.
    #[schemars(extend("examples" = [["token", "key"]]))]
    pub ways: Option<Vec<Way>>,
    /// Whether the service gets what the caller has shown, in Authorization or X-Api-Key. When absent a component
    /// gets tokens, but no API keys, and an external service gets neither.
    pub forward_authorization: Option<bool>,
}

/// The values that a claim may have.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum ClaimValues {
    /// Only this.
    One(String),
    /// One of these.
    OneOf(Vec<String>),
}

/// A way in which a caller shows who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// A token of an issuer.
    Token,
    /// An API key of this host.
    Key,
    /// A client certificate.
    Certificate,
    /// The session of a browser that has signed in here.
    Session,
}
