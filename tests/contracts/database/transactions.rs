//! Transactions: who waits for whom, how long, and what stays.

use super::*;

#[tokio::test]
async fn a_dropped_transaction_frees_the_writer() {
    let (_folder, database) = with_table().await;
    for _ in 0..3 {
        let mut transaction = begin(&database).await;
        transaction.execute("INSERT INTO t (id) VALUES (1)".into(), vec![]).await.unwrap();
        drop(transaction);
    }
    run(&database, "INSERT INTO t (id) VALUES (2)", &[]).await.unwrap();
    assert_eq!(integer(&database, "SELECT group_concat(id) = '2' FROM t").await, 1);
}

#[tokio::test]
async fn a_call_broken_off_in_a_statement_frees_the_writer_at_once() {
    let (_folder, database) = with_table().await;
    let mut transaction = begin(&database).await;
    transaction.execute("INSERT INTO t (id) VALUES (1)".into(), vec![]).await.unwrap();
    {
        let endless = transaction.query(ENDLESS.into(), vec![]);
        assert!(tokio::time::timeout(Duration::from_millis(50), endless).await.is_err());
    }
    let error = transaction.execute("INSERT INTO t (id) VALUES (2)".into(), vec![]).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Conflict(_)), "{error:?}");
    // The deadline of that transaction is far away: only the interruption can have freed the writer.
    let soon = Instant::now() + Duration::from_secs(5);
    database.execute("INSERT INTO t (id) VALUES (3)".into(), vec![], soon).await.unwrap();
    assert_eq!(integer(&database, "SELECT group_concat(id) = '3' FROM t").await, 1);
    assert!(transaction.commit().await.is_err());
}

#[tokio::test]
async fn nothing_holds_the_writer_beyond_its_deadline() {
    let (_folder, database) = with_table().await;
    let soon = || Instant::now() + Duration::from_millis(100);
    let error = database.query(ENDLESS.into(), vec![], soon()).await.unwrap_err();
    assert!(matches!(&error, DatabaseError::Limit(text) if text.contains("time")), "{error:?}");
    let mut transaction = database.begin(Mode::ReadWrite, soon()).await.unwrap();
    let error = transaction.execute(format!("INSERT INTO t (n) {ENDLESS}"), vec![]).await.unwrap_err();
    assert!(matches!(&error, DatabaseError::Limit(text) if text.contains("time")), "{error:?}");
    // This one is kept and never used, as by a guest that leaves it in a static.
    let kept = database.begin(Mode::ReadWrite, soon()).await.unwrap();
    let waited = database.begin(Mode::ReadWrite, Instant::now()).await;
    assert!(matches!(waited, Err(DatabaseError::Limit(_))));
    run(&database, "INSERT INTO t (id) VALUES (1)", &[]).await.unwrap();
    let error = kept.commit().await.unwrap_err();
    assert!(matches!(&error, DatabaseError::Limit(text) if text.contains("deadline")), "{error:?}");
}

#[tokio::test]
async fn a_read_only_transaction_is_a_snapshot_and_takes_no_writer() {
    let (_folder, database) = with_table().await;
    let mut snapshot = database.begin(Mode::ReadOnly, patience()).await.unwrap();
    run(&database, "INSERT INTO t (id) VALUES (1)", &[]).await.unwrap();
    let rows = snapshot.query("SELECT count(*) FROM t".into(), vec![]).await.unwrap().rows;
    assert_eq!(rows[0][0], Value::Integer(0));
    for sql in ["INSERT INTO t (id) VALUES (2)", "DROP TABLE t"] {
        let error = snapshot.execute(sql.into(), vec![]).await.unwrap_err();
        assert!(matches!(error, DatabaseError::Denied(_)), "{sql}: {error:?}");
    }
    let error = snapshot.publish(&"a.b".parse().unwrap(), message("x")).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Denied(_)), "{error:?}");
    snapshot.commit().await.unwrap();
}

#[tokio::test]
async fn insert_or_rollback_ends_the_transaction_for_good() {
    let (_folder, database) = with_table().await;
    let mut transaction = begin(&database).await;
    transaction.execute("INSERT INTO t (id) VALUES (1)".into(), vec![]).await.unwrap();
    let sql = "INSERT OR ROLLBACK INTO t (id) VALUES (1)";
    assert!(transaction.execute(sql.into(), vec![]).await.is_err());
    // Outside of a transaction SQLite would commit this by itself.
    let error = transaction.execute("INSERT INTO t (id) VALUES (2)".into(), vec![]).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Conflict(_)), "{error:?}");
    assert!(transaction.commit().await.is_err());
    assert_eq!(integer(&database, "SELECT count(*) FROM t").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn begin_once_happens_once_under_many_callers() {
    let (_folder, database) = with_table().await;
    let callers: Vec<_> = (0..32)
        .map(|caller| {
            let database = database.clone();
            tokio::spawn(async move {
                let Some(mut transaction) = database.begin_once(named("a"), patience()).await.unwrap() else {
                    return 0;
                };
                transaction.execute("UPDATE t SET n = n + 1".into(), vec![]).await.unwrap();
                // The first ones give up, so that the key is not taken until one commits.
                if caller % 2 == 0 {
                    transaction.rollback().await.unwrap()
                } else {
                    transaction.commit().await.unwrap()
                }
                caller % 2
            })
        })
        .collect();
    run(&database, "INSERT INTO t VALUES (1, NULL, 0)", &[]).await.unwrap();
    let mut commits = 0;
    for caller in callers {
        commits += caller.await.unwrap();
    }
    assert_eq!(commits, 1);
    assert!(database.begin_once(named("a"), patience()).await.unwrap().is_none());
    assert!(database.begin_once(named("b"), patience()).await.unwrap().is_some());
    let elsewhere = OnceKey { scope: "other".into(), key: "a".into() };
    assert!(database.begin_once(elsewhere, patience()).await.unwrap().is_some());
    assert_eq!(database.sweep().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn commits_that_wait_share_one_sync() {
    let (folder, database) = with_table().await;
    let before = database.counters();
    let inserts: Vec<_> = (0..200)
        .map(|id| {
            let database = database.clone();
            tokio::spawn(async move {
                run(&database, "INSERT INTO t (id) VALUES ($1)", &[Value::Integer(id)]).await.unwrap();
            })
        })
        .collect();
    for insert in inserts {
        insert.await.unwrap();
    }
    let after = database.counters();
    assert_eq!(after.commits - before.commits, 200);
    assert!(after.syncs - before.syncs < 200, "{after:?}");
    drop(database);
    assert_eq!(integer(&folder.open().await, "SELECT count(*) FROM t").await, 200);
}
