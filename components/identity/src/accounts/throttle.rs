//! How often somebody may try. A try counts as failed before it is made, so that many at once gain nothing; when it
//! succeeds, that is taken back.

use hostel_sdk::database::{self, Transaction};
use hostel_sdk::{Result, params};
use serde::Deserialize;

use super::user::email_key;
use crate::opaque;
use crate::sweep::{self, Table};

/// Accounts and addresses that are remembered. When it is full new ones must wait: better than to forget an attacker.
const ENTRIES_MAX: i64 = 100_000;

/// The wait after the first try too many, doubled with each further one.
const WAIT_MS: i64 = 1_000;

/// The longest wait: whom an attacker locks out is not locked out for long.
const WAIT_MS_MAX: i64 = 15 * 60 * 1_000;

/// Doublings after which the longest wait is reached.
const DOUBLINGS_MAX: i64 = 10;

/// How long failures are remembered after the last one.
const MEMORY_MS: i64 = 60 * 60 * 1_000;

/// What tries are counted by.
#[derive(Debug, Clone)]
pub struct Throttle {
    key: String,
    /// Failures that cost no wait.
    free: i64,
    /// Whether a success forgets all failures; else it takes back only its own.
    forgets: bool,
}

/// Whether a try may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Granted,
    /// Not before so many seconds.
    Wait(i64),
}

#[derive(Deserialize)]
struct Entry {
    failures: i64,
    blocked_until_ms: i64,
}

impl Throttle {
    /// Of sign-ins to one account, whether it exists or not.
    pub fn account(email: &str) -> Self {
        // Digested: mistyped addresses, and passwords typed into the wrong field, are nobody's to keep.
        let key = format!("account {}", opaque::digest(&email_key(email)));
        Self { key, free: 5, forgets: true }
    }

    /// Of sign-ins from one address; several people may share it.
    pub fn address(address: &str) -> Self {
        Self { key: format!("address {address}"), free: 20, forgets: false }
    }

    /// Of sign-ups from one address, which count also when they succeed.
    pub fn sign_up(address: &str) -> Self {
        Self { key: format!("sign-up {address}"), free: 20, forgets: false }
    }

    /// Asks for one try under all of these, in a transaction of its own.
    ///
    /// # Errors
    /// Those of the database.
    pub fn admit(all: &[Self], now_ms: i64) -> Result<Admission> {
        let transaction = database::begin()?;
        sweep::expired(&transaction, Table::Throttles, now_ms)?;
        let mut wait_ms = 0;
        for throttle in all {
            wait_ms = wait_ms.max(throttle.count(&transaction, now_ms)?);
        }
        if wait_ms > 0 {
            // Nothing counts that was not tried.
            transaction.rollback()?;
            return Ok(Admission::Wait((wait_ms + 999) / 1_000));
        }
        transaction.commit()?;
        Ok(Admission::Granted)
    }

    /// Takes back a try that succeeded.
    ///
    /// # Errors
    /// Those of the database.
    pub fn forgive(&self, transaction: &Transaction) -> Result<()> {
        let sql = match self.forgets {
            true => "DELETE FROM throttles WHERE key = $1",
            false => {
                "UPDATE throttles SET failures = failures - 1, blocked_until_ms = 0
                 WHERE key = $1 AND failures > 0"
            }
        };
        transaction.execute(sql, params![&self.key])?;
        Ok(())
    }

    /// Counts one try as failed; answers how long it would have to wait.
    fn count(&self, transaction: &Transaction, now_ms: i64) -> Result<i64> {
        let sql = "SELECT failures, blocked_until_ms FROM throttles WHERE key = $1 AND expires_ms > $2";
        let entry: Option<Entry> = transaction.query_first(sql, params![&self.key, now_ms])?;
        let before = match entry {
            Some(entry) if entry.blocked_until_ms > now_ms => return Ok(entry.blocked_until_ms - now_ms),
            Some(entry) => entry.failures,
            None if is_full(transaction)? => return Ok(WAIT_MS_MAX),
            None => 0,
        };
        let failures = before + 1;
        let blocked_until_ms = now_ms + wait_ms(failures, self.free);
        let sql =
            "INSERT INTO throttles (key, failures, blocked_until_ms, expires_ms) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (key) DO UPDATE SET failures = excluded.failures,
                   blocked_until_ms = excluded.blocked_until_ms, expires_ms = excluded.expires_ms";
        let values = params![&self.key, failures, blocked_until_ms, blocked_until_ms + MEMORY_MS];
        transaction.execute(sql, values)?;
        Ok(0)
    }
}

fn is_full(transaction: &Transaction) -> Result<bool> {
    let count: Option<i64> = transaction.query_first("SELECT count(*) FROM throttles", params![])?;
    Ok(count.is_some_and(|count| count >= ENTRIES_MAX))
}

/// How long the next try has to wait after so many failures.
fn wait_ms(failures: i64, free: i64) -> i64 {
    match failures - free {
        ..=0 => 0,
        surplus => (WAIT_MS << (surplus - 1).min(DOUBLINGS_MAX)).min(WAIT_MS_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_limit() {
        let check =
            |failures: i64, seconds: i64| assert_eq!(wait_ms(failures, 5), seconds * 1_000, "{failures}");
        check(1, 0);
        check(5, 0);
        check(6, 1);
        check(7, 2);
        check(10, 16);
        check(15, 512);
        check(16, 900);
        check(i64::MAX, 900);
    }

    #[test]
    fn an_account_is_counted_however_its_address_is_written() {
        let keys = ["Ada@example.com", "ada@EXAMPLE.com "].map(|email| Throttle::account(email).key);
        assert_eq!(keys[0], keys[1]);
        assert!(!keys[0].contains("ada"));
    }
}
