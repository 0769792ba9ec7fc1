//! What guest SQL may touch, and what not.

use super::*;

#[tokio::test]
async fn guest_sql_stays_inside_its_database() {
    let (folder, database) = with_table().await;
    run(&database, "CREATE TABLE u (id INTEGER PRIMARY KEY AUTOINCREMENT)", &[]).await.unwrap();
    let beside = folder.path().join("copy.sqlite");
    let vacuum_into = format!("VACUUM INTO '{}'", beside.display());
    let attempts = [
        "ATTACH DATABASE 'other.sqlite' AS other",
        "ATTACH DATABASE (SELECT 'other.sqlite') AS other",
        "DETACH DATABASE main",
        "VACUUM",
        vacuum_into.as_str(),
        "PRAGMA user_version",
        "PRAGMA main.journal_mode = DELETE",
        "/* a */ pragma/**/writable_schema = 1",
        "SELECT * FROM pragma_table_info('t')",
        "SELECT count(*) FROM pragma_database_list",
        "SELECT load_extension('x.so')",
        "BEGIN",
        "COMMIT",
        "END",
        "ROLLBACK",
        "SAVEPOINT a",
        "RELEASE a",
        "EXPLAIN COMMIT",
        "CREATE TEMP TABLE x (a)",
        "CREATE TEMPORARY VIEW x AS SELECT 1",
        "CREATE TABLE temp.x (a)",
        "CREATE VIEW temp.x AS SELECT 1",
        "CREATE VIRTUAL TABLE temp.x USING fts5 (a)",
        "CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END",
        "SELECT * FROM hostel_outbox",
        "SELECT * FROM HOSTEL_Once",
        "SELECT * FROM \"main\".\"hostel_state\"",
        "SELECT count(*) FROM t WHERE EXISTS (SELECT 1 FROM hostel_outbox)",
        "WITH x AS (SELECT * FROM hostel_once) SELECT * FROM x",
        "INSERT INTO hostel_outbox VALUES (1, 'a', 'b', NULL, '[]', x'')",
        "UPDATE hostel_state SET value = 0",
        "DELETE FROM hostel_once",
        "DROP TABLE hostel_outbox",
        "DROP INDEX hostel_once_by_time",
        "ALTER TABLE hostel_outbox RENAME TO mine",
        "ALTER TABLE t RENAME TO hostel_t",
        "ALTER TABLE t RENAME TO \"Hostel_t\"",
        "CREATE TABLE hostel_mine (a)",
        "CREATE TABLE x AS SELECT * FROM hostel_outbox",
        "CREATE TABLE x (a REFERENCES hostel_outbox (sequence) ON DELETE CASCADE)",
        "ALTER TABLE t ADD COLUMN a REFERENCES hostel_outbox (sequence)",
        "CREATE VIEW x AS SELECT * FROM hostel_outbox",
        "CREATE INDEX x ON hostel_outbox (topic)",
        "CREATE TRIGGER x AFTER INSERT ON t BEGIN DELETE FROM hostel_once; END",
        "CREATE TRIGGER x AFTER DELETE ON hostel_outbox BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE x USING fts5 (topic, content = 'hostel_outbox')",
        "CREATE VIRTUAL TABLE hostel USING fts5 (a)",
        "CREATE VIRTUAL TABLE x USING fts3 (a)",
        "CREATE VIRTUAL TABLE x USING dbstat",
        "SELECT * FROM dbstat",
        "UPDATE sqlite_sequence SET seq = 7",
    ];
    for sql in attempts {
        let Err(error) = run(&database, sql, &[]).await else { panic!("{sql} was allowed") };
        let DatabaseError::Denied(rule) = &error else { panic!("{sql}: {error:?}") };
        assert!(rule.starts_with("not allowed: "), "{sql}: {rule}");
        let Err(error) = read(&database, sql, &[]).await else { panic!("{sql} was allowed on a reader") };
        assert!(matches!(error, DatabaseError::Denied(_)), "{sql}: {error:?}");
    }
    assert!(!beside.exists());
    // A table of the schema is SQLite's own to write.
    assert!(run(&database, "DELETE FROM sqlite_master", &[]).await.is_err());
    assert!(run(&database, "UPDATE sqlite_schema SET sql = ''", &[]).await.is_err());
    assert_eq!(integer(&database, "SELECT count(*) FROM sqlite_schema WHERE name = 't'").await, 1);
    assert!(!folder.path().join("other.sqlite").exists());
}

#[tokio::test]
async fn a_textual_commit_in_a_transaction_ends_nothing() {
    let (_folder, database) = with_table().await;
    let mut transaction = begin(&database).await;
    transaction.execute("INSERT INTO t (id) VALUES (1)".into(), vec![]).await.unwrap();
    for sql in ["COMMIT", "ROLLBACK", "; COMMIT", "SELECT 1; COMMIT"] {
        assert!(transaction.execute(sql.into(), vec![]).await.is_err(), "{sql}");
    }
    transaction.rollback().await.unwrap();
    assert_eq!(integer(&database, "SELECT count(*) FROM t").await, 0);
}

#[tokio::test]
async fn what_a_service_needs_is_allowed() {
    let (_folder, database) = with_table().await;
    for sql in [
        "CREATE VIRTUAL TABLE words USING fts5 (text)",
        "INSERT INTO words VALUES ('a quick fox'), ('a lazy dog')",
        "CREATE VIRTUAL TABLE boxes USING rtree (id, x0, x1)",
        "INSERT INTO boxes VALUES (1, 0, 10)",
        "CREATE VIEW names AS SELECT name FROM t",
        "CREATE INDEX t_n ON t (n)",
        "CREATE TRIGGER t_insert AFTER INSERT ON t BEGIN INSERT INTO words VALUES (new.name); END",
        "INSERT INTO t (name, n) VALUES ('fox', 1)",
        "CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, hostel TEXT)",
        "INSERT INTO counted (hostel) VALUES ('hostel_bed')",
        "ALTER TABLE counted RENAME COLUMN hostel TO name",
        "ALTER TABLE counted ADD COLUMN more",
        "ALTER TABLE counted RENAME TO counts",
        "ANALYZE",
        "REINDEX t",
        "DROP TABLE counts",
        "DROP TABLE words",
        "DROP TRIGGER t_insert",
    ] {
        run(&database, sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    assert_eq!(integer(&database, "SELECT count(*) FROM boxes WHERE x1 >= 5").await, 1);
    assert_eq!(integer(&database, "SELECT sum(value) FROM json_each('[1, 2]')").await, 3);
    assert_eq!(integer(&database, "SELECT count(*) FROM sqlite_stat1 WHERE tbl LIKE 'hostel%'").await, 0);
}
