//! Who is signed in at the provider, so that a second client need not ask for the password again.

use hostel_sdk::database::{self, Transaction};
use hostel_sdk::{Result, params};
use serde::Deserialize;

use crate::config::lifetimes::SESSION_MS;
use crate::opaque;
use crate::sweep::{self, Table};

/// Browsers that one user is signed in with; the oldest one is signed out.
const PER_USER_MAX: i64 = 20;

/// That a user has proved who it is, and when.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SignedIn {
    pub user_id: String,
    pub authenticated_ms: i64,
}

/// A session: what the cookie of a browser stands for.
#[derive(Debug)]
pub struct Session;

impl Session {
    /// Who is signed in by this cookie.
    ///
    /// # Errors
    /// Those of the database.
    pub fn find(cookie: &str, now_ms: i64) -> Result<Option<SignedIn>> {
        let sql = "SELECT user_id, authenticated_ms FROM sessions WHERE digest = $1 AND expires_ms > $2";
        Ok(database::query_first(sql, params![opaque::digest(cookie), now_ms])?)
    }

    /// Begins one and answers its cookie. One that the browser had before ends, so that nobody can have put it there.
    ///
    /// # Errors
    /// Those of the database.
    pub fn begin(transaction: &Transaction, signed_in: &SignedIn, before: Option<&str>) -> Result<String> {
        let now_ms = signed_in.authenticated_ms;
        if let Some(before) = before {
            let sql = "DELETE FROM sessions WHERE digest = $1";
            transaction.execute(sql, params![opaque::digest(before)])?;
        }
        sweep::expired(transaction, Table::Sessions, now_ms)?;
        let surplus = "DELETE FROM sessions WHERE digest IN (SELECT digest FROM sessions WHERE user_id = $1
                       ORDER BY authenticated_ms DESC, digest LIMIT 1000 OFFSET $2)";
        transaction.execute(surplus, params![&signed_in.user_id, PER_USER_MAX - 1])?;
        let cookie = opaque::random()?;
        let sql =
            "INSERT INTO sessions (digest, user_id, authenticated_ms, expires_ms) VALUES ($1, $2, $3, $4)";
        let values = params![opaque::digest(&cookie), &signed_in.user_id, now_ms, now_ms + SESSION_MS];
        transaction.execute(sql, values)?;
        Ok(cookie)
    }

    /// Ends the session of this cookie.
    ///
    /// # Errors
    /// Those of the database.
    pub fn end(cookie: &str) -> Result<()> {
        database::execute("DELETE FROM sessions WHERE digest = $1", params![opaque::digest(cookie)])?;
        Ok(())
    }
}
