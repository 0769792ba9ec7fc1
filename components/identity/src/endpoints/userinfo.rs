//! `/userinfo`: who the user of an access token is (OpenID Connect Core 1.0, 5.3), refused by RFC 6750.

use hostel_sdk::{Request, Response, Result, time};
use serde::Serialize;

use crate::accounts::User;
use crate::config::Issuer;
use crate::keys::{Ring, Vault};
use crate::protocol::{AccessClaims, Profile, uncached};

#[derive(Serialize)]
struct UserInfo {
    sub: String,
    #[serde(flatten)]
    profile: Profile,
}

/// `GET` and `POST /userinfo`; the token stands in the header.
pub fn answer(request: &Request) -> Result<Response> {
    let Some(token) = bearer(request) else { return Ok(refuse(401, "")) };
    let (issuer, vault, now_ms) = (Issuer::read()?, Vault::read()?, time::now_ms());
    let claims = AccessClaims::of(token, &Ring::current(&vault, now_ms)?, &issuer, now_ms)?;
    let Some(claims) = claims else {
        return Ok(refuse(401, ", error=\"invalid_token\", error_description=\"The token does not count.\""));
    };
    let scope = claims.scope();
    if !scope.is_openid() {
        return Ok(refuse(403, ", error=\"insufficient_scope\", scope=\"openid\""));
    }
    let Some(user) = User::find(&claims.sub)? else {
        return Ok(refuse(401, ", error=\"invalid_token\", error_description=\"The user is gone.\""));
    };
    let profile = Profile::new(&user, &scope);
    Ok(uncached(Response::ok(&UserInfo { sub: user.id, profile })?))
}

fn bearer(request: &Request) -> Option<&str> {
    let (scheme, token) = request.header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn refuse(status: u16, reason: &str) -> Response {
    uncached(Response::new(status).header("www-authenticate", &format!("Bearer realm=\"identity\"{reason}")))
}
