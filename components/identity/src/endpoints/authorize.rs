//! `/authorize`: asks the user who it is, and gives the client a code (RFC 6749, 4.1; OpenID Connect Core 1.0, 3.1.2).

use hostel_sdk::{Request, Response, Result, database};

use super::visit::{Form, STALE, Typed, Visit};
use crate::accounts::{Admission, Password, Session, SignedIn, Throttle, User, address_of};
use crate::config::Issuer;
use crate::keys::Ring;
use crate::protocol::{Failure, IdClaims, OauthError, Parameters, Prompt, settle};
use crate::web::{Cookie, see_other};

/// The same words for an unknown account and a wrong password.
const WRONG: &str = "The e-mail or the password is wrong.";

/// `GET`: goes on when the user is known, else shows the form.
pub fn show(request: &Request) -> Result<Response> {
    settle(try_show(request))
}

/// `POST`: the form was sent, or a client asks by POST.
pub fn submit(request: &Request) -> Result<Response> {
    settle(try_submit(request))
}

fn try_show(request: &Request) -> Result<Response, Failure> {
    let visit = Visit::begin(request)?;
    if let Some(signed_in) = known_user(&visit)? {
        return Ok(visit.go_on(database::begin()?, &signed_in)?);
    }
    if visit.asked.prompt == Prompt::Never {
        return Ok(visit.refuse(&OauthError::new("login_required", "The user must sign in first.")));
    }
    let form = if visit.asked.prompt == Prompt::Create { Form::SignUp } else { Form::SignIn };
    let email = visit.asked.login_hint.as_deref().unwrap_or_default();
    Ok(visit.page(form, 200, None, Typed { email, name: "" })?)
}

fn try_submit(request: &Request) -> Result<Response, Failure> {
    let form = Parameters::of_form(request)?;
    if form.get("client_id").is_some() {
        // A client that asks by POST (OpenID Connect Core 1.0, 3.1.2.1): asked again by GET, the browser sends its cookie.
        let place = format!("{}?{}", Issuer::read()?.endpoint("authorize"), form.to_query());
        return Ok(see_other(&place));
    }
    let visit = Visit::begin(request)?;
    let email = form.get("email").unwrap_or_default();
    let typed = Typed { email, name: "" };
    if !visit.is_own(Form::SignIn, &form)? {
        return Ok(visit.page(Form::SignIn, 403, Some(STALE), typed)?);
    }
    // Who sends a password that nobody can have has learnt nothing, so it costs no try.
    let Ok(password) = Password::new(form.get("password").unwrap_or_default()) else {
        return Ok(visit.page(Form::SignIn, 403, Some(WRONG), typed)?);
    };
    let throttles = [Throttle::account(email), Throttle::address(&address_of(request))];
    if let Admission::Wait(seconds) = Throttle::admit(&throttles, visit.now_ms)? {
        return Ok(visit.wait(Form::SignIn, seconds, typed)?);
    }
    let Some(user) = proven_user(email, &password)? else {
        return Ok(visit.page(Form::SignIn, 403, Some(WRONG), typed)?);
    };
    let transaction = database::begin()?;
    for throttle in &throttles {
        throttle.forgive(&transaction)?;
    }
    Ok(visit.sign_in(transaction, user.id)?)
}

/// The user of this address and password. It takes as long when there is none.
fn proven_user(email: &str, password: &Password) -> Result<Option<User>> {
    let (user, hash) = User::with_password(email)?.unzip();
    let is_right = password.is_of(hash.as_ref())?;
    Ok(user.filter(|_| is_right))
}

/// Who is signed in, when that is enough for this request.
fn known_user(visit: &Visit<'_>) -> Result<Option<SignedIn>> {
    if matches!(visit.asked.prompt, Prompt::Always | Prompt::Create) {
        return Ok(None);
    }
    let Some(cookie) = Cookie::Session.of(visit.request, &visit.issuer) else { return Ok(None) };
    let Some(signed_in) = Session::find(cookie, visit.now_ms)? else { return Ok(None) };
    if !is_recent(&signed_in, visit.asked.max_age_s, visit.now_ms) {
        return Ok(None);
    }
    let Some(hint) = &visit.asked.id_token_hint else { return Ok(Some(signed_in)) };
    let ring = Ring::current(visit.vault(), visit.now_ms)?;
    let hinted = IdClaims::of_hint(hint, &ring, &visit.issuer)?;
    Ok(hinted.filter(|hinted| hinted.sub == signed_in.user_id).map(|_| signed_in))
}

fn is_recent(signed_in: &SignedIn, max_age_s: Option<i64>, now_ms: i64) -> bool {
    max_age_s.is_none_or(|max_age_s| now_ms - signed_in.authenticated_ms < max_age_s * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_counts_for_as_long_as_the_client_says() {
        let signed_in = SignedIn { user_id: "u".into(), authenticated_ms: 1_000 };
        assert!(is_recent(&signed_in, None, i64::MAX));
        assert!(is_recent(&signed_in, Some(10), 10_999));
        assert!(!is_recent(&signed_in, Some(10), 11_000));
        assert!(!is_recent(&signed_in, Some(0), 1_000));
    }
}
