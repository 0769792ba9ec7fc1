//! The broker's file as its one writer sees it: appending messages, subscribing, sweeping.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::settle::Settlement;
use super::{Message, MessagingError, MessagingSettings, read};
use crate::backends::sqlite::{Kind, now_ms};
use crate::names::{ServiceName, Topic, TopicPattern};

/// What the file is for.
///
/// `head` marks the deliveries that no earlier one of their key stands before, so that a long queue behind
/// one key costs the others nothing. `copy` marks messages that were sent again from the dead letters.
pub const KIND: Kind = Kind {
    name: "message broker",
    id: 0x4873_4d62,
    version: 1,
    layout: "
        CREATE TABLE messages (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL,
            topic TEXT NOT NULL,
            source TEXT NOT NULL,
            key TEXT,
            published_ms INTEGER NOT NULL,
            copy INTEGER NOT NULL,
            headers TEXT NOT NULL,
            body BLOB NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX messages_by_id ON messages (source, id) WHERE copy = 0;
        CREATE INDEX messages_by_age ON messages (published_ms);
        CREATE TABLE deliveries (
            service TEXT NOT NULL,
            seq INTEGER NOT NULL,
            key TEXT,
            attempt INTEGER NOT NULL,
            due_ms INTEGER NOT NULL,
            head INTEGER NOT NULL,
            reason TEXT,
            PRIMARY KEY (service, seq)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX deliveries_by_due ON deliveries (service, due_ms, seq) WHERE head = 1;
        CREATE INDEX deliveries_by_key ON deliveries (service, key, seq) WHERE key IS NOT NULL;
        CREATE INDEX deliveries_by_message ON deliveries (seq);
        CREATE TABLE subscriptions (service TEXT PRIMARY KEY, patterns TEXT NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE relayed (source TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE dead (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            service TEXT NOT NULL,
            reason TEXT NOT NULL,
            attempts INTEGER NOT NULL,
            died_ms INTEGER NOT NULL,
            id TEXT NOT NULL,
            topic TEXT NOT NULL,
            source TEXT NOT NULL,
            key TEXT,
            published_ms INTEGER NOT NULL,
            headers TEXT NOT NULL,
            body BLOB NOT NULL
        ) STRICT;
        CREATE INDEX dead_by_service ON dead (service, seq);",
};

/// Messages that one sweep transaction removes: a few milliseconds of the writer's time.
pub const SWEEP_ROWS_MAX: usize = 1_000;

/// Dead letters that are kept: more than anybody reads, and a limit to what a mistake in a subscriber can
/// fill the disk with.
const DEAD_LETTERS_MAX: i64 = 100_000;

/// The file, with what the writer remembers of it.
pub struct Store {
    pub(super) connection: Connection,
    pub(super) settings: MessagingSettings,
    pub(super) subscribers: BTreeMap<ServiceName, Subscriber>,
    last_sequence: i64,
}

/// A service with a subscription, or with deliveries that it left behind.
#[derive(Default)]
pub struct Subscriber {
    /// Its topics.
    pub patterns: Vec<TopicPattern>,
    /// How many deliveries wait for it.
    pub backlog: u64,
}

/// Messages to be appended together, all of one publisher.
pub struct Append {
    /// The publisher.
    pub source: ServiceName,
    /// The messages; with their positions in the publisher's outbox when they come from there.
    pub drafts: Vec<Draft>,
}

/// A message to be appended.
pub struct Draft {
    /// Its position in the publisher's outbox.
    pub position: Option<i64>,
    /// Its topic.
    pub topic: Topic,
    /// The message.
    pub message: Message,
}

/// What a command changed.
#[derive(Default)]
pub struct Applied {
    /// The ids of appended messages, in order.
    pub ids: Vec<String>,
    /// Services that may find something new to handle.
    pub touched: Vec<ServiceName>,
    /// How many rows a sweep removed.
    pub removed: usize,
}

/// A change of the file.
pub enum Command {
    /// Appends messages.
    Append(Append),
    /// Replaces the topics of a service; none ends its subscription.
    Subscribe(ServiceName, Vec<TopicPattern>),
    /// Notes what becomes of a delivery.
    Settle(Settlement),
    /// Sends a dead letter again.
    SendAgain(i64),
    /// Removes settled messages that were published before this moment, in milliseconds since 1970.
    Sweep(i64),
}

impl Store {
    /// Reads what the writer must remember.
    pub fn new(connection: Connection, settings: MessagingSettings) -> Result<Self, MessagingError> {
        // A batch uses some fifteen different statements.
        connection.set_prepared_statement_cache_capacity(32);
        let mut store = Self { connection, settings, subscribers: BTreeMap::new(), last_sequence: 0 };
        store.reload()?;
        Ok(store)
    }

    /// The number of the last message.
    pub fn last_sequence(&self) -> i64 {
        self.last_sequence
    }

    /// All subscribers and their topics.
    pub fn subscriptions(&self) -> impl Iterator<Item = (&ServiceName, &[TopicPattern])> {
        self.subscribers.iter().map(|(name, subscriber)| (name, subscriber.patterns.as_slice()))
    }

    /// Runs the commands in one transaction; one that fails changes nothing and does not harm the others.
    pub fn run(
        &mut self,
        commands: &[Command],
    ) -> Result<Vec<Result<Applied, MessagingError>>, MessagingError> {
        let result = self.run_all(commands);
        if result.is_err() {
            if !self.connection.is_autocommit() {
                let _ = self.connection.execute_batch("ROLLBACK");
            }
            self.reload()?;
        }
        result
    }

    fn run_all(
        &mut self,
        commands: &[Command],
    ) -> Result<Vec<Result<Applied, MessagingError>>, MessagingError> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut results = Vec::with_capacity(commands.len());
        for command in commands {
            self.connection.execute_batch("SAVEPOINT command")?;
            let result = self.apply(command);
            if let Err(error) = &result {
                self.connection.execute_batch("ROLLBACK TO command")?;
                // Refusals come before any change; only a failed statement leaves the memory behind the disk.
                if matches!(error, MessagingError::Unavailable(_)) {
                    self.reload()?;
                }
            }
            self.connection.execute_batch("RELEASE command")?;
            results.push(result);
        }
        self.connection.execute_batch("COMMIT")?;
        Ok(results)
    }

    fn apply(&mut self, command: &Command) -> Result<Applied, MessagingError> {
        match command {
            Command::Append(append) => self.append(append),
            Command::Subscribe(service, patterns) => self.subscribe(service, patterns),
            Command::Settle(settlement) => self.settle(settlement),
            Command::SendAgain(sequence) => self.send_again(*sequence),
            Command::Sweep(before_ms) => self.sweep(*before_ms),
        }
    }

    fn append(&mut self, append: &Append) -> Result<Applied, MessagingError> {
        let position = read::relayed_position(&self.connection, &append.source)?;
        let fresh = |draft: &&Draft| draft.position.is_none_or(|own| own > position);
        let drafts: Vec<&Draft> = append.drafts.iter().filter(fresh).collect();
        self.check_backlog(&drafts)?;
        let mut applied = Applied::default();
        for draft in &drafts {
            let id = draft.message.id_or_new();
            self.append_one(&append.source, draft, &id, &mut applied.touched)?;
            applied.ids.push(id);
        }
        if let Some(position) = drafts.iter().filter_map(|draft| draft.position).max() {
            let sql = "INSERT INTO relayed (source, position) VALUES (?1, ?2)
                       ON CONFLICT (source) DO UPDATE SET position = excluded.position";
            self.connection.prepare_cached(sql)?.execute(params![append.source.as_str(), position])?;
        }
        Ok(applied)
    }

    fn append_one(
        &mut self,
        source: &ServiceName,
        draft: &Draft,
        id: &str,
        touched: &mut Vec<ServiceName>,
    ) -> Result<(), MessagingError> {
        let message = &draft.message;
        let now_ms = now_ms();
        let sql = "INSERT INTO messages (id, topic, source, key, published_ms, copy, headers, body)
                   VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7) ON CONFLICT DO NOTHING";
        let added = self.connection.prepare_cached(sql)?.execute(params![
            id,
            draft.topic.as_str(),
            source.as_str(),
            message.key,
            now_ms,
            to_json(&message.headers)?,
            &message.body[..],
        ])?;
        if added == 0 {
            return Ok(());
        }
        self.last_sequence = self.connection.last_insert_rowid();
        let matches = |subscriber: &Subscriber| subscriber.patterns.iter().any(|it| it.matches(&draft.topic));
        let matching: Vec<ServiceName> =
            self.subscribers.iter().filter(|(_, it)| matches(it)).map(|(name, _)| name.clone()).collect();
        for service in matching {
            self.enqueue(&service, self.last_sequence, message.key.as_deref(), now_ms)?;
            touched.push(service);
        }
        Ok(())
    }

    /// Adds a delivery of a message that was just appended.
    pub(super) fn enqueue(
        &mut self,
        service: &ServiceName,
        sequence: i64,
        key: Option<&str>,
        due_ms: i64,
    ) -> Result<(), MessagingError> {
        let sql =
            "INSERT INTO deliveries (service, seq, key, attempt, due_ms, head) VALUES (?1, ?2, ?3, 1, ?4,
                   ?3 IS NULL OR NOT EXISTS (SELECT 1 FROM deliveries WHERE service = ?1 AND key = ?3))";
        self.connection.prepare_cached(sql)?.execute(params![service.as_str(), sequence, key, due_ms])?;
        self.subscribers.entry(service.clone()).or_default().backlog += 1;
        Ok(())
    }

    /// Notes the number of a message that was appended elsewhere than in `append`.
    pub(super) fn note_appended(&mut self) -> i64 {
        self.last_sequence = self.connection.last_insert_rowid();
        self.last_sequence
    }

    fn check_backlog(&self, drafts: &[&Draft]) -> Result<(), MessagingError> {
        for (service, subscriber) in &self.subscribers {
            let matches = |draft: &&&Draft| subscriber.patterns.iter().any(|it| it.matches(&draft.topic));
            let more = drafts.iter().filter(matches).count() as u64;
            if more > 0 && subscriber.backlog + more > self.settings.backlog_max {
                return Err(MessagingError::Limit(format!(
                    "{} messages wait for {service}, and {} are the most; publish again when it has caught up",
                    subscriber.backlog, self.settings.backlog_max
                )));
            }
        }
        Ok(())
    }

    fn subscribe(
        &mut self,
        service: &ServiceName,
        patterns: &[TopicPattern],
    ) -> Result<Applied, MessagingError> {
        if patterns.is_empty() {
            for sql in
                ["DELETE FROM subscriptions WHERE service = ?1", "DELETE FROM deliveries WHERE service = ?1"]
            {
                self.connection.prepare_cached(sql)?.execute([service.as_str()])?;
            }
            self.subscribers.remove(service);
        } else {
            let sql = "INSERT INTO subscriptions (service, patterns) VALUES (?1, ?2)
                       ON CONFLICT (service) DO UPDATE SET patterns = excluded.patterns";
            self.connection.prepare_cached(sql)?.execute(params![service.as_str(), to_json(patterns)?])?;
            self.subscribers.entry(service.clone()).or_default().patterns = patterns.to_vec();
        }
        Ok(Applied { touched: vec![service.clone()], ..Applied::default() })
    }

    fn sweep(&mut self, before_ms: i64) -> Result<Applied, MessagingError> {
        let sql = "DELETE FROM messages WHERE seq IN (
                       SELECT seq FROM messages AS old WHERE published_ms < ?1
                       AND NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.seq = old.seq) LIMIT ?2)";
        let removed = self.connection.prepare_cached(sql)?.execute(params![before_ms, SWEEP_ROWS_MAX])?;
        let sql = "DELETE FROM dead WHERE seq <= (SELECT max(seq) FROM dead) - ?1";
        let forgotten = self.connection.prepare_cached(sql)?.execute([DEAD_LETTERS_MAX])?;
        if forgotten > 0 {
            tracing::warn!(forgotten, "the oldest dead letters were removed: nobody sent them again");
        }
        Ok(Applied { removed, ..Applied::default() })
    }

    fn reload(&mut self) -> Result<(), MessagingError> {
        let mut subscribers = BTreeMap::<ServiceName, Subscriber>::new();
        let mut statement = self.connection.prepare_cached("SELECT service, patterns FROM subscriptions")?;
        for row in statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))? {
            let (service, patterns) = row?;
            let subscriber = subscribers.entry(from_text(&service)?).or_default();
            subscriber.patterns = from_json(&patterns)?;
        }
        let sql = "SELECT service, count(*) FROM deliveries GROUP BY service";
        let mut statement = self.connection.prepare_cached(sql)?;
        for row in statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?)))? {
            let (service, backlog) = row?;
            subscribers.entry(from_text(&service)?).or_default().backlog = backlog;
        }
        self.subscribers = subscribers;
        let sql = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'messages'";
        self.last_sequence = self.connection.query_row(sql, [], |row| row.get(0))?;
        Ok(())
    }
}

/// Writes a value as JSON text.
pub fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, MessagingError> {
    serde_json::to_string(value).map_err(|error| MessagingError::Unavailable(error.to_string()))
}

/// Reads a value that `to_json` wrote.
pub fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, MessagingError> {
    serde_json::from_str(text).map_err(|error| wrong_content(&error))
}

/// Reads a name.
pub fn from_text<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, MessagingError> {
    text.parse().map_err(|error| wrong_content(&error))
}

fn wrong_content(error: &dyn std::fmt::Display) -> MessagingError {
    MessagingError::Unavailable(format!(
        "the message broker's file holds what this host did not write: {error}"
    ))
}
