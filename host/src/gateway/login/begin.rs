//! Sends a browser to the provider.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use http::request::Parts;
use sha2::{Digest as _, Sha256};

use super::cookies::Pending;
use super::fault::LoginFault;
use super::origin::Origin;
use super::{Login, redirect};
use crate::body::Response;

/// The longest path to go on to; it travels in a cookie, of which browsers keep 4 KiB.
const TARGET_BYTES_MAX: usize = 2 * 1024;

impl Login {
    /// Begins a login: what must be known again afterwards goes along in a cookie, so that logins that are begun and
    /// left cost the gateway nothing.
    pub(super) async fn begin(&self, head: &Parts, origin: &Origin) -> Result<Response, LoginFault> {
        let asked = |name: &str| {
            let query = head.uri.query().unwrap_or_default();
            form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
        };
        let to = asked("to").map_or_else(|| "/".to_owned(), |to| to.into_owned());
        if !is_here(&to) {
            return Err(LoginFault::Target);
        }
        let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let pending = Pending { state: random(), nonce: random(), verifier: random(), to, begun };
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&pending.verifier));
        let scopes = self.config.scopes.join(" ");
        let back = self.redirect_uri(origin);
        let mut parameters = vec![
            ("response_type", "code"),
            ("client_id", &self.config.client),
            ("redirect_uri", &back),
            ("scope", &scopes),
            ("state", &pending.state),
            ("nonce", &pending.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        if asked("sign_up").is_some() {
            // Initiating User Registration via OpenID Connect 1.0.
            parameters.push(("prompt", "create"));
        }
        let place = self.provider.authorization(&parameters).await?;
        let mut response = redirect(StatusCode::FOUND, &place)?;
        self.cookies.give_pending(&head.headers, response.headers_mut(), origin, &pending);
        Ok(response)
    }

    /// Where the provider sends the browser back.
    pub(super) fn redirect_uri(&self, origin: &Origin) -> String {
        format!("{origin}{}/callback", self.config.path)
    }
}

/// 256 bits as text: nobody guesses them, and a verifier of PKCE has the length that it needs (RFC 7636, 4.1).
fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// Whether a browser stays on this host: a path, and nothing that any browser takes for another host.
pub fn is_here(to: &str) -> bool {
    to.len() <= TARGET_BYTES_MAX
        && to.starts_with('/')
        && !to.starts_with("//")
        && to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_goes_on_to_a_path_of_this_host_only() {
        for good in ["/", "/orders?x=1#y", "/a//b", "/%5cevil"] {
            assert!(is_here(good), "{good}");
        }
        for bad in [
            "",
            "orders",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil",
            "https://evil",
            "/a\tb",
            "/a\nb",
            "/ä",
        ] {
            assert!(!is_here(bad), "{bad:?}");
        }
        assert!(!is_here(&format!("/{}", "x".repeat(TARGET_BYTES_MAX))));
    }
}
