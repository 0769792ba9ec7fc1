//! Guest SQL that tries to leave its database, parameters, and transactions used as they should not be.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::limits::probe;
use crate::support::client::Client;
use crate::support::host::Host;

/// The ways to run a statement.
const WAYS: [&str; 4] = ["query", "execute", "transaction", "cursor"];

/// What no service may do, whichever way it tries.
const DENIED: &[&str] = &[
    "ATTACH DATABASE '{file}' AS other",
    "DETACH DATABASE main",
    "VACUUM",
    "VACUUM INTO '{file}'",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA user_version",
    "pragma/**/writable_schema = 1",
    "SELECT * FROM pragma_table_info('notes')",
    "BEGIN IMMEDIATE",
    "COMMIT",
    "/* a comment */ commit",
    "-- a comment\nEND TRANSACTION",
    "ROLLBACK",
    "SAVEPOINT a",
    "RELEASE a",
    "SELECT * FROM hostel_once",
    "SELECT * FROM main.\"HOSTEL_OUTBOX\"",
    "SELECT (SELECT count(*) FROM hostel_outbox) FROM notes",
    "INSERT INTO hostel_outbox (topic, id, headers, body) VALUES ('a', 'b', '', '')",
    "DELETE FROM hostel_once",
    "DROP TABLE hostel_once",
    "CREATE TABLE hostel_mine (id INTEGER)",
    "ALTER TABLE notes RENAME TO hostel_notes",
    "CREATE TRIGGER grab AFTER INSERT ON hostel_outbox BEGIN DELETE FROM notes; END",
    "CREATE TEMP TABLE mine (id INTEGER)",
    "CREATE TEMP VIEW mine AS SELECT 1",
];

/// What fails as well, by a rule of the host or as SQLite sees it.
const FAILING: &[&str] = &[
    "SELECT load_extension('{file}')",
    "SELECT readfile('{file}')",
    "UPDATE sqlite_schema SET sql = ''",
    "SELECT * FROM dbstat",
    "SELECT 1; COMMIT",
    "; COMMIT",
    "CREATE VIRTUAL TABLE files USING fsdir",
    "no SQL at all",
    "",
];

