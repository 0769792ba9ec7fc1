//! Who may call the admin API: the bearer of the token, by an address of this host.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::middleware::Next;
use axum::response::Response;

use crate::admin::problem::Problem;
use crate::admin::token::AdminToken;

/// Wrong tokens a second; more wait, so that guessing takes for ever.
const WRONG_PER_SECOND_MAX: u32 = 10;

/// Checks every call that needs the token.
#[derive(Clone)]
pub struct Guard {
    token: AdminToken,
    wrong: Arc<Mutex<(Instant, u32)>>,
}

impl Guard {
    /// A guard for this token.
    pub fn new(token: AdminToken) -> Self {
        Self { token, wrong: Arc::new(Mutex::new((Instant::now(), 0))) }
    }

    fn check(&self, request: &Request) -> Result<(), Problem> {
        let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = shown.and_then(|value| value.strip_prefix("Bearer "));
        if token.is_some_and(|token| self.token.is(token.trim())) {
            return Ok(());
        }
        // Only wrong tokens are throttled: guessing must not lock the operator out.
        if self.is_throttled() {
            return Err(Problem::new(429, "too many calls with a wrong token: try again in a second"));
        }
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).1 += 1;
        Err(Problem::new(
            401,
            "this call needs the header `Authorization: Bearer TOKEN`; the token lies in the storage folder, \
             in the file admin-token",
        ))
    }

    fn is_throttled(&self) -> bool {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.0.elapsed() > Duration::from_secs(1) {
            *wrong = (Instant::now(), 0);
        }
        wrong.1 >= WRONG_PER_SECOND_MAX
    }
}

/// Lets only bearers of the token through.
pub async fn need_token(
    State(guard): State<Guard>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    guard.check(&request)?;
    Ok(next.run(request).await)
}

/// Refuses names that are not this host's, so that no web page can reach it by a name of its own (DNS rebinding).
pub async fn need_own_host(request: Request, next: Next) -> Result<Response, Problem> {
    let host = request.headers().get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match is_own(host) {
        true => Ok(next.run(request).await),
        false => Err(Problem::new(421, "the admin API answers by IP address or as localhost only")),
    }
}

fn is_own(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_own_hosts() {
        for (host, expected) in [
            ("127.0.0.1:9090", true),
            ("localhost:9090", true),
            ("LOCALHOST", true),
            ("[::1]:9090", true),
            ("evil.example:9090", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_own(host), expected, "{host}");
        }
    }
}
