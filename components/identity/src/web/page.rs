//! A page as an answer: no script, no frame around it, no cache, and forms that go nowhere else.

use hostel_sdk::Response;
use maud::Markup;
use url::Url;

/// A page.
pub struct Page {
    pub status: u16,
    pub content: Markup,
    /// Where a redirect that answers a form of this page may lead; browsers check that too.
    pub leads_to: Option<String>,
    pub cookie: Option<String>,
}

impl From<Page> for Response {
    fn from(page: Page) -> Self {
        let leads_to = page.leads_to.as_deref().and_then(source).unwrap_or_default();
        let policy = format!(
            "default-src 'none'; style-src 'self'; form-action 'self'{leads_to}; frame-ancestors 'none'; \
             base-uri 'none'"
        );
        let html = page.content.into_string().into_bytes();
        let response = Self::bytes(page.status, "text/html; charset=utf-8", html)
            .header("content-security-policy", &policy)
            .header("x-content-type-options", "nosniff")
            .header("cache-control", "no-store")
            // Not `no-referrer`: then browsers would not say that a form comes from here.
            .header("referrer-policy", "same-origin");
        match page.cookie {
            Some(cookie) => response.header("set-cookie", &cookie),
            None => response,
        }
    }
}

/// Sends the browser elsewhere, with GET whatever it came with. Codes stand in such addresses.
pub fn see_other(place: &str) -> Response {
    Response::new(303)
        .header("location", place)
        .header("cache-control", "no-store")
        .header("referrer-policy", "no-referrer")
}

/// An address as a source of a content security policy: its origin, or the scheme of an app.
fn source(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    let origin = url.origin();
    match origin.is_tuple() {
        true => Some(format!(" {}", origin.ascii_serialization())),
        false => Some(format!(" {}:", url.scheme())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_may_lead_to_the_origin_of_its_client() {
        let check = |address: &str, expected: &str| assert_eq!(source(address).unwrap(), expected);
        check("https://shop.example/back?a=b;c", " https://shop.example");
        check("http://127.0.0.1:9000/back", " http://127.0.0.1:9000");
        check("com.example.app:/back", " com.example.app:");
    }
}
