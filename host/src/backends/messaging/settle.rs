//! What becomes of deliveries on the disk: done, again later, or dead; and dead letters sent again.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::store::{Applied, Store};
use super::{MessagingError, MessagingSettings};
use crate::backends::sqlite::now_ms;
use crate::names::ServiceName;

/// The longest pause that a subscriber may ask for. A longer one is rather a mistake in its unit, and the
/// key would be blocked all the while.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A reason longer than this is cut: it is for reading.
const REASON_BYTES_MAX: usize = 2_000;

/// The outcome of one delivery.
pub struct Settlement {
    /// The subscriber.
    pub service: ServiceName,
    /// The message.
    pub sequence: i64,
    /// The attempt that is settled.
    pub attempt: u32,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// What becomes of a delivery.
pub enum Verdict {
    /// It was handled.
    Done,
    /// Again, after the pause or the back-off.
    Retry {
        /// The pause.
        after: Option<Duration>,
        /// Why.
        reason: String,
    },
    /// To the dead letters.
    Reject(String),
}

impl Store {
    pub(super) fn settle(&mut self, settlement: &Settlement) -> Result<Applied, MessagingError> {
        let Settlement { service, sequence, attempt, verdict } = settlement;
        let sql = "SELECT key FROM deliveries WHERE service = ?1 AND seq = ?2 AND attempt = ?3";
        let key: Option<Option<String>> = self
            .connection
            .prepare_cached(sql)?
            .query_row(params![service.as_str(), sequence, attempt], |row| row.get(0))
            .optional()?;
        // The subscription ended in the meantime, and its deliveries with it.
        let Some(key) = key else { return Ok(Applied::default()) };
        match verdict {
            Verdict::Done => self.remove(service, *sequence, key.as_deref())?,
            Verdict::Reject(reason) => self.bury(settlement, reason, key.as_deref())?,
            Verdict::Retry { reason, .. } if *attempt >= self.settings.attempts_max => {
                self.bury(settlement, reason, key.as_deref())?;
            }
            Verdict::Retry { after, reason } => self.postpone(settlement, *after, reason)?,
        }
        Ok(Applied { touched: vec![service.clone()], ..Applied::default() })
    }

    /// Appends the message of a dead letter again, for the one service that could not handle it.
    pub(super) fn send_again(&mut self, sequence: i64) -> Result<Applied, MessagingError> {
        let sql = "SELECT service, key FROM dead WHERE seq = ?1";
        let letter: Option<(String, Option<String>)> = self
            .connection
            .prepare_cached(sql)?
            .query_row([sequence], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((service, key)) = letter else {
            return Err(MessagingError::Denied(format!(
                "there is no dead letter {sequence}; it may have been sent again"
            )));
        };
        let Some((service, _)) = self.subscribers.get_key_value(service.as_str()) else {
            return Err(MessagingError::Denied(format!(
                "{service} subscribes to nothing here any more; let it subscribe before its message is sent again"
            )));
        };
        let service = service.clone();
        let sql = "INSERT INTO messages (id, topic, source, key, published_ms, copy, headers, body)
                   SELECT id, topic, source, key, published_ms, 1, headers, body FROM dead WHERE seq = ?1";
        self.connection.prepare_cached(sql)?.execute([sequence])?;
        let appended = self.note_appended();
        self.enqueue(&service, appended, key.as_deref(), now_ms())?;
        self.connection.prepare_cached("DELETE FROM dead WHERE seq = ?1")?.execute([sequence])?;
        Ok(Applied { touched: vec![service], ..Applied::default() })
    }

    fn postpone(
        &self,
        settlement: &Settlement,
        after: Option<Duration>,
        reason: &str,
    ) -> Result<(), MessagingError> {
        let pause = after.map_or_else(
            || backoff(&self.settings, settlement.attempt, rand::random()),
            |after| after.min(RETRY_AFTER_MAX),
        );
        let due_ms = now_ms().saturating_add(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX));
        let sql = "UPDATE deliveries SET attempt = attempt + 1, due_ms = ?3, reason = ?4
                   WHERE service = ?1 AND seq = ?2";
        self.connection.prepare_cached(sql)?.execute(params![
            settlement.service.as_str(),
            settlement.sequence,
            due_ms,
            cut(reason)
        ])?;
        Ok(())
    }

    fn bury(
        &mut self,
        settlement: &Settlement,
        reason: &str,
        key: Option<&str>,
    ) -> Result<(), MessagingError> {
        let sql = "INSERT INTO dead (service, reason, attempts, died_ms, id, topic, source, key, published_ms, headers, body)
                   SELECT ?1, ?3, ?4, ?5, id, topic, source, key, published_ms, headers, body
                   FROM messages WHERE seq = ?2";
        self.connection.prepare_cached(sql)?.execute(params![
            settlement.service.as_str(),
            settlement.sequence,
            cut(reason),
            settlement.attempt,
            now_ms()
        ])?;
        self.remove(&settlement.service, settlement.sequence, key)
    }

    /// Removes the delivery; the next one of its key may go.
    fn remove(
        &mut self,
        service: &ServiceName,
        sequence: i64,
        key: Option<&str>,
    ) -> Result<(), MessagingError> {
        let sql = "DELETE FROM deliveries WHERE service = ?1 AND seq = ?2";
        self.connection.prepare_cached(sql)?.execute(params![service.as_str(), sequence])?;
        if let Some(subscriber) = self.subscribers.get_mut(service) {
            subscriber.backlog = subscriber.backlog.saturating_sub(1);
        }
        let Some(key) = key else { return Ok(()) };
        let sql = "UPDATE deliveries SET head = 1 WHERE service = ?1 AND seq =
                   (SELECT min(seq) FROM deliveries WHERE service = ?1 AND key = ?2)";
        self.connection.prepare_cached(sql)?.execute(params![service.as_str(), key])?;
        Ok(())
    }
}

/// The pause after this attempt: doubling, and cut at random by up to a half, so that messages that failed
/// together do not come back together. `chance` is the random number.
fn backoff(settings: &MessagingSettings, attempt: u32, chance: u32) -> Duration {
    let factor = 2u32.saturating_pow(attempt.saturating_sub(1));
    let full = settings.backoff_min.saturating_mul(factor).min(settings.backoff_max);
    full.mul_f64(1.0 - f64::from(chance) / f64::from(u32::MAX) / 2.0)
}

fn cut(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_longest_and_is_cut_by_at_most_a_half() {
        let settings = MessagingSettings::default();
        assert_eq!(backoff(&settings, 1, 0), Duration::from_millis(200));
        assert_eq!(backoff(&settings, 2, 0), Duration::from_millis(400));
        assert_eq!(backoff(&settings, 2, u32::MAX), Duration::from_millis(200));
        assert_eq!(backoff(&settings, 40, 0), Duration::from_secs(60));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        assert!(cut(&"ä".repeat(REASON_BYTES_MAX)).len() <= REASON_BYTES_MAX);
    }
}
