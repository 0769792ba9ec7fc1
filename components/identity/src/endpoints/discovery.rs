//! What everybody may read: how the provider works, its public keys, its stylesheet.

use hostel_sdk::{Request, Response, Result, time};
use serde_json::json;

use crate::config::Issuer;
use crate::keys::{Ring, Vault};

/// How long readers may keep it: far below the time for which a key is shown before it signs.
const CACHED: &str = "public, max-age=300";

/// `GET /.well-known/openid-configuration` (OpenID Connect Discovery 1.0, 3; RFC 8414, 2).
pub fn show(_: &Request) -> Result<Response> {
    let issuer = Issuer::read()?;
    let ways = ["client_secret_basic", "client_secret_post", "none"];
    let document = json!({
        "issuer": issuer.as_str(),
        "authorization_endpoint": issuer.endpoint("authorize"),
        "token_endpoint": issuer.endpoint("token"),
        "userinfo_endpoint": issuer.endpoint("userinfo"),
        "jwks_uri": issuer.endpoint("jwks"),
        "revocation_endpoint": issuer.endpoint("revoke"),
        "introspection_endpoint": issuer.endpoint("introspect"),
        "end_session_endpoint": issuer.endpoint("end-session"),
        "scopes_supported": ["openid", "profile", "email"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ways,
        "revocation_endpoint_auth_methods_supported": ways,
        "introspection_endpoint_auth_methods_supported": &ways[..2],
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "create"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "auth_time", "name", "email", "email_verified"],
        "authorization_response_iss_parameter_supported": true,
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    });
    Ok(Response::ok(&document)?.header("cache-control", CACHED))
}

/// `GET /jwks` (RFC 7517, 5).
pub fn keys(_: &Request) -> Result<Response> {
    let vault = Vault::read()?;
    let keys = Ring::current(&vault, time::now_ms())?.public()?;
    Ok(Response::ok(&keys)?.header("cache-control", CACHED))
}

/// `GET /style.css`.
pub fn style(_: &Request) -> Result<Response> {
    let style = include_bytes!("../../assets/style.css").to_vec();
    let response = Response::bytes(200, "text/css; charset=utf-8", style);
    Ok(response.header("cache-control", CACHED).header("x-content-type-options", "nosniff"))
}
