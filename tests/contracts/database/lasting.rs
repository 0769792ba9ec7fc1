//! What lasts: the outbox, migrations, and the file itself.

use super::*;

#[tokio::test]
async fn the_outbox_holds_what_was_committed_and_nothing_else() {
    let (folder, database) = with_table().await;
    let topic = "order.placed".parse().unwrap();
    let mut given_up = begin(&database).await;
    given_up.publish(&topic, message("never")).await.unwrap();
    given_up.rollback().await.unwrap();
    let mut transaction = begin(&database).await;
    let id = transaction.publish(&topic, message("first")).await.unwrap();
    let given =
        Message { id: Some("mine".into()), headers: vec![("a".into(), "b".into())], ..message("second") };
    assert_eq!(transaction.publish(&topic, given.clone()).await.unwrap(), "mine");
    assert!(database.outbox().read(0, 10).await.unwrap().is_empty());
    transaction.commit().await.unwrap();

    let outbox = database.outbox();
    tokio::time::timeout(PATIENCE, outbox.wait()).await.unwrap();
    let entries = outbox.read(0, 10).await.unwrap();
    assert_eq!(entries.len(), 2);
    let expected = Message { id: Some(id), ..message("first") };
    assert_eq!(
        entries[0],
        OutboxEntry { sequence: entries[0].sequence, topic: topic.clone(), message: expected }
    );
    assert_eq!(entries[1].message, given);
    assert!(entries[0].sequence < entries[1].sequence);
    assert_eq!(outbox.read(entries[0].sequence, 10).await.unwrap(), entries[1..]);
    outbox.remove_through(entries[0].sequence).await.unwrap();
    drop((outbox, database));

    // Begun anew, what was not removed is still there, and no sequence comes twice.
    let database = folder.open().await;
    let outbox = database.outbox();
    tokio::time::timeout(PATIENCE, outbox.wait()).await.unwrap();
    assert_eq!(outbox.read(0, 10).await.unwrap(), entries[1..]);
    outbox.remove_through(entries[1].sequence).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(20), outbox.wait()).await.is_err());
    let mut transaction = begin(&database).await;
    transaction.publish(&topic, message("third")).await.unwrap();
    transaction.commit().await.unwrap();
    assert!(outbox.read(entries[1].sequence, 10).await.unwrap()[0].sequence > entries[1].sequence);
}

#[tokio::test]
async fn migrations_are_applied_once_and_in_one_transaction() {
    let folder = Folder::new();
    let database = folder.open().await;
    let first =
        "CREATE TABLE a (x PRIMARY KEY); CREATE TABLE b (y REFERENCES a (x)); INSERT INTO a VALUES (1);"
            .to_owned();
    let second = "INSERT INTO a VALUES (2)".to_owned();
    // Asked in between, then given up: nothing of it stays.
    let mut trial = database.migrate(vec![first.clone()], patience()).await.unwrap();
    assert_eq!(trial.query("SELECT count(*) FROM a".into(), vec![]).await.unwrap().rows.len(), 1);
    trial.rollback().await.unwrap();
    assert!(read(&database, "SELECT * FROM a", &[]).await.is_err());

    database.migrate(vec![first.clone()], patience()).await.unwrap().commit().await.unwrap();
    for _ in 0..2 {
        let both = vec![first.clone(), second.clone()];
        database.migrate(both, patience()).await.unwrap().commit().await.unwrap();
    }
    // An older version knows fewer of them.
    database.migrate(vec![first.clone()], patience()).await.unwrap().commit().await.unwrap();
    assert_eq!(integer(&database, "SELECT sum(x) FROM a").await, 3);

    for (scripts, part) in [
        (vec![first.clone() + " ", second.clone()], "migration 0: it was applied before"),
        (vec![first.clone(), second.clone(), "CREATE TABLE c (x); SELEC".into()], "migration 2: "),
        (
            vec![first.clone(), second.clone(), "CREATE TABLE c (x); COMMIT".into()],
            "migration 2: not allowed",
        ),
        (vec![first.clone(), second.clone(), "DROP TABLE hostel_outbox".into()], "migration 2: not allowed"),
        (vec![first.clone(), second.clone(), "PRAGMA user_version = 9".into()], "migration 2: not allowed"),
        (
            vec![first.clone(), second.clone(), "ALTER TABLE a RENAME TO hostel_a".into()],
            "migration 2: not allowed",
        ),
    ] {
        let Err(error) = database.migrate(scripts, patience()).await else { panic!("{part}") };
        assert!(error.to_string().starts_with(part), "{error}");
        assert!(read(&database, "SELECT * FROM c", &[]).await.is_err());
    }
    let soon = Instant::now() + Duration::from_millis(100);
    let endless = vec![first, second, format!("INSERT INTO a {ENDLESS}")];
    let Err(error) = database.migrate(endless, soon).await else { panic!() };
    assert!(matches!(&error, DatabaseError::Limit(text) if text.contains("time")), "{error:?}");
    assert_eq!(integer(&database, "SELECT sum(x) FROM a").await, 3);
}

#[tokio::test]
async fn a_damaged_file_is_refused_by_name() {
    let (folder, database) = with_table().await;
    for id in 0..200 {
        let row = [Value::Integer(id), Value::Text("x".repeat(500))];
        run(&database, "INSERT INTO t (id, name) VALUES ($1, $2 || $1)", &row).await.unwrap();
    }
    drop(database);
    // Closed by the last connection, everything lies in the one file.
    let whole = closed(&folder.file());
    for damage in [
        Vec::new(),
        whole[..50].to_vec(),
        whole[..whole.len() / 2].to_vec(),
        [vec![0xAA; 4096], whole[4096..].to_vec()].concat(),
        [whole[..8192].to_vec(), vec![0xAA; 4096], whole[12288..].to_vec()].concat(),
        b"this is text".repeat(1000),
    ] {
        std::fs::write(folder.file(), damage).unwrap();
        let error = folder.refusal().await;
        assert!(error.contains(FILE_NAME), "{error}");
    }
    std::fs::write(folder.file(), &whole).unwrap();
    assert_eq!(integer(&folder.open().await, "SELECT count(*) FROM t").await, 200);
}

#[tokio::test]
async fn a_file_of_another_version_is_refused() {
    let (folder, database) = with_table().await;
    drop(database);
    let mut bytes = closed(&folder.file());
    // The user version stands at offset 60 of a SQLite file, the application id at 68.
    bytes[60..64].copy_from_slice(&7_i32.to_be_bytes());
    std::fs::write(folder.file(), &bytes).unwrap();
    let error = folder.refusal().await;
    assert!(error.contains("version 7") && error.contains(FILE_NAME), "{error}");
    bytes[68..72].copy_from_slice(&1_i32.to_be_bytes());
    std::fs::write(folder.file(), &bytes).unwrap();
    assert!(folder.refusal().await.contains("no service database"));
}

/// The content of a database file whose last connection was closed, which removes the log.
fn closed(file: &Path) -> Vec<u8> {
    assert!(!file.with_extension("sqlite-wal").exists(), "the database stays open");
    std::fs::read(file).unwrap()
}
