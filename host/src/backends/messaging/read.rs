//! The broker's file as its readers see it: what may be handed over, what waits, what was given up.

use std::collections::HashSet;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::store::{from_json, from_text};
use super::{DeadLetter, MessagingError, SubscriptionStatus, TopicStatus};
use crate::names::{ServiceName, Topic};

/// A message of the disk's queue.
pub struct Waiting {
    pub sequence: i64,
    pub attempt: u32,
    pub id: String,
    pub topic: Topic,
    pub source: ServiceName,
    pub key: Option<String>,
    pub published_ms: u64,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// What one look at a subscriber's queue found.
pub struct Page {
    /// What may be handed over now, the longest due first.
    pub waiting: Vec<Waiting>,
    /// Whether there was more than was asked for.
    pub more: bool,
    /// When the next delayed message is due, in milliseconds since 1970.
    pub next_due_ms: Option<i64>,
}

/// What is asked for.
pub struct PageQuery {
    /// The subscriber.
    pub service: ServiceName,
    /// What it already has.
    pub out: HashSet<i64>,
    /// The last message that is durable.
    pub durable: i64,
    /// The present, in milliseconds since 1970.
    pub now_ms: i64,
    /// At most so many messages.
    pub messages_max: usize,
    /// No further message after so many bytes.
    pub bytes_max: usize,
}

/// Reads what may be handed over: only the first unsettled message of each key, and none that is out.
pub fn page(connection: &Connection, query: &PageQuery) -> Result<Page, MessagingError> {
    // All statements see one state; it ends with the borrow.
    let connection = &connection.unchecked_transaction()?;
    let sql = "SELECT seq, attempt FROM deliveries
               WHERE service = ?1 AND head = 1 AND due_ms <= ?2 AND seq <= ?3 ORDER BY due_ms, seq";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![query.service.as_str(), query.now_ms, query.durable])?;
    let (mut waiting, mut bytes, mut more) = (Vec::new(), 0, false);
    while let Some(row) = rows.next()? {
        let (sequence, attempt): (i64, u32) = (row.get(0)?, row.get(1)?);
        if query.out.contains(&sequence) {
            continue;
        }
        if waiting.len() == query.messages_max || bytes >= query.bytes_max {
            more = true;
            break;
        }
        let message = message(connection, sequence, attempt)?;
        bytes += message.body.len();
        waiting.push(message);
    }
    let sql = "SELECT min(due_ms) FROM deliveries WHERE service = ?1 AND head = 1 AND due_ms > ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let next_due_ms = statement.query_row(params![query.service.as_str(), query.now_ms], |row| row.get(0))?;
    Ok(Page { waiting, more, next_due_ms })
}

/// What waits for each subscriber. What is in flight stands among what is ready: the disk does not know it.
pub fn status(connection: &Connection, now_ms: i64) -> Result<Vec<SubscriptionStatus>, MessagingError> {
    let sql = "SELECT service, patterns,
                   (SELECT count(*) FROM deliveries AS it WHERE it.service = s.service AND head = 1 AND due_ms > ?1),
                   (SELECT count(*) FROM deliveries AS it WHERE it.service = s.service),
                   (SELECT count(*) FROM dead WHERE dead.service = s.service)
               FROM subscriptions AS s ORDER BY service";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([now_ms])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let (delayed, total): (u64, u64) = (row.get(2)?, row.get(3)?);
        all.push(SubscriptionStatus {
            service: name(row, 0)?,
            patterns: from_json(&row.get::<_, String>(1)?)?,
            ready: total.saturating_sub(delayed),
            delayed,
            in_flight: 0,
            dead: row.get(4)?,
        });
    }
    Ok(all)
}

/// The topics of all messages that are kept.
pub fn topics(connection: &Connection) -> Result<Vec<TopicStatus>, MessagingError> {
    let sql = "SELECT topic, count(*) FROM messages WHERE copy = 0 GROUP BY topic ORDER BY topic";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(TopicStatus { topic: name(row, 0)?, messages: row.get(1)? });
    }
    Ok(all)
}

/// Dead letters after this number, of one subscriber or of all.
pub fn dead_letters(
    connection: &Connection,
    service: Option<&ServiceName>,
    after: i64,
    most: usize,
) -> Result<Vec<DeadLetter>, MessagingError> {
    let sql =
        "SELECT seq, service, reason, attempts, died_ms, id, topic, source, key, headers, body FROM dead
               WHERE seq > ?1 AND (?2 IS NULL OR service = ?2) ORDER BY seq LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![after, service.map(ServiceName::as_str), most])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(DeadLetter {
            sequence: row.get(0)?,
            service: name(row, 1)?,
            reason: row.get(2)?,
            attempts: row.get(3)?,
            died_ms: row.get(4)?,
            id: row.get(5)?,
            topic: name(row, 6)?,
            source: name(row, 7)?,
            key: row.get(8)?,
            headers: from_json(&row.get::<_, String>(9)?)?,
            body: row.get::<_, Vec<u8>>(10)?.into(),
        });
    }
    Ok(all)
}

/// The last position of the publisher's outbox that was appended.
pub fn relayed_position(connection: &Connection, source: &ServiceName) -> Result<i64, MessagingError> {
    let sql = "SELECT position FROM relayed WHERE source = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row([source.as_str()], |row| row.get(0)).optional()?.unwrap_or(0))
}

fn message(connection: &Connection, sequence: i64, attempt: u32) -> Result<Waiting, MessagingError> {
    let sql = "SELECT id, topic, source, key, published_ms, headers, body FROM messages WHERE seq = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([sequence])?;
    let Some(row) = rows.next()? else {
        return Err(MessagingError::Unavailable(format!(
            "the message broker's file lacks message {sequence}, which waits for a subscriber"
        )));
    };
    Ok(Waiting {
        sequence,
        attempt,
        id: row.get(0)?,
        topic: name(row, 1)?,
        source: name(row, 2)?,
        key: row.get(3)?,
        published_ms: row.get(4)?,
        headers: from_json(&row.get::<_, String>(5)?)?,
        body: row.get::<_, Vec<u8>>(6)?.into(),
    })
}

fn name<T: std::str::FromStr<Err: std::fmt::Display>>(
    row: &Row<'_>,
    column: usize,
) -> Result<T, MessagingError> {
    from_text(&row.get::<_, String>(column)?)
}
