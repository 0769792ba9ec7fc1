//! The cookies that a browser holds: its session, and a login that is under way. Both are encrypted and bound to the
//! host that gave them.

use cookie::{Cookie, CookieJar, Key, SameSite, time};
use http::{HeaderMap, HeaderValue, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::origin::Origin;
use crate::sessions::SessionId;

/// The name of the cookie of a session; over TLS with the prefix that keeps other hosts and clear text from setting it
/// (RFC 6265bis, 4.1.3.2).
const SESSION: &str = "hostel-session";
const SECURE_SESSION: &str = "__Host-hostel-session";

/// The same for a login that is under way.
const PENDING: &str = "hostel-login";
const SECURE_PENDING: &str = "__Host-hostel-login";

/// How long a person may take to sign in.
pub const PENDING_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(15 * 60);

/// Reads and writes cookies.
pub struct Cookies {
    key: Key,
}

/// What must be known when a browser comes back from the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// What the provider sends back.
    pub state: String,
    /// What it writes into the ID token.
    pub nonce: String,
    /// What proves that the code was asked for here (RFC 7636).
    pub verifier: String,
    /// Where the browser goes on.
    pub to: String,
    /// When the login was begun, in seconds since 1970.
    pub begun: u64,
}

/// A value, and where it counts.
#[derive(Serialize, Deserialize)]
struct Bound<T> {
    origin: String,
    value: T,
}

impl Cookies {
    /// Cookies under this key.
    pub fn new(key: &[u8; 64]) -> Self {
        Self { key: Key::from(key) }
    }

    /// The session that a browser shows; none when it shows none that was given here.
    pub fn session(&self, headers: &HeaderMap, origin: &Origin) -> Option<SessionId> {
        let name = if origin.is_secure() { SECURE_SESSION } else { SESSION };
        SessionId::read(&self.read::<String>(headers, origin, name)?)
    }

    /// Gives a browser its session, which it forgets when it is closed: how long it counts is decided here.
    pub fn give_session(&self, headers: &mut HeaderMap, origin: &Origin, id: &SessionId) {
        let name = if origin.is_secure() { SECURE_SESSION } else { SESSION };
        self.write(headers, origin, name, &id.text(), None);
    }

    /// Has a browser forget its session.
    pub fn forget_session(&self, headers: &mut HeaderMap, origin: &Origin) {
        forget(headers, origin, if origin.is_secure() { SECURE_SESSION } else { SESSION });
    }

    /// The login that is under way.
    pub fn pending(&self, headers: &HeaderMap, origin: &Origin) -> Option<Pending> {
        self.read(headers, origin, if origin.is_secure() { SECURE_PENDING } else { PENDING })
    }

    /// Has a browser remember a login that is under way.
    pub fn give_pending(&self, headers: &mut HeaderMap, origin: &Origin, pending: &Pending) {
        let name = if origin.is_secure() { SECURE_PENDING } else { PENDING };
        self.write(headers, origin, name, pending, Some(PENDING_TIME_MAX));
    }

    /// Has a browser forget it.
    pub fn forget_pending(&self, headers: &mut HeaderMap, origin: &Origin) {
        forget(headers, origin, if origin.is_secure() { SECURE_PENDING } else { PENDING });
    }

    fn read<T: DeserializeOwned>(&self, headers: &HeaderMap, origin: &Origin, name: &str) -> Option<T> {
        let mut jar = CookieJar::new();
        let mut shown = each(headers).filter(|cookie| cookie.name() == name);
        let cookie = shown.next()?.into_owned();
        if shown.next().is_some() {
            // Of two, one was put there by somebody else.
            return None;
        }
        jar.add_original(cookie);
        let text = jar.private(&self.key).get(name)?;
        let bound: Bound<T> = serde_json::from_str(text.value()).ok()?;
        (bound.origin == origin.to_string()).then_some(bound.value)
    }

    fn write<T: Serialize>(
        &self,
        headers: &mut HeaderMap,
        origin: &Origin,
        name: &'static str,
        value: &T,
        life: Option<std::time::Duration>,
    ) {
        let bound = Bound { origin: origin.to_string(), value };
        let Ok(text) = serde_json::to_string(&bound) else { return };
        let mut cookie = built(Cookie::new(name, text), origin);
        if let Some(life) = life.and_then(|life| time::Duration::try_from(life).ok()) {
            cookie.set_max_age(life);
        }
        let mut jar = CookieJar::new();
        jar.private_mut(&self.key).add(cookie);
        jar.delta().for_each(|cookie| append(headers, cookie));
    }
}

/// Takes these cookies out of a request.
pub fn strip(headers: &mut HeaderMap) {
    if !headers.contains_key(header::COOKIE) {
        return;
    }
    let is_ours = |text: &str| {
        let name = text.split('=').next().unwrap_or_default().trim();
        [SESSION, SECURE_SESSION, PENDING, SECURE_PENDING].contains(&name)
    };
    let lines: Vec<HeaderValue> = headers.get_all(header::COOKIE).iter().cloned().collect();
    headers.remove(header::COOKIE);
    for line in lines {
        let Ok(text) = line.to_str() else {
            // Ours are ASCII; what cannot be read is kept away all the same, since one of ours may stand in it.
            continue;
        };
        let others: Vec<&str> = text.split(';').map(str::trim).filter(|one| !is_ours(one)).collect();
        if let Some(value) = Some(others.join("; ")).filter(|text| !text.is_empty())
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            headers.append(header::COOKIE, value);
        }
    }
}

fn each(headers: &HeaderMap) -> impl Iterator<Item = Cookie<'_>> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).filter_map(|text| Cookie::parse(text.trim()).ok())
}

/// Out of reach of scripts, of other sites' forms, and over TLS of clear text.
fn built<'c>(mut cookie: Cookie<'c>, origin: &Origin) -> Cookie<'c> {
    cookie.set_http_only(true);
    cookie.set_same_site(SameSite::Lax);
    cookie.set_path("/");
    cookie.set_secure(origin.is_secure());
    cookie
}

fn forget(headers: &mut HeaderMap, origin: &Origin, name: &'static str) {
    let mut cookie = built(Cookie::new(name, ""), origin);
    cookie.set_max_age(time::Duration::ZERO);
    append(headers, &cookie);
}

fn append(headers: &mut HeaderMap, cookie: &Cookie<'_>) {
    if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
        headers.append(header::SET_COOKIE, value);
    }
}