#[tokio::test(flavor = "multi_thread")]
async fn sql_does_not_leave_its_database() {
    let host = Host::start(&probe("probe", "")).await;
    let client = host.client();
    let file = host.path("escaped.db");
    for (statements, allowed) in [(DENIED, &["denied"][..]), (FAILING, &["denied", "statement"][..])] {
        for (sql, way) in statements.iter().flat_map(|sql| WAYS.map(|way| (sql, way))) {
            let sql = sql.replace("{file}", &file.display().to_string());
            let body = run(&client, way, &sql, json!([])).await;
            let kind = body["error"].as_str().unwrap_or("done");
            assert!(allowed.contains(&kind), "{way} of {sql:?}: {body}");
            assert_ne!(body["text"], "", "{way} of {sql:?}: {body}");
        }
        assert_eq!(client.get("/probe/ok").await.status, 200);
    }
    assert!(!file.exists(), "a file was written outside of the database");
    let body = run(&client, "execute", "INSERT INTO notes (text) VALUES ('still here')", json!([])).await;
    assert_eq!(body["done"], 1, "{body}");
    host.logged("ATTACH").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_bound_by_their_numbers() {
    let host = Host::start(&probe("probe", "")).await;
    let client = host.client();
    let bound = [
        ("SELECT $2 || '-' || $1", json!(["a", "b"]), json!([["b-a"]])),
        ("SELECT $1 || $1", json!(["a"]), json!([["aa"]])),
        ("SELECT $3, $1, $2", json!([1, null, true]), json!([[1, 1, null]])),
        ("SELECT $1 + 0.5", json!([1.25]), json!([[1.75]])),
    ];
    for (sql, parameters, rows) in bound {
        for way in ["query", "cursor"] {
            let body = run(&client, way, sql, parameters.clone()).await;
            assert_eq!(body["done"], rows, "{way} of {sql:?}: {body}");
        }
    }
    let wrong = [
        ("SELECT $1, $2", json!(["a"])),
        ("SELECT $1", json!(["a", "b"])),
        ("SELECT $2", json!(["a", "b"])),
        ("SELECT $0", json!(["a"])),
        ("SELECT ?", json!(["a"])),
        ("SELECT ?1", json!(["a"])),
        ("SELECT :name", json!(["a"])),
        ("SELECT $name", json!(["a"])),
    ];
    for (sql, parameters) in wrong {
        let body = run(&client, "query", sql, parameters).await;
        assert_eq!(body["error"], "statement", "{sql:?}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_of_the_kind_that_code_can_act_on() {
    let host = Host::start(&probe("probe", "")).await;
    let client = host.client();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    let insert = "INSERT INTO notes (id, text) VALUES (7, 'seven')";
    let steps = [
        ("execute", insert, json!({ "done": 1 })),
        ("execute", insert, json!({ "error": "constraint" })),
        ("transaction", insert, json!({ "error": "constraint" })),
        ("execute", "INSERT INTO notes (text) VALUES (NULL)", json!({ "error": "constraint" })),
        ("query", "INSERT INTO notes (text) VALUES ('by a query')", json!({ "error": "denied" })),
        ("execute", "SELECT 1", json!({ "error": "statement" })),
        ("query", "SELECT * FROM nowhere", json!({ "error": "statement" })),
        ("query", endless, json!({ "error": "limit" })),
        ("cursor", endless, json!({ "done": [[1], [2], [3]] })),
        ("query", "SELECT id, text FROM notes", json!({ "done": [[7, "seven"]] })),
    ];
    for (way, sql, expected) in steps {
        let body = run(&client, way, sql, json!([])).await;
        for key in ["done", "error"] {
            assert_eq!(body[key], expected[key], "{way} of {sql:?}: {body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_ends_with_its_call() {
    let host = Host::start(&probe("probe", "instances = { max = 1 }")).await;
    let client = host.client();
    for round in 0..3 {
        assert_eq!(client.get("/probe/keep?text=kept").await.status, 200);
        // The writer is free again, and what was written is gone.
        let body = run(&client, "execute", "INSERT INTO notes (text) VALUES ('between')", json!([])).await;
        assert_eq!(body["done"], 1, "round {round}: {body}");
        assert_eq!(noted(&client, "kept").await, 0);
        let body = client.get("/probe/use-kept").await.body;
        assert_eq!(body["error"], "denied", "{body}");
        assert!(body["text"].as_str().unwrap().contains("ended"), "{body}");
        assert_eq!(noted(&client, "too late").await, 0);
    }
    assert_eq!(client.get("/probe/ok").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn misused_transactions_fail_at_once_and_name_the_rule() {
    let config =
        probe("probe", "calls = [\"innocent\"]\nsubscribes = [\"probe.*\"]") + &probe("innocent", "");
    let host = Host::start(&config).await;
    let client = host.client();
    let cases = [
        ("begin-twice", "denied", "at most one read-write transaction"),
        ("execute-beside", "denied", "transaction"),
        ("call-inside", "unreachable", "while a read-write transaction is open"),
        ("request-inside", "denied", "while a read-write transaction is open"),
        ("publish-read-only", "denied", "read-only transaction"),
        ("write-read-only", "denied", "read"),
        ("this-delivery", "denied", "this-delivery"),
    ];
    for (path, kind, rule) in cases {
        let answer = client.get(&format!("/probe/{path}")).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(answer.body["error"], kind, "{path}: {answer:?}");
        let text = answer.body["text"].as_str().unwrap();
        assert!(text.contains(rule), "{path}: {rule:?} is not in {text:?}");
        assert_eq!(client.get("/probe/ok").await.status, 200, "{path}");
    }
    assert_eq!(noted(&client, "first").await, 1, "the first transaction was as good as before");
    for text in ["beside", "read-only"] {
        assert_eq!(noted(&client, text).await, 0, "{text}");
    }
    // The same doings are allowed outside of a transaction.
    assert_eq!(client.get("/probe/sibling?name=innocent").await.body["done"], 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_begins_once_happens_once() {
    let host = Host::start(&probe("probe", "")).await;
    let client = host.client();
    let mut calls = JoinSet::new();
    for _ in 0..16 {
        let client = client.clone();
        calls.spawn(async move { client.get("/probe/once?key=same").await });
    }
    let answers = calls.join_all().await;
    let done = answers.iter().filter(|answer| answer.body["done"] == true).count();
    let not_again = answers.iter().filter(|answer| answer.body["done"] == false).count();
    assert_eq!((done, not_again), (1, 15), "{answers:?}");
    assert_eq!(noted(&client, "same").await, 1);
    assert_eq!(client.get("/probe/once?key=other").await.body["done"], true);
}

async fn run(client: &Client, way: &str, sql: &str, parameters: Value) -> Value {
    let order = json!({ "sql": sql, "parameters": parameters, "run": way });
    let answer = client.post("/probe/sql", &order).await;
    assert_eq!(answer.status, 200, "{way} of {sql:?}: {answer:?}");
    answer.body
}

/// How many notes have this text.
async fn noted(client: &Client, text: &str) -> i64 {
    // A blank is a plus in a query.
    let answer = client.get(&format!("/probe/notes?text={}", text.replace(' ', "+"))).await;
    answer.body["done"].as_i64().unwrap_or_else(|| panic!("{answer:?}"))
}
