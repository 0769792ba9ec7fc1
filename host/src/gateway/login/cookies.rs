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

/// The begin of the name of a login that is under way; its state follows, so that each tab has one of its own.
const PENDING: &str = "hostel-login-";
const SECURE_PENDING: &str = "__Host-hostel-login-";

/// How much of the state is in the name.
const PENDING_NAME_BYTES: usize = 8;

/// Logins of one browser that are under way: half a KiB each, of 32 KiB that all headers share.
const PENDING_MAX: usize = 4;

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
        SessionId::read(&self.read::<String>(headers, origin, session_name(origin))?)
    }

    /// Gives a browser its session, which it forgets when it is closed: how long it counts is decided here.
    pub fn give_session(&self, headers: &mut HeaderMap, origin: &Origin, id: &SessionId) {
        self.write(headers, origin, session_name(origin).to_owned(), &id.text(), None);
    }

    /// Has a browser forget its session.
    pub fn forget_session(&self, headers: &mut HeaderMap, origin: &Origin) {
        forget(headers, origin, session_name(origin).to_owned());
    }

    /// The login under way that has this state.
    pub fn pending(&self, headers: &HeaderMap, origin: &Origin, state: &str) -> Option<Pending> {
        self.read(headers, origin, &pending_name(origin, state)?)
    }

    /// Has a browser remember a login that is under way, beside others in other tabs. Many are none of a person: then
    /// those before are forgotten.
    pub fn give_pending(
        &self,
        asked: &HeaderMap,
        headers: &mut HeaderMap,
        origin: &Origin,
        pending: &Pending,
    ) {
        let others: Vec<String> =
            each(asked).map(|cookie| cookie.name().to_owned()).filter(|name| is_pending(name)).collect();
        if others.len() >= PENDING_MAX {
            others.into_iter().for_each(|name| forget(headers, origin, name));
        }
        if let Some(name) = pending_name(origin, &pending.state) {
            self.write(headers, origin, name, pending, Some(PENDING_TIME_MAX));
        }
    }

    /// Has a browser forget it.
    pub fn forget_pending(&self, headers: &mut HeaderMap, origin: &Origin, state: &str) {
        if let Some(name) = pending_name(origin, state) {
            forget(headers, origin, name);
        }
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
        name: String,
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

/// Takes these cookies out of a request; what else stands there stays as it is, readable or not.
pub fn strip(headers: &mut HeaderMap) {
    let lines: Vec<HeaderValue> = headers.get_all(header::COOKIE).iter().cloned().collect();
    if !lines.iter().any(|line| pieces(line).any(is_ours)) {
        return;
    }
    headers.remove(header::COOKIE);
    for line in lines {
        let others: Vec<&[u8]> = pieces(&line).filter(|piece| !is_ours(piece)).collect();
        if let Ok(value) = HeaderValue::from_bytes(&others.join(&b"; "[..]))
            && !value.is_empty()
        {
            headers.append(header::COOKIE, value);
        }
    }
}

fn session_name(origin: &Origin) -> &'static str {
    if origin.is_secure() { SECURE_SESSION } else { SESSION }
}

/// The name of the cookie of a login that is under way; none for what is no state of ours.
fn pending_name(origin: &Origin, state: &str) -> Option<String> {
    let short = state.get(..PENDING_NAME_BYTES)?;
    let is_plain = short.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let begin = if origin.is_secure() { SECURE_PENDING } else { PENDING };
    is_plain.then(|| format!("{begin}{short}"))
}

fn is_pending(name: &str) -> bool {
    name.starts_with(PENDING) || name.starts_with(SECURE_PENDING)
}

fn is_ours(piece: &[u8]) -> bool {
    let name = piece.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
    [SESSION.as_bytes(), SECURE_SESSION.as_bytes()].contains(&name)
        || [PENDING, SECURE_PENDING].iter().any(|begin| name.starts_with(begin.as_bytes()))
}

/// The cookies of a line, as they were sent.
fn pieces(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|piece| !piece.is_empty())
}

/// Those that are text; ours are.
fn each(headers: &HeaderMap) -> impl Iterator<Item = Cookie<'_>> {
    let all = headers.get_all(header::COOKIE).iter().flat_map(pieces);
    all.filter_map(|piece| Cookie::parse(std::str::from_utf8(piece).ok()?).ok())
}

/// Out of reach of scripts, of other sites' forms, and over TLS of clear text.
fn built<'c>(mut cookie: Cookie<'c>, origin: &Origin) -> Cookie<'c> {
    cookie.set_http_only(true);
    cookie.set_same_site(SameSite::Lax);
    cookie.set_path("/");
    cookie.set_secure(origin.is_secure());
    cookie
}

fn forget(headers: &mut HeaderMap, origin: &Origin, name: String) {
    let mut cookie = built(Cookie::new(name, ""), origin);
    cookie.set_max_age(time::Duration::ZERO);
    append(headers, &cookie);
}

fn append(headers: &mut HeaderMap, cookie: &Cookie<'_>) {
    if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
        headers.append(header::SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_are_taken_out_and_others_stay_as_they_are() {
        let mut headers = HeaderMap::new();
        let line = "hostel-session=a; name=Zo\u{eb}; hostel-login-12345678=b;x=1; __Host-hostel-session=c; hostel-sessions=d";
        headers.append(header::COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        headers.append(header::COOKIE, HeaderValue::from_static("__Host-hostel-login-1=e"));
        strip(&mut headers);
        let left: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(left, ["name=Zo\u{eb}; x=1; hostel-sessions=d".as_bytes()]);
        let before = headers.clone();
        strip(&mut headers);
        assert_eq!(headers, before);
    }
}
