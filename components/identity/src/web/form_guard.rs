//! Proves that a form was made here, for this browser, not long ago; so no other site can send one in a user's name.

use hostel_sdk::http::Headers;
use hostel_sdk::{Request, Result};

use super::cookie::Cookie;
use crate::config::Issuer;
use crate::config::lifetimes::FORM_MS;
use crate::keys::Vault;
use crate::opaque;

/// The name of the hidden field.
pub const FIELD: &str = "form";

/// Guards the forms of one request.
pub struct FormGuard<'a> {
    request: &'a Request,
    issuer: &'a Issuer,
    vault: &'a Vault,
    now_ms: i64,
}

/// What goes into a new form.
pub struct Stamped {
    /// The hidden field.
    pub token: String,
    /// The cookie to set, when the browser has none yet.
    pub cookie: Option<String>,
}

impl<'a> FormGuard<'a> {
    /// A guard for what this request makes or sends.
    pub fn new(request: &'a Request, issuer: &'a Issuer, vault: &'a Vault, now_ms: i64) -> Self {
        Self { request, issuer, vault, now_ms }
    }

    /// Stamps a form that goes to `action`.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn stamp(&self, action: &str) -> Result<Stamped> {
        // One cookie for all tabs, so that opening a second form does not spoil the first.
        let known = Cookie::Form.of(self.request, self.issuer).filter(|known| !known.is_empty());
        let fresh = if known.is_some() { None } else { Some(opaque::random()?) };
        let browser = known.or(fresh.as_deref()).unwrap_or_default();
        let stamp = self.vault.stamp(&text(browser, action, self.now_ms))?;
        let cookie = fresh.as_ref().map(|value| Cookie::Form.set(self.issuer, value));
        Ok(Stamped { token: format!("{}.{stamp}", self.now_ms), cookie })
    }

    /// Whether the form of this request was stamped for this action.
    ///
    /// # Errors
    /// Those of the vault.
    pub fn accepts(&self, action: &str, token: Option<&str>) -> Result<bool> {
        let browser = Cookie::Form.of(self.request, self.issuer).unwrap_or_default();
        let Some((made, stamp)) = token.and_then(|token| token.split_once('.')) else { return Ok(false) };
        let Ok(made_ms) = made.parse::<i64>() else { return Ok(false) };
        let is_fresh = (0..FORM_MS).contains(&self.now_ms.saturating_sub(made_ms));
        if browser.is_empty() || !is_fresh || !is_same_origin(self.request.headers(), self.issuer.origin()) {
            return Ok(false);
        }
        self.vault.is_stamp(&text(browser, action, made_ms), stamp)
    }
}

fn text(browser: &str, action: &str, made_ms: i64) -> String {
    format!("{browser}\n{action}\n{made_ms}")
}

/// What the browser says of where the form was shown. Every browser in use says at least one of the two.
fn is_same_origin(headers: &Headers, origin: &str) -> bool {
    match (headers.get("sec-fetch-site"), headers.get("origin")) {
        (Some(site), _) => site == "same-origin",
        (None, Some(given)) => given == origin,
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "https://shop.example";

    fn request(fields: &[(&str, &str)]) -> Request {
        let mut headers = Headers::new();
        for (name, value) in fields {
            headers.set(name, value);
        }
        Request::new("POST", "/").with_headers(headers)
    }

    #[test]
    fn a_form_counts_in_its_browser_for_its_action_for_an_hour() {
        let (issuer, vault) = (Issuer::for_tests(), Vault::for_tests());
        let own = request(&[("cookie", "__Secure-identity-form=b1"), ("origin", ORIGIN)]);
        let token = FormGuard::new(&own, &issuer, &vault, 1_000).stamp("sign-in").unwrap().token;
        let check = |request: &Request, action: &str, token: Option<&str>, now_ms: i64, expected: bool| {
            let guard = FormGuard::new(request, &issuer, &vault, now_ms);
            assert_eq!(guard.accepts(action, token).unwrap(), expected, "{action} {token:?} {now_ms}");
        };
        check(&own, "sign-in", Some(&token), 1_000, true);
        check(&own, "sign-in", Some(&token), 1_000 + FORM_MS - 1, true);
        check(&own, "sign-in", Some(&token), 1_000 + FORM_MS, false);
        check(&own, "sign-in", Some(&token), 999, false);
        check(&own, "sign-up", Some(&token), 1_000, false);
        check(&own, "sign-in", Some(&token.replacen("1000", "1001", 1)), 1_001, false);
        check(&own, "sign-in", None, 1_000, false);
        let stranger = request(&[("cookie", "__Secure-identity-form=b2"), ("origin", ORIGIN)]);
        check(&stranger, "sign-in", Some(&token), 1_000, false);
        check(&request(&[("origin", ORIGIN)]), "sign-in", Some(&token), 1_000, false);
        let other_site =
            request(&[("cookie", "__Secure-identity-form=b1"), ("origin", "https://evil.example")]);
        check(&other_site, "sign-in", Some(&token), 1_000, false);
    }

    #[test]
    fn the_browser_says_where_a_form_was_shown() {
        let check = |fields: &[(&str, &str)], expected: bool| {
            assert_eq!(is_same_origin(request(fields).headers(), ORIGIN), expected, "{fields:?}");
        };
        check(&[("sec-fetch-site", "same-origin")], true);
        check(&[("sec-fetch-site", "same-site"), ("origin", ORIGIN)], false);
        check(&[("sec-fetch-site", "cross-site")], false);
        check(&[("origin", ORIGIN)], true);
        check(&[("origin", "null")], false);
        check(&[("origin", "https://shop.example.evil.example")], false);
        check(&[], false);
    }
}
