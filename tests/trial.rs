//! Components that must not be let in: each is refused with words that name the cause, and the old version stays.

use std::fs;
use std::time::Duration;

use crate::limits::probe;
use crate::support::guests::component;
use crate::support::host::Host;
use crate::support::load::Load;
use crate::support::version::{replaced, version_of};

/// What this host calls the interface, and what an author of another time might.
const INTERFACE: &str = "hostel:service/database@0.1.0";
const LATER_INTERFACE: &str = "hostel:service/database@0.9.0";

/// A bad component: its name, its bytes, and the words that its refusal must contain.
type Case = (&'static str, Vec<u8>, &'static [&'static str]);

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_component_is_refused_and_the_old_one_stays() {
    let host = Host::start(&probe("probe", "")).await;
    let client = host.client();
    let versions = host.run_json(&["versions", "probe"]);
    let load = Load::start(client.clone(), "/probe/ok", Duration::from_millis(20));
    for (name, bytes, words) in cases() {
        let errors = refused(&host, "probe", name, &bytes);
        for word in words {
            assert!(errors.contains(word), "{name}: {word:?} is not in {errors:?}");
        }
        assert_eq!(host.run_json(&["versions", "probe"]), versions, "{name}");
        assert_eq!(client.get("/probe/ok").await.body["version"], 1, "{name}");
    }
    let half = serde_json::json!({ "sql": "SELECT * FROM half" });
    let answer = client.post("/probe/sql", &half).await;
    assert_eq!(answer.body["error"], "statement", "half of the broken migration stayed: {answer:?}");

    fs::write(host.path("good.wasm"), version_of(&component("probe"), "good")).unwrap();
    host.run_json(&["deploy", "probe", "good.wasm"]);
    assert_eq!(client.get("/probe/ok").await.body["version"], 2, "what is good is let in");
    let report = load.stop().await;
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    assert!(!report.times.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_not_granted_is_refused_with_the_line_that_grants_it() {
    let bare = "[services.bare]\ninstances = { max = 2 }\n\
                [[routes]]\npath = \"/bare/{*rest}\"\nservice = \"bare\"\n";
    let host = Host::start(bare).await;
    let bytes = fs::read(component("probe")).unwrap();
    let versions = host.run_json(&["versions", "bare"]);
    let errors = refused(&host, "bare", "ungranted", &bytes);
    for word in
        [INTERFACE, "database = \"embedded\"", "publishes = [", "buckets = [", "[services.bare]", "line 5"]
    {
        assert!(errors.contains(word), "{word:?} is not in {errors:?}");
    }
    assert_eq!(host.run_json(&["versions", "bare"]), versions);
    assert_eq!(host.client().get("/bare/ok").await.status, 503);

    host.write_config(&probe("bare", "").replace(&format!("component = {:?}\n", component("probe")), ""));
    host.logged("the configuration was reloaded").await;
    fs::write(host.path("granted.wasm"), &bytes).unwrap();
    let deployed = host.run_json(&["deploy", "bare", "granted.wasm"]);
    assert_eq!(deployed["changed"], true, "{deployed}");
    assert_eq!(host.client().get("/bare/ok").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_does_not_stay_on_disk() {
    let mut host = Host::start(&probe("probe", "")).await;
    let files = |host: &Host| {
        let components = fs::read_dir(host.path("data/components/probe")).unwrap().count();
        let engine = fs::read_dir(host.path("data/cache")).unwrap().next().unwrap().unwrap().path();
        (components, fs::read_dir(engine).unwrap().count())
    };
    let before = files(&host);
    let good = fs::read(component("probe")).unwrap();
    refused(&host, "probe", "unfit", &marked(&good, "health", "unfit"));
    assert!(files(&host) > before, "the control: it was there for its trial");
    host.terminate().await;
    host.launch().await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while files(&host) != before {
        assert!(std::time::Instant::now() < deadline, "{before:?} before, {:?} now", files(&host));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(host.client().get("/probe/ok").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_to_nobody_or_of_nothing_is_refused() {
    let host = Host::start(&probe("probe", "")).await;
    let bytes = fs::read(component("probe")).unwrap();
    assert!(refused(&host, "nobody", "probe", &bytes).contains("nobody"));
    let (code, _, errors) = host.run(&["deploy", "probe", "nowhere.wasm"]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("nowhere.wasm"), "{errors}");
}

fn cases() -> Vec<Case> {
    let good = fs::read(component("probe")).unwrap();
    let truncated = good[..good.len() / 2].to_vec();
    vec![
        ("trap-in-health", marked(&good, "health", "trap"), &["health check", "trap"]),
        ("unfit", marked(&good, "health", "unfit"), &["the probe is unfit, as it was asked to be"]),
        ("broken-migration", marked(&good, "migration", "broken"), &["migrations failed", "nowhere"]),
        ("trap-in-migrations", marked(&good, "migration", "trap"), &["migrations", "trap"]),
        ("later-interface", replaced(&good, INTERFACE, LATER_INTERFACE), &[LATER_INTERFACE, "version 0.1.0"]),
        ("truncated", truncated, &["no WebAssembly component"]),
        ("random", noise(), &["no WebAssembly component"]),
        ("empty-file", Vec::new(), &["no WebAssembly component"]),
        ("core-module", b"\0asm\x01\0\0\0".to_vec(), &["no WebAssembly component", "module"]),
        ("empty-component", b"\0asm\x0d\0\x01\0".to_vec(), &["wasi:http/incoming-handler"]),
    ]
}

/// Deploys what must be refused, and answers what was said.
fn refused(host: &Host, service: &str, name: &str, bytes: &[u8]) -> String {
    let file = format!("{name}.wasm");
    fs::write(host.path(&file), bytes).unwrap();
    let (code, output, errors) = host.run(&["deploy", service, &file]);
    assert_eq!(code, Some(1), "{name}: {output}{errors}");
    assert!(errors.contains(&file), "{name}: the file is not named: {errors}");
    errors
}

/// The probe with another plan for its trial.
fn marked(good: &[u8], key: &str, plan: &str) -> Vec<u8> {
    replaced(good, &format!("probe-{key}=well  "), &format!("probe-{key}={plan:6}"))
}

/// Bytes without meaning, the same in each run (xorshift).
fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..4096).flat_map(|_| next()).collect()
}
