//! `Idempotency-Key`: the same request twice has its effect once and gets the same answer.
//!
//! The answer and a hash of the request are stored beside the effect, in one transaction under the key.
//! The service's schema needs [`SCHEMA`] among its migrations.
//!
//! ```no_run
//! use hostel_sdk::{Request, Response, Result, idempotency, params};
//!
//! fn place(request: &Request) -> Result<Response> {
//!     let once = idempotency::of(request, "orders")?;
//!     if let Some(answer) = once.answered()? {
//!         return Ok(answer);
//!     }
//!     // Check the request and call other services here, then:
//!     once.run(|transaction| {
//!         transaction.execute("INSERT INTO orders (id) VALUES ($1)", params!["7"])?;
//!         Response::created("/api/orders/7", "7")
//!     })
//! }
//! ```

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::database::{self, OnceKey, Transaction};
use crate::error::{Error, Result};
use crate::http::{Request, Response, ResponseBody};
use crate::params;
use crate::problem::Problem;
use crate::time;

/// The table of answers, to be named in `migrations` of [`service!`](crate::service).
pub const SCHEMA: &str = "
    CREATE TABLE idempotent_answers (
        scope        TEXT NOT NULL,
        key          TEXT NOT NULL,
        fingerprint  TEXT NOT NULL,
        status       BIGINT NOT NULL,
        location     TEXT,
        content_type TEXT,
        body         TEXT NOT NULL,
        answered_ms  BIGINT NOT NULL,
        PRIMARY KEY (scope, key)
    );
    CREATE INDEX idempotent_answers_by_time ON idempotent_answers (answered_ms);
";

/// The longest key; a UUID has 36 characters.
const KEY_BYTES_MAX: usize = 255;

/// As long as the host keeps the keys of `begin-once`.
const KEPT_MS: i64 = 90 * 24 * 60 * 60 * 1000;

/// One request that may come again.
#[derive(Debug)]
pub struct Once {
    key: Option<OnceKey>,
    scope: String,
    text: String,
    fingerprint: String,
}

#[derive(Deserialize)]
struct Answer {
    fingerprint: String,
    status: u16,
    location: Option<String>,
    content_type: Option<String>,
    body: String,
}

/// Reads the header `Idempotency-Key`; a request without one is simply run. Keys belong to the caller
/// and the scope: those of two subjects never meet.
///
/// # Errors
/// 400 when the key is empty, too long or no visible ASCII.
pub fn of(request: &Request, scope: &str) -> Result<Once> {
    let scope = scope.to_owned();
    if !request.headers().contains("idempotency-key") {
        return Ok(Once { key: None, scope, text: String::new(), fingerprint: String::new() });
    }
    let given = request.header("idempotency-key").unwrap_or_default().trim();
    if !(1..=KEY_BYTES_MAX).contains(&given.len()) || !given.bytes().all(|byte| byte.is_ascii_graphic()) {
        let detail = format!("An Idempotency-Key is 1 to {KEY_BYTES_MAX} visible ASCII characters.");
        return Err(Problem::bad_request(detail).into());
    }
    // A key has no blanks, so subject and key can not run into each other.
    let text = format!("{} {given}", request.caller().subject().unwrap_or_default());
    let key = Some(OnceKey::Named { scope: scope.clone(), key: text.clone() });
    Ok(Once { key, scope, text, fingerprint: fingerprint(request)? })
}

impl Once {
    /// The answer that this request got before.
    ///
    /// # Errors
    /// 422 when the key was used for another request.
    pub fn answered(&self) -> Result<Option<Response>> {
        if self.key.is_none() {
            return Ok(None);
        }
        let sql = "SELECT fingerprint, status, location, content_type, body
                   FROM idempotent_answers WHERE scope = $1 AND key = $2";
        let Some(answer) = database::query_first::<Answer>(sql, params![&self.scope, &self.text])? else {
            return Ok(None);
        };
        if answer.fingerprint != self.fingerprint {
            let detail = "The Idempotency-Key was used for another request; choose a new one.";
            return Err(Problem::unprocessable(detail).into());
        }
        let content_type = answer.content_type.as_deref().unwrap_or("application/json");
        let response = Response::bytes(answer.status, content_type, answer.body.into_bytes());
        Ok(Some(match answer.location {
            Some(location) => response.header("location", &location),
            None => response,
        }))
    }

    /// Runs the effect in a transaction and stores its answer in the same; of several requests at once
    /// the first runs and the others get its answer.
    ///
    /// # Errors
    /// Those of the effect and of the database; then nothing has happened.
    pub fn run(&self, effect: impl FnOnce(&Transaction) -> Result<Response>) -> Result<Response> {
        let Some(key) = &self.key else {
            let transaction = database::begin()?;
            let response = effect(&transaction)?;
            transaction.commit()?;
            return Ok(response);
        };
        let Some(transaction) = database::begin_once(key)? else {
            let lost = || Error::internal("the key was used, but its answer is not there");
            return self.answered()?.ok_or_else(lost);
        };
        let response = effect(&transaction)?;
        self.store(&transaction, &response)?;
        transaction.commit()?;
        Ok(response)
    }

    fn store(&self, transaction: &Transaction, response: &Response) -> Result<()> {
        let ResponseBody::Bytes(body) = response.body() else {
            return Err(Error::internal("an idempotent answer can not be a stream"));
        };
        let body = std::str::from_utf8(body).map_err(Error::internal)?;
        let now_ms = time::now_ms();
        let forget = "DELETE FROM idempotent_answers WHERE answered_ms < $1";
        transaction.execute(forget, params![now_ms - KEPT_MS])?;
        let keep = "INSERT INTO idempotent_answers
                    (scope, key, fingerprint, status, location, content_type, body, answered_ms)
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let (location, content_type) =
            (response.headers().get("location"), response.headers().get("content-type"));
        let values = params![
            &self.scope,
            &self.text,
            &self.fingerprint,
            response.status(),
            location,
            content_type,
            body,
            now_ms,
        ];
        transaction.execute(keep, values)?;
        Ok(())
    }
}

/// A hash over method, path and body.
fn fingerprint(request: &Request) -> Result<String> {
    let mut hash = Sha256::new();
    for part in [request.method().as_bytes(), request.path().as_bytes(), request.bytes()?] {
        // With its length, so that parts can not run into each other.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Body, Headers};

    fn request(key: &str, body: &[u8]) -> Request {
        let mut headers = Headers::new();
        headers.set("Idempotency-Key", key);
        Request::new("POST", "/api/orders").with_headers(headers).with_body(Body::from_bytes(body))
    }

    #[test]
    fn a_key_is_visible_ascii_of_bounded_length() {
        let check = |key: &str, expected: bool| {
            assert_eq!(of(&request(key, b""), "orders").is_ok(), expected, "{key:?}");
        };
        check("8e03978e-40d5-43dd-bc93-6894a57f9324", true);
        check("\"quoted\"", true);
        check("", false);
        check("two words", false);
        check("schlüssel", false);
        check(&"x".repeat(256), false);
    }

    #[test]
    fn another_body_has_another_fingerprint() {
        let of = |body: &[u8]| fingerprint(&request("k", body)).unwrap();
        assert_eq!(of(b"{}"), of(b"{}"));
        assert_ne!(of(b"{}"), of(b"{ }"));
    }
}
