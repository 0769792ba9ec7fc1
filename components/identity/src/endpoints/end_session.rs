//! `/end-session`: signs the user out (OpenID Connect RP-Initiated Logout 1.0).
//!
//! A client that shows the user's ID token may do it without asking; everybody else could be any site, so the user is asked.

use hostel_sdk::{Request, Response, Result, time};

use crate::accounts::Session;
use crate::config::{Client, Clients, Issuer};
use crate::keys::{Ring, Vault};
use crate::protocol::{Failure, IdClaims, Parameters, settle};
use crate::web::{Cookie, FormGuard, Page, see_other, views};

const NAMES: [&str; 4] = ["id_token_hint", "client_id", "post_logout_redirect_uri", "state"];

/// `GET`: signs out, or asks.
pub fn show(request: &Request) -> Result<Response> {
    settle(Leave::read(request).and_then(|leave| leave.answer(false)))
}

/// `POST`: the user said yes, or a client asks by POST.
pub fn submit(request: &Request) -> Result<Response> {
    settle(try_submit(request))
}

fn try_submit(request: &Request) -> Result<Response, Failure> {
    let form = Parameters::of_form(request)?;
    let Some(token) = form.get("form") else {
        // Asked again by GET, the browser sends its cookie.
        let place = format!("{}?{}", Issuer::read()?.endpoint("end-session"), form.to_query());
        return Ok(see_other(&place));
    };
    let leave = Leave::read(request)?;
    let is_own = leave.guard().accepts(&leave.action(), Some(token))?;
    leave.answer(is_own)
}

/// Somebody wants to leave.
struct Leave<'r> {
    request: &'r Request,
    issuer: Issuer,
    vault: Vault,
    parameters: Parameters,
    hint: Option<IdClaims>,
    /// Where the browser goes then: an address that the client has registered.
    destination: Option<String>,
    now_ms: i64,
}

impl<'r> Leave<'r> {
    fn read(request: &'r Request) -> Result<Self, Failure> {
        let (issuer, vault, clients, now_ms) =
            (Issuer::read()?, Vault::read()?, Clients::read()?, time::now_ms());
        let parameters = Parameters::of_query(request, &NAMES);
        let hint = match parameters.get("id_token_hint") {
            Some(token) => IdClaims::of_hint(token, &Ring::current(&vault, now_ms)?, &issuer)?,
            None => None,
        };
        match destination(&parameters, hint.as_ref(), &clients) {
            Ok(destination) => Ok(Self { request, issuer, vault, parameters, hint, destination, now_ms }),
            Err(reason) => {
                let content = views::message(issuer.path(), "This link does not work", reason);
                let page = Page { status: 400, content, leads_to: None, cookie: None };
                Err(Failure::Answer(page.into()))
            }
        }
    }

    fn answer(self, is_confirmed: bool) -> Result<Response, Failure> {
        let cookie = Cookie::Session.of(self.request, &self.issuer);
        let signed_in = match cookie {
            Some(cookie) => Session::find(cookie, self.now_ms)?,
            None => None,
        };
        let (Some(cookie), Some(signed_in)) = (cookie, signed_in) else { return Ok(self.done()) };
        let is_hinted = self.hint.as_ref().is_some_and(|hint| hint.sub == signed_in.user_id);
        if !is_hinted && !is_confirmed {
            return Ok(self.ask()?);
        }
        Session::end(cookie)?;
        Ok(self.done())
    }

    fn ask(&self) -> Result<Response> {
        let stamped = self.guard().stamp(&self.action())?;
        let content = views::sign_out(self.issuer.path(), &self.parameters.to_query(), &stamped.token);
        let leads_to = self.destination.clone();
        Ok(Page { status: 200, content, leads_to, cookie: stamped.cookie }.into())
    }

    fn done(&self) -> Response {
        let response = match &self.destination {
            Some(destination) => see_other(destination),
            None => {
                let content = views::message(self.issuer.path(), "Signed out", "You can close this page.");
                Page { status: 200, content, leads_to: None, cookie: None }.into()
            }
        };
        response.header("set-cookie", &Cookie::Session.clear(&self.issuer))
    }

    fn guard(&self) -> FormGuard<'_> {
        FormGuard::new(self.request, &self.issuer, &self.vault, self.now_ms)
    }

    fn action(&self) -> String {
        format!("end-session?{}", self.parameters.to_query())
    }
}

/// Where to go, with the state; none when nothing is said.
fn destination(
    parameters: &Parameters,
    hint: Option<&IdClaims>,
    clients: &Clients,
) -> Result<Option<String>, &'static str> {
    if parameters.repeated().is_some() {
        return Err("The link says something twice.");
    }
    let (named, hinted) = (parameters.get("client_id"), hint.map(|hint| hint.aud.as_str()));
    if let (Some(named), Some(hinted)) = (named, hinted)
        && named != hinted
    {
        return Err("The link names another application than you were signed in for.");
    }
    let Some(place) = parameters.get("post_logout_redirect_uri") else { return Ok(None) };
    let client = named.or(hinted).and_then(|id| clients.find(id));
    let is_registered = |client: &Client| client.post_logout_redirect_uris.iter().any(|own| own == place);
    if !client.is_some_and(is_registered) {
        return Err("The link leads to an address that the application has not registered.");
    }
    let Some(state) = parameters.get("state") else { return Ok(Some(place.to_owned())) };
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("state", state).finish();
    let separator = if place.contains('?') { '&' } else { '?' };
    Ok(Some(format!("{place}{separator}{query}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_go_only_where_the_client_has_registered() {
        let text = r#"[{"id": "shop", "name": "Shop", "redirect_uris": ["https://shop.example/back"],
            "post_logout_redirect_uris": ["https://shop.example/"]}]"#;
        let clients = Clients::parse(text, "shop").unwrap();
        let check = |query: &str, expected: Result<Option<&str>, ()>| {
            let parameters = Parameters::of_query(&Request::new("GET", &format!("/?{query}")), &NAMES);
            let found = destination(&parameters, None, &clients);
            assert_eq!(found.as_ref().map(Option::as_deref).map_err(|_| ()), expected, "{query}");
        };
        let place = "post_logout_redirect_uri=https%3A%2F%2Fshop.example%2F";
        check("", Ok(None));
        check(&format!("client_id=shop&{place}"), Ok(Some("https://shop.example/")));
        check(&format!("client_id=shop&{place}&state=a%26b"), Ok(Some("https://shop.example/?state=a%26b")));
        check(place, Err(()));
        check(&format!("client_id=other&{place}"), Err(()));
        check(&format!("client_id=shop&{place}x"), Err(()));
        check(&format!("client_id=shop&{place}&{place}"), Err(()));
    }
}
