//! One statement: values, parameters, answers, errors, limits.

use super::*;

#[tokio::test]
async fn values_come_back_as_they_went() {
    let folder = Folder::new();
    let database = folder.open().await;
    let values = [
        Value::Null,
        Value::Boolean(true),
        Value::Integer(i64::MIN),
        Value::Real(0.5),
        Value::Text("grüß\u{0}gott".into()),
        Value::Blob(vec![0, 255]),
        Value::Blob(Vec::new()),
    ];
    let rows = read(&database, "SELECT $1 AS a, $2, $3, $4, $5, $6, $7", &values).await.unwrap();
    let mut expected = values.to_vec();
    expected[1] = Value::Integer(1);
    assert_eq!(rows.columns[0], "a");
    assert_eq!(rows.rows, vec![expected]);
}

#[tokio::test]
async fn parameters_are_bound_by_number() {
    let folder = Folder::new();
    let database = folder.open().await;
    let ab = [Value::Text("a".into()), Value::Text("b".into())];
    let rows = read(&database, "SELECT $2 || $1 || $2", &ab).await.unwrap().rows;
    assert_eq!(rows[0][0], Value::Text("bab".into()));
    let many: Vec<Value> = (1..=12).map(Value::Integer).collect();
    let sql = "SELECT $12, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11";
    assert_eq!(read(&database, sql, &many).await.unwrap().rows[0][0], Value::Integer(12));
    for (sql, parameters, part) in [
        ("SELECT $1, $3", &ab[..], "`$3`"),
        ("SELECT $1", &ab[..], "`$2`"),
        ("SELECT $1", &[][..], "0 parameters"),
        ("SELECT ?", &ab[..1], "`?`"),
        ("SELECT ?1", &ab[..1], "`?1`"),
        ("SELECT :a", &ab[..1], "`:a`"),
        ("SELECT @a", &ab[..1], "`@a`"),
        ("SELECT $a", &ab[..1], "`$a`"),
        ("SELECT $0", &ab[..1], "`$0`"),
    ] {
        let error = read(&database, sql, parameters).await.unwrap_err();
        let DatabaseError::Statement { message, .. } = &error else { panic!("{sql}: {error:?}") };
        assert!(message.contains(part), "{sql}: {message}");
    }
}

#[tokio::test]
async fn a_statement_is_one_statement() {
    let (_folder, database) = with_table().await;
    for sql in
        ["", "  ", "-- nothing", "/* nothing */", ";", "SELECT 1; SELECT 2", "SELECT 1\u{0}", "SELEC 1"]
    {
        let error = read(&database, sql, &[]).await.unwrap_err();
        assert!(matches!(error, DatabaseError::Statement { .. }), "{sql:?}: {error:?}");
    }
    assert_eq!(read(&database, " SELECT 1; -- the end\n", &[]).await.unwrap().rows.len(), 1);
    let error = read(&database, "  SELECT 1, nowhere", &[]).await.unwrap_err();
    let DatabaseError::Statement { position, message } = error else { panic!("{error:?}") };
    assert!(message.contains("nowhere"), "{message}");
    assert_eq!(position, Some(12));
}

#[tokio::test]
async fn limits_are_named() {
    let (_folder, database) = with_table().await;
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    for sql in [
        endless,
        "SELECT randomblob(17000000)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT randomblob(1000000) FROM n",
    ] {
        let error = read(&database, sql, &[]).await.unwrap_err();
        assert!(matches!(error, DatabaseError::Limit(_)), "{sql}: {error:?}");
    }
    let long = format!("SELECT '{}'", "x".repeat(1024 * 1024));
    let error = read(&database, &long, &[]).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Limit(_)), "{error:?}");
    let deep = format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000));
    assert!(read(&database, &deep, &[]).await.is_err());
    assert_eq!(integer(&database, "SELECT 1").await, 1);
}

