//! What operators do: the command, the admin API, metrics, logs, and how a host stops.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

use crate::support::client::Client;
use crate::support::guests::component;
use crate::support::host::Host;

/// Long enough for a slow machine, short enough for a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A host that is ready at once, since it has nothing to compile.
const IDLE: &str = "[services.idle]\n";

/// Every verb.
const VERBS: [&str; 13] = [
    "keys",
    "up",
    "build",
    "check",
    "deploy",
    "rollback",
    "versions",
    "services",
    "instances",
    "routes",
    "logs",
    "cache",
    "messages",
];

/// The verbs that speak to a running host.
const REMOTE: [&[&str]; 10] = [
    &["keys", "list"],
    &["deploy", "idle", "gateway.toml"],
    &["rollback", "idle"],
    &["versions", "idle"],
    &["services"],
    &["instances"],
    &["routes"],
    &["logs", "idle"],
    &["cache", "purge"],
    &["messages"],
];

/// Every call of the admin API, and whether it needs the token.
const CALLS: [(&str, &str, bool); 21] = [
    ("get", "/health", false),
    ("get", "/ready", false),
    ("get", "/metrics", false),
    ("get", "/routes", true),
    ("post", "/reload", true),
    ("get", "/services", true),
    ("get", "/services/{service}", true),
    ("get", "/services/{service}/instances", true),
    ("get", "/services/{service}/versions", true),
    ("post", "/services/{service}/versions", true),
    ("post", "/services/{service}/rollback", true),
    ("get", "/services/{service}/logs", true),
    ("post", "/cache/purge", true),
    ("get", "/messages", true),
    ("get", "/messages/dead", true),
    ("get", "/messages/dead/{domain}/{sequence}", true),
    ("post", "/messages/dead/{domain}/{sequence}/again", true),
    ("get", "/keys", true),
    ("post", "/keys", true),
    ("delete", "/keys/{id}", true),
    ("post", "/token", true),
];

#[test]
fn every_command_has_help_with_an_example() {
    let host = Host::prepare(IDLE);
    let (code, overview, _) = host.run(&["--help"]);
    assert_eq!(code, Some(0));
    let dead_letters = ["list", "dead", "show", "again"].map(|what| vec!["messages", what]);
    for words in VERBS.map(|verb| vec![verb]).into_iter().chain(dead_letters) {
        assert!(overview.contains(&format!("\n  {} ", words[0])), "{words:?}\n{overview}");
        let arguments: Vec<_> = words.iter().copied().chain(["--help"]).collect();
        let (code, help, _) = host.run(&arguments);
        assert_eq!(code, Some(0), "{words:?}");
        assert!(help.contains(&format!("Example:\n  hostel {}", words[0])), "{words:?}\n{help}");
    }
}

