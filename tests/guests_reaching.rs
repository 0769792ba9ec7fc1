//! Promise 5: nothing that was not granted is reached, also where much was; nothing passes from one to another.

use std::fs;
use std::net::IpAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::limits::probe;
use crate::support::scene::{Scene, service};

/// Spellings of the host that this is, for URLs.
const HERE: &[&str] = &[
    "127.0.0.1",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "0.0.0.0",
    "127.1",
    "127.8.8.8",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
];

/// Spellings of an address at which clouds keep their credentials, and of another one of the link.
const LINK: &[&str] = &[
    "169.254.169.254",
    "169.254.43518",
    "2852039166",
    "0xa9fea9fe",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[fe80::1]",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_listener_and_the_link_are_denied_even_where_they_are_granted() {
    let scene = Scene::open(&service("misbehaving", "misbehaving", "")).await;
    let admin = fs::read_to_string(scene.host.path("data/admin-address")).unwrap();
    let port = admin.trim().rsplit(':').next().unwrap();
    let gateway = scene.host.gateway_address();
    let targets: Vec<String> = HERE
        .iter()
        .map(|host| format!("{host}:{port}"))
        .chain(LINK.iter().map(|host| (*host).to_owned()))
        .collect();
    let innocent = service("innocent", "misbehaving", "");
    let granted = |targets: &[String]| {
        let origins: Vec<String> = targets.iter().map(|target| format!("\"http://{target}\"")).collect();
        let lines = format!("fetches = [{}]", origins.join(", "));
        service("misbehaving", "misbehaving", &lines) + &innocent
    };
    let mut allowed = Vec::new();
    // What the configuration itself refuses to grant is as good as denied; all else is granted.
    for target in &targets {
        let file = scene.host.path("try.toml");
        let listeners = "[admin]\nlisten = \"127.0.0.1:0\"\n[gateway]\nlisten = \"127.0.0.1:0\"\n";
        fs::write(&file, format!("{listeners}{}", granted(std::slice::from_ref(target)))).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostel"));
        command.arg("--config").arg(&file).arg("check").current_dir(scene.host.folder());
        let checked = command.output().unwrap();
        if checked.status.success() {
            allowed.push(target.clone());
        } else {
            eprintln!("{target} cannot be granted");
        }
    }
    assert!(allowed.len() > 10, "{allowed:?}");
    allowed.push(gateway.to_string());
    scene.host.write_config(&granted(&allowed));
    // The gateway may be reached, and shows that the grants are there.
    let reach = async |target: &str| {
        let path = format!("/misbehaving/reach?authority={target}&path=/innocent/ok");
        scene.get(&path).await.body
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while reach(&gateway.to_string()).await != 200 {
        assert!(Instant::now() < deadline, "{}", reach(&gateway.to_string()).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for target in &targets {
        let body = reach(target).await;
        let told = body.as_str().unwrap_or_default();
        // An address of the link that is none here would not answer either.
        let refusals = match target.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(_) => &["HttpRequestDenied"][..],
            Err(_) => &["HttpRequestDenied", "DestinationUnavailable", "HttpRequestUriInvalid"],
        };
        let is_refused = refusals.iter().any(|refused| told.contains(refused));
        assert!(is_refused, "{target}: {body}");
    }
    scene.host.logged(&format!("the request to 127.0.0.1:{port} was refused")).await;
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_instance_remembers_nothing() {
    let fresh = service("fresh", "misbehaving", "instances = { reuse = 1 }");
    let scene = Scene::open(&(fresh + &service("reused", "misbehaving", "instances = { max = 1 }"))).await;
    assert_eq!(scene.get("/reused/remember?text=secret").await.body, "");
    assert_eq!(scene.get("/reused/remember?text=other").await.body, "secret", "the control");
    // Some at once, so that they have several instances, and few enough to leave the processors to others.
    for round in 0..20 {
        let mut calls = JoinSet::new();
        for number in 0..8 {
            let (client, path) =
                (scene.client.clone(), format!("/fresh/remember?text=secret{round}-{number}"));
            calls.spawn(async move { client.get(&path).await });
        }
        for answer in calls.join_all().await {
            assert_eq!((answer.status, &answer.body), (200, &"".into()));
        }
    }
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_of_one_is_clean_for_the_next() {
    let lines = "instances = { reuse = 1 }";
    let services = service("one", "misbehaving", lines) + &service("two", "misbehaving", lines);
    let scene = Scene::open(&services).await;
    for pages in [1, 16, 400] {
        for _ in 0..20 {
            assert_eq!(scene.get(&format!("/one/soil?pages={pages}")).await.body, pages);
            assert_eq!(scene.get(&format!("/two/sift?pages={pages}")).await.body, 0, "{pages} pages");
        }
    }
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_sockets_and_environment_are_not_there_for_anybody() {
    let scene = Scene::open(&(probe("probe", "") + &service("misbehaving", "misbehaving", ""))).await;
    let token = scene.host.path("data/admin-token");
    let answer = scene.get(&format!("/probe/file?path={}", token.display())).await;
    assert!(answer.body["read"].is_string() && answer.body["written"].is_string(), "{answer:?}");
    let answer = scene.get("/probe/environment").await;
    assert_eq!(answer.body, serde_json::json!({ "variables": [], "arguments": [] }));
    let answer = scene.get(&format!("/probe/socket?address={}", scene.host.gateway_address())).await;
    assert!(answer.body["error"].is_string(), "{answer:?}");
    for kind in ["files", "environment", "sockets"] {
        assert!(
            scene.count("hostel_denials_total", &[("service", "probe"), ("right", kind)]).await > 0,
            "{kind} is not counted:\n{}",
            scene.metrics().await
        );
    }
    scene.close().await;
}
