//! `POST /token`: tokens for a code, for a refresh token, or for a client itself (RFC 6749, 3.2).

use hostel_sdk::{Error, Request, Response, Result, time};

use crate::accounts::User;
use crate::config::{Client, Clients, GrantType, Issuer};
use crate::protocol::{
    CodeClaim, Failure, Grant, Holder, Minter, OauthError, Parameters, Renewed, Scope, authenticate, settle,
    uncached,
};

/// `POST /token`.
pub fn answer(request: &Request) -> Result<Response> {
    settle(try_answer(request))
}

fn try_answer(request: &Request) -> Result<Response, Failure> {
    let form = Parameters::of_form(request)?;
    let clients = Clients::read()?;
    let client = authenticate(request, &form, &clients)?;
    let issuer = Issuer::read()?;
    let minter = Minter::new(&issuer, time::now_ms())?;
    match form.require("grant_type")? {
        "authorization_code" => for_code(client, &form, &minter),
        "refresh_token" => for_refresh_token(client, &form, &minter),
        "client_credentials" => for_itself(client, &form, &minter),
        _ => Err(OauthError::new("unsupported_grant_type", "This grant_type is not known here.").into()),
    }
}

fn for_code(client: &Client, form: &Parameters, minter: &Minter<'_>) -> Result<Response, Failure> {
    permit(client, GrantType::AuthorizationCode)?;
    let claim = CodeClaim {
        code: form.require("code")?,
        client_id: &client.id,
        redirect_uri: form.get("redirect_uri"),
        verifier: form.get("code_verifier"),
    };
    let with_refresh = client.may(GrantType::RefreshToken);
    let renewed = Grant::redeem(claim, with_refresh, minter.lifetime_ms(), time::now_ms())?;
    let scope = Scope::new(&renewed.grant.scope);
    let nonce = renewed.grant.nonce.clone();
    issue(client, renewed, &scope, nonce, minter)
}

fn for_refresh_token(client: &Client, form: &Parameters, minter: &Minter<'_>) -> Result<Response, Failure> {
    permit(client, GrantType::RefreshToken)?;
    let now_ms = time::now_ms();
    let token = form.require("refresh_token")?;
    // The scope is looked at first: a refused one must not use the token up.
    let asked = match (form.get("scope"), Grant::of_refresh_token(token, now_ms)?) {
        (Some(asked), Some(grant)) => Some(Scope::granted(Some(asked), Scope::new(&grant.scope).words())?),
        _ => None,
    };
    let renewed = Grant::renew(token, &client.id, now_ms)?;
    let scope = asked.unwrap_or_else(|| Scope::new(&renewed.grant.scope));
    issue(client, renewed, &scope, None, minter)
}

fn for_itself(client: &Client, form: &Parameters, minter: &Minter<'_>) -> Result<Response, Failure> {
    permit(client, GrantType::ClientCredentials)?;
    let scope = Scope::granted(form.get("scope"), &Scope::without_user(&client.scopes))?;
    let tokens = minter.access(Holder::Client(&client.id), client.audience(), &scope)?;
    Ok(uncached(Response::ok(&tokens)?))
}

fn issue(
    client: &Client,
    renewed: Renewed,
    scope: &Scope,
    nonce: Option<String>,
    minter: &Minter<'_>,
) -> Result<Response, Failure> {
    let Renewed { grant, refresh_token } = renewed;
    let tokens = minter.access(Holder::User(&grant), client.audience(), scope)?.with_refresh(refresh_token);
    let tokens = match scope.is_openid() {
        true => {
            let user =
                User::find(&grant.user_id)?.ok_or_else(|| Error::internal("the user of a grant is gone"))?;
            minter.with_identity(tokens, &grant, &user, nonce)?
        }
        false => tokens,
    };
    Ok(uncached(Response::ok(&tokens)?))
}

fn permit(client: &Client, grant: GrantType) -> Result<(), OauthError> {
    match client.may(grant) {
        true => Ok(()),
        false => Err(OauthError::new("unauthorized_client", "The client may not use this grant_type.")),
    }
}
