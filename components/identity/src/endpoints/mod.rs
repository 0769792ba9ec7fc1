//! The endpoints, one a file.

mod discovery;
mod visit;
mod authorize;
mod sign_up;
mod end_session;
mod token;
mod userinfo;
mod revoke;
mod introspect;
mod operator_token;

use hostel_sdk::Router;

/// All endpoints below the path of the issuer.
pub fn routes(base: &str) -> Router {
    let at = |name: &str| format!("{base}/{name}");
    Router::new()
        .get(&at(".well-known/openid-configuration"), discovery::show)
        .get(&at("jwks"), discovery::keys)
        .get(&at("style.css"), discovery::style)
        .get(&at("authorize"), authorize::show)
        .post(&at("authorize"), authorize::submit)
        .get(&at("sign-up"), sign_up::show)
        .post(&at("sign-up"), sign_up::submit)
        .get(&at("end-session"), end_session::show)
        .post(&at("end-session"), end_session::submit)
        .post(&at("token"), token::answer)
        .get(&at("userinfo"), userinfo::answer)
        .post(&at("userinfo"), userinfo::answer)
        .post(&at("revoke"), revoke::answer)
        .post(&at("introspect"), introspect::answer)
        .post(&at("operator-token"), operator_token::answer)
}
