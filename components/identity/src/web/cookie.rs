//! The two cookies of the provider. Scripts cannot read them, other sites cannot send them with a form, and they go to the
//! provider's own path only.

use hostel_sdk::Request;

use crate::config::Issuer;
use crate::config::lifetimes::SESSION_MS;

/// A cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookie {
    /// Who is signed in.
    Session,
    /// Which browser a form was made for.
    Form,
}

impl Cookie {
    /// Its value in a request.
    pub fn of<'r>(self, request: &'r Request, issuer: &Issuer) -> Option<&'r str> {
        let name = self.name(issuer);
        let pairs = request.headers().all("cookie").flat_map(|line| line.split(';'));
        let mut pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(given, _)| *given == name).map(|(_, value)| value)
    }

    /// What sets it.
    pub fn set(self, issuer: &Issuer, value: &str) -> String {
        match self {
            Self::Session => self.write(issuer, value, &format!("; Max-Age={}", SESSION_MS / 1_000)),
            Self::Form => self.write(issuer, value, ""),
        }
    }

    /// What removes it.
    pub fn clear(self, issuer: &Issuer) -> String {
        self.write(issuer, "", "; Max-Age=0")
    }

    fn write(self, issuer: &Issuer, value: &str, age: &str) -> String {
        let path = if issuer.path().is_empty() { "/" } else { issuer.path() };
        let secure = if issuer.is_https() { "; Secure" } else { "" };
        format!("{}={value}; Path={path}{age}; HttpOnly; SameSite=Lax{secure}", self.name(issuer))
    }

    /// With the prefix that makes browsers refuse one that was set without TLS, or for a whole domain.
    fn name(self, issuer: &Issuer) -> String {
        let prefix = match (issuer.is_https(), issuer.path()) {
            (false, _) => "",
            (true, "") => "__Host-",
            (true, _) => "__Secure-",
        };
        let name = match self {
            Self::Session => "identity-session",
            Self::Form => "identity-form",
        };
        format!("{prefix}{name}")
    }
}

#[cfg(test)]
mod tests {
    use hostel_sdk::http::Headers;

    use super::*;

    #[test]
    fn a_cookie_is_bound_as_far_as_browsers_can() {
        let issuer = Issuer::for_tests();
        let set = Cookie::Session.set(&issuer, "v");
        let expected =
            "__Secure-identity-session=v; Path=/identity; Max-Age=43200; HttpOnly; SameSite=Lax; Secure";
        assert_eq!(set, expected);
        let cleared = Cookie::Session.clear(&issuer);
        assert!(cleared.starts_with("__Secure-identity-session=; Path=/identity; Max-Age=0;"), "{cleared}");
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let issuer = Issuer::for_tests();
        let check = |line: &str, expected: Option<&str>| {
            let mut headers = Headers::new();
            headers.set("cookie", line);
            let request = Request::new("GET", "/").with_headers(headers);
            assert_eq!(Cookie::Form.of(&request, &issuer), expected, "{line}");
        };
        check("a=b; __Secure-identity-form=v", Some("v"));
        check("identity-form=v", None);
        check("x__Secure-identity-form=v", None);
        check("", None);
    }
}