#[test]
fn wrong_use_exits_2_and_says_what_is_right() {
    let host = Host::prepare(IDLE);
    for (arguments, word) in [
        (&["nothing"] as &[&str], "unrecognized subcommand"),
        (&[], "Usage"),
        (&["deploy", "idle"], "<FILE>"),
        (&["rollback", "idle", "--to", "latest"], "v3"),
        (&["logs", "idle", "-n", "some"], "invalid value"),
        (&["messages", "show", "default"], "<NUMBER>"),
        (&["up", "--fast"], "--fast"),
    ] {
        let (code, output, errors) = host.run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(word) && output.is_empty(), "{arguments:?}: {errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_running_host_the_command_says_how_to_start_one() {
    let mut host = Host::prepare(IDLE);
    let refused = |host: &Host| {
        for arguments in REMOTE {
            let (code, output, errors) = host.run(arguments);
            assert_eq!(code, Some(1), "{arguments:?}: {errors}");
            assert!(errors.contains("`hostel up`") && output.is_empty(), "{arguments:?}: {errors}");
        }
    };
    refused(&host);
    host.launch().await;
    assert_eq!(host.run(&["services"]).0, Some(0));
    host.kill();
    refused(&host);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_shown_to_people_and_to_programs() {
    let host = probe().await;
    assert_eq!(host.client().get("/probe/ok").await.status, 200);
    let services = host.run_json(&["services"]);
    assert_eq!(
        (&services[0]["name"], &services[0]["health"]),
        (&json!("probe"), &json!("healthy")),
        "{services}"
    );
    let instances = host.run_json(&["instances", "probe"]);
    let has_worked = |instance: &Value| instance["calls"].as_u64().is_some_and(|calls| calls > 0);
    assert!(instances.as_array().unwrap().iter().any(has_worked), "{instances}");
    assert!(host.run_json(&["instances"]).is_array());
    let routes = host.run_json(&["routes"]);
    assert_eq!(
        (&routes[0]["path"], &routes[0]["service"]),
        (&json!("/probe/{*rest}"), &json!("probe")),
        "{routes}"
    );
    let versions = host.run_json(&["versions", "probe"]);
    assert_eq!(
        (&versions["active"], versions["versions"].as_array().unwrap().len()),
        (&json!(1), 1),
        "{versions}"
    );
    let messages = host.run_json(&["messages"]);
    assert_eq!(
        (&messages[0]["domain"], &messages[0]["subscriptions"][0]["service"]),
        (&json!("default"), &json!("probe"))
    );
    assert_eq!(host.run_json(&["messages", "dead"]), json!([]));
    for (arguments, words) in [
        (&["services"] as &[&str], ["SERVICE", "probe"]),
        (&["instances"], ["INSTANCE", "idle"]),
        (&["routes"], ["PATH", "/probe/{*rest}"]),
        (&["versions", "probe"], ["VERSION", "v1"]),
        (&["messages"], ["SUBSCRIBER", "probe.*"]),
    ] {
        let (code, output, errors) = host.run(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {errors}");
        assert!(words.iter().all(|word| output.contains(word)), "{arguments:?}: {output}");
    }
    for arguments in [["versions", "nobody"], ["instances", "nobody"], ["logs", "nobody"]] {
        let (code, _, errors) = host.run(&arguments);
        assert!(code == Some(1) && errors.contains("nobody"), "{arguments:?}: {errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_show_what_a_guest_prints() {
    let host = probe().await;
    assert_eq!(host.client().get("/probe/print?lines=3").await.status, 200);
    let lines = eventually("the lines are there", async || {
        let (_, output, _) = host.run(&["logs", "probe"]);
        output.contains("probe line 3").then_some(output)
    });
    let lines = lines.await;
    assert!(lines.contains("probe line 1") && lines.contains("probe line 2"), "{lines}");
    let (_, last, _) = host.run(&["logs", "probe", "-n", "1", "--json"]);
    let last: Value = serde_json::from_str(&last).unwrap();
    for member in ["at", "level", "service", "version", "instance", "message", "trace"] {
        assert!(!last[member].is_null(), "{member}: {last}");
    }
    let mut follow = tokio::process::Command::from(host.command(&["logs", "probe", "--follow", "-n", "0"]));
    let mut follow = follow.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    let client = host.client();
    // Requests go on until one comes after the command has begun to listen.
    let asking = tokio::spawn(async move {
        loop {
            assert_eq!(client.get("/probe/print").await.status, 200);
        }
    });
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("nothing is followed");
    asking.abort();
    let line = line.unwrap().unwrap();
    assert!(line.contains("probe line 1"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_api_is_for_bearers_of_the_token_only() {
    let host = Host::start(IDLE).await;
    let address = fs::read_to_string(host.path("data/admin-address")).unwrap();
    let stranger = Client::new(&format!("http://{address}"));
    let document = stranger.get("/openapi.json").await;
    assert_eq!(
        (document.status, document.body["openapi"].as_str().map(|text| text.starts_with("3."))),
        (200, Some(true))
    );
    let described = document.body["paths"].as_object().unwrap();
    let count: usize = described.values().map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(count, CALLS.len(), "{:?}", described.keys());
    for (method, path, needs_token) in CALLS {
        let call = &described.get(path).unwrap_or_else(|| panic!("{path} is not described"))[method];
        assert_eq!(call["security"].is_array(), needs_token, "{method} {path}: {call}");
        let path =
            path.replace("{sequence}", "1").replace("{service}", "idle").replace("{domain}", "default");
        let request = stranger.request(method.to_uppercase().parse().unwrap(), &path);
        let answer = stranger.send(request).await;
        match needs_token {
            // Somebody who guesses is slowed down.
            true => assert!([401, 429].contains(&answer.status), "{method} {path}: {answer:?}"),
            false => assert_eq!(answer.status, 200, "{method} {path}: {answer:?}"),
        }
    }
    let wrong = stranger.clone().with_token("wrong");
    eventually("a wrong token is refused as such", async || {
        (wrong.get("/services").await.status == 401).then_some(())
    })
    .await;
    eventually("the token is taken", async || {
        (host.admin().get("/services").await.status == 200).then_some(())
    })
    .await;
    for (name, status) in [("evil.example", 421), (address.as_str(), 200), ("localhost:9090", 200)] {
        for path in ["/services", "/health", "/openapi.json"] {
            let request = host.admin().request(Method::GET, path).header("host", name);
            assert_eq!(host.admin().send(request).await.status, status, "{name} {path}");
        }
    }
    for path in ["/health", "/ready"] {
        assert_eq!(stranger.get(path).await.body, json!({ "status": "ok" }), "{path}");
    }
    assert_eq!(host.admin().get("/nothing").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_of_every_part_with_service_and_version() {
    let host = probe().await;
    let client = host.client();
    assert_eq!(client.get("/probe/ok").await.status, 200);
    assert_eq!(client.get("/probe/trap").await.status, 502);
    assert_eq!(client.get("/probe/publish?topic=probe.work&body=done").await.status, 200);
    let metrics = async || {
        let Value::String(text) = host.admin().get("/metrics").await.body else { panic!("metrics are text") };
        text.contains("hostel_deliveries_total{").then_some(text)
    };
    let text = eventually("the message is delivered", metrics).await;
    for (name, labels) in [
        (
            "hostel_requests_total",
            &["version=\"v1\"", "route=\"/probe/{*rest}\"", "status=\"200\"", "method=\"GET\""] as &[&str],
        ),
        ("hostel_requests_total", &["status=\"502\""]),
        ("hostel_request_duration_seconds_bucket", &["version=\"v1\"", "le=\"0.5\""]),
        ("hostel_request_duration_seconds_count", &["version=\"v1\""]),
        ("hostel_instances", &["version=\"v1\""]),
        ("hostel_queue_length", &["version=\"v1\""]),
        ("hostel_guest_failures_total", &["version=\"v1\"", "reason=\"trap\""]),
        ("hostel_database_duration_seconds_bucket", &["version=\"v1\"", "outcome=\"ok\""]),
        ("hostel_messages_published_total", &["version=\"v1\""]),
        ("hostel_deliveries_total", &["version=\"v1\""]),
        ("hostel_backlog", &["domain=\"default\"", "state=\"ready\""]),
        ("hostel_deploys_total", &["outcome=\"deployed\""]),
    ] {
        let is_wanted = |line: &&str| {
            let labels = ["service=\"probe\""].iter().chain(labels);
            line.starts_with(&format!("{name}{{")) && labels.into_iter().all(|label| line.contains(label))
        };
        assert!(text.lines().any(|line| is_wanted(&line)), "{name} {labels:?}\n{text}");
    }
    assert!(
        text.ends_with("# EOF\n") && text.contains("# TYPE hostel_request_duration_seconds histogram"),
        "{text}"
    );
    assert!(!text.contains("/probe/ok"), "a path is no label: clients can invent them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_told_to_stop_lets_requests_end() {
    let mut host = probe().await;
    let client = host.client();
    let slow = tokio::spawn(async move { client.get("/probe/slow?ms=3000").await });
    eventually("the request runs", async || {
        let instances = host.run_json(&["instances", "probe"]);
        let busy = |instance: &Value| instance["busy"] == json!(true);
        instances.as_array().unwrap().iter().any(busy).then_some(())
    })
    .await;
    let gateway = host.gateway_address();
    host.signal("TERM");
    eventually("new connections are refused", async || TcpStream::connect(gateway).await.err()).await;
    assert!(!slow.is_finished(), "the request ended before the test could see anything");
    assert_eq!((slow.await.unwrap().status, host.wait_for_end().await.code()), (200, Some(0)));
    host.launch().await;
    host.signal("INT");
    assert_eq!(host.wait_for_end().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_folder_belongs_to_one_host_and_its_token_to_one_user() {
    let mut host = Host::start(IDLE).await;
    let (code, _, errors) = host.run(&["up"]);
    assert_eq!(code, Some(1));
    assert!(
        errors.contains("another host uses the storage folder") && errors.contains("storage.path"),
        "{errors}"
    );
    assert_eq!(host.run(&["services"]).0, Some(0), "the first one is still found");
    let mode = |name: &str| fs::metadata(host.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("data/admin-token"), mode("data")), (0o600, 0o700));
    let token = fs::read(host.path("data/admin-token")).unwrap();
    assert!(token.len() >= 32);
    host.kill();
    host.launch().await;
    assert_eq!(fs::read(host.path("data/admin-token")).unwrap(), token, "it outlives a restart");
}

/// A host with the probe, which hears what it publishes.
async fn probe() -> Host {
    let component = component("probe").display().to_string();
    Host::start(&format!(
        "[services.probe]\ncomponent = \"{component}\"\nbuild = \"true\"\ndatabase = \"embedded\"\n\
         publishes = [\"probe.*\"]\nsubscribes = [\"probe.*\"]\nbuckets = [\"probe\"]\n\
         [[routes]]\npath = \"/probe/{{*rest}}\"\nservice = \"probe\"\n"
    ))
    .await
}

/// Asks again until there is an answer.
async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