#[tokio::test]
async fn a_broken_constraint_is_named() {
    let (_folder, database) = with_table().await;
    run(
        &database,
        "CREATE TABLE c (t INTEGER NOT NULL REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)",
        &[],
    )
    .await
    .unwrap();
    run(&database, "INSERT INTO t VALUES (1, 'a', 1)", &[]).await.unwrap();
    for (sql, expected_kind, expected_name) in [
        ("INSERT INTO t VALUES (1, 'b', 1)", ConstraintKind::PrimaryKey, "t.id"),
        ("INSERT INTO t VALUES (2, 'a', 1)", ConstraintKind::Unique, "t.name"),
        ("INSERT INTO t VALUES (2, 'b', -1)", ConstraintKind::Check, "n >= 0"),
        ("INSERT INTO c VALUES (NULL)", ConstraintKind::NotNull, "c.t"),
        ("INSERT INTO c VALUES (9)", ConstraintKind::ForeignKey, ""),
    ] {
        let error = run(&database, sql, &[]).await.unwrap_err();
        let DatabaseError::Constraint { kind, name } = &error else { panic!("{sql}: {error:?}") };
        assert_eq!((*kind, name.as_str()), (expected_kind, expected_name), "{sql}");
    }
    let mut transaction = begin(&database).await;
    transaction.execute("INSERT INTO c VALUES (9)".into(), vec![]).await.unwrap();
    let error = transaction.commit().await.unwrap_err();
    assert!(matches!(error, DatabaseError::Constraint { kind: ConstraintKind::ForeignKey, .. }), "{error:?}");
    assert_eq!(integer(&database, "SELECT count(*) FROM c").await, 0);
    run(&database, "INSERT INTO c VALUES (1)", &[]).await.unwrap();
}

#[tokio::test]
async fn execute_changes_and_query_reads() {
    let (_folder, database) = with_table().await;
    assert_eq!(run(&database, "INSERT INTO t (id) VALUES (1), (2)", &[]).await.unwrap(), 2);
    assert_eq!(run(&database, "CREATE TABLE z (a)", &[]).await.unwrap(), 0);
    assert_eq!(run(&database, "UPDATE t SET n = 1 WHERE id = 1 RETURNING id", &[]).await.unwrap(), 1);
    let error = run(&database, "SELECT 1", &[]).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Statement { .. }), "{error:?}");
    for sql in ["INSERT INTO t (id) VALUES (3)", "INSERT INTO t (id) VALUES (3) RETURNING id", "DROP TABLE z"]
    {
        let error = read(&database, sql, &[]).await.unwrap_err();
        assert!(matches!(error, DatabaseError::Denied(_)), "{sql}: {error:?}");
    }
    let mut transaction = begin(&database).await;
    let sql = "INSERT INTO t (id, name) VALUES (3, 'c') RETURNING id, name";
    let rows = transaction.query(sql.into(), vec![]).await.unwrap().rows;
    assert_eq!(rows, vec![vec![Value::Integer(3), Value::Text("c".into())]]);
    transaction.commit().await.unwrap();
    assert_eq!(integer(&database, "SELECT count(*) FROM t").await, 3);
}

#[tokio::test]
async fn a_cursor_reads_piece_by_piece() {
    let (_folder, database) = with_table().await;
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) SELECT i FROM n";
    let most = vec![Value::Integer(25_000)];
    let mut cursor = database.open_cursor(sql.into(), most, patience()).await.unwrap();
    assert_eq!(cursor.columns(), ["i"]);
    let (mut sum, mut pieces) = (0, 0);
    loop {
        let rows = cursor.next(5_000).await.unwrap();
        if rows.is_empty() {
            break;
        }
        assert!(rows.len() <= 1_000);
        pieces += 1;
        for row in rows {
            let Value::Integer(integer) = row[0] else { panic!() };
            sum += integer;
        }
    }
    assert_eq!((sum, pieces), (25_000 * 25_001 / 2, 25));
    assert!(cursor.next(1).await.unwrap().is_empty());
    let error = database.open_cursor("DELETE FROM t RETURNING id".into(), vec![], patience()).await;
    let refused = match error {
        Err(error) => error,
        Ok(mut cursor) => cursor.next(1).await.unwrap_err(),
    };
    assert!(matches!(refused, DatabaseError::Denied(_)), "{refused:?}");
}

#[tokio::test]
async fn a_cursor_ends_with_its_deadline_and_gives_its_reader_back() {
    let (_folder, database) = with_table().await;
    for _ in 0..40 {
        drop(database.open_cursor("SELECT 1".into(), vec![], patience()).await.unwrap());
    }
    let soon = Instant::now() + Duration::from_millis(500);
    let mut cursors = Vec::new();
    while let Ok(cursor) = database.open_cursor("SELECT 1".into(), vec![], soon).await {
        cursors.push(cursor);
    }
    assert!(cursors.len() > 4, "{}", cursors.len());
    // All readers are taken until the deadline, then they come back by themselves.
    assert_eq!(integer(&database, "SELECT 1").await, 1);
    let error = cursors[0].next(1).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Limit(_)), "{error:?}");
    let mut endless = database.open_cursor(ENDLESS.into(), vec![], patience()).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), endless.next(1)).await.is_err());
}
