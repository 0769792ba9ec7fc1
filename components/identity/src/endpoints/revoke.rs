//! `POST /revoke`: a client gives a token back (RFC 7009). With either token the whole grant ends.

use hostel_sdk::{Request, Response, Result, time};

use crate::config::{Clients, Issuer};
use crate::keys::{Ring, Vault};
use crate::protocol::{AccessClaims, Failure, Grant, OauthError, Parameters, authenticate, settle, uncached};

/// `POST /revoke`. A token that does not count is no error: that is what the client wanted.
pub fn answer(request: &Request) -> Result<Response> {
    settle(try_answer(request))
}

fn try_answer(request: &Request) -> Result<Response, Failure> {
    let form = Parameters::of_form(request)?;
    let clients = Clients::read()?;
    let client = authenticate(request, &form, &clients)?;
    let Some(owned) = find(form.require("token")?)? else { return Ok(uncached(Response::new(200))) };
    if owned.client_id != client.id {
        return Err(OauthError::invalid_request("The token was given to another client.").into());
    }
    let Some(grant) = owned.grant else {
        let reason = "A token of a client itself cannot be taken back; it expires soon.";
        return Err(OauthError::new("unsupported_token_type", reason).into());
    };
    Grant::end(&grant)?;
    Ok(uncached(Response::new(200)))
}

/// Whose a token is, and the grant that ends with it.
struct Owned {
    client_id: String,
    grant: Option<String>,
}

fn find(token: &str) -> Result<Option<Owned>> {
    let now_ms = time::now_ms();
    if let Some(grant) = Grant::of_refresh_token(token, now_ms)? {
        return Ok(Some(Owned { client_id: grant.client_id, grant: Some(grant.id) }));
    }
    let (issuer, vault) = (Issuer::read()?, Vault::read()?);
    let claims = AccessClaims::of(token, &Ring::current(&vault, now_ms)?, &issuer, now_ms)?;
    Ok(claims.map(|claims| Owned { client_id: claims.client_id, grant: claims.grant }))
}
