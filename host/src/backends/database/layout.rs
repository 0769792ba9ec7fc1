//! The host's own tables in a service's database.

use crate::backends::sqlite::Kind;

/// A service's database file.
pub const KIND: Kind = Kind { name: "service database", id: 0x4873_4462, version: 1, layout: LAYOUT };

/// The key under which the last sequence removed from the outbox is kept.
pub const OUTBOX_REMOVED: &str = "outbox-removed";

const LAYOUT: &str = "
CREATE TABLE hostel_state (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE hostel_migrations (position INTEGER PRIMARY KEY, digest TEXT NOT NULL, applied_ms INTEGER NOT NULL);
CREATE TABLE hostel_once (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    committed_ms INTEGER NOT NULL,
    PRIMARY KEY (scope, key)
) WITHOUT ROWID;
CREATE INDEX hostel_once_by_time ON hostel_once (committed_ms);
CREATE TABLE hostel_outbox (
    sequence INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    id TEXT NOT NULL,
    key TEXT,
    headers TEXT NOT NULL,
    body BLOB NOT NULL
);
";
