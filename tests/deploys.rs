//! Hot deploys: under load, by command, by file, back again, and over restarts.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::deploy_load::deploy;
use crate::support::guests::{component, repository};
use crate::support::host::Host;
use crate::support::load::Load;
use crate::support::shop::{Shop, place};
use crate::support::version::{stamped, version_of};

/// New versions that are deployed under load.
const DEPLOYS: usize = 20;

/// A rollback takes no longer.
const ROLLBACK_TIME_MAX: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn twenty_deploys_under_load_fail_no_request() {
    let shop = Shop::open().await;
    let customer = shop.customer("ada").await;
    let reads = Load::start(shop.client(), "/api/orders?customer=nobody", Duration::from_millis(10));
    let stop = Arc::new(AtomicBool::new(false));
    let (client, stopped) = (shop.client(), stop.clone());
    let writes = tokio::spawn(async move {
        let mut orders = Vec::new();
        while !stopped.load(Ordering::Relaxed) {
            let placed = place(&client, &customer, &[("soap-olive", 1)], None).await;
            assert_eq!(placed.status, 201, "{placed:?}");
            orders.push(placed.body["id"].as_str().unwrap().to_owned());
        }
        orders
    });
    let order = component("order");
    for number in 0..DEPLOYS {
        let file = shop.host.path("order.wasm");
        fs::write(&file, version_of(&order, &number.to_string())).unwrap();
        let deployed = shop.host.run_json(&["deploy", "order", file.to_str().unwrap()]);
        assert_eq!(deployed["version"]["number"], json!(number + 2), "{deployed}");
    }
    stop.store(true, Ordering::Relaxed);
    let orders = writes.await.unwrap();
    let report = reads.stop().await;
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    assert!(orders.len() >= DEPLOYS && report.times.len() >= DEPLOYS);
    shop.check(&orders).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_file_that_changes_is_deployed() {
    let host = Host::prepare(&probe_config("probe.wasm"));
    fs::copy(component("probe"), host.path("probe.wasm")).unwrap();
    let mut host = host;
    host.launch().await;
    // Written in two steps, as a linker does.
    let bytes = version_of(&component("probe"), "second");
    fs::write(host.path("probe.wasm"), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(host.path("probe.wasm"), &bytes).unwrap();
    wait_for_version(&host, 2).await;
    assert_eq!(host.client().get("/probe/ok").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_active_version_survives_a_restart_until_its_file_changes() {
    let mut host = Host::prepare(&probe_config("probe.wasm"));
    fs::copy(component("probe"), host.path("probe.wasm")).unwrap();
    host.launch().await;
    let other = host.path("other.wasm");
    fs::write(&other, version_of(&component("probe"), "other")).unwrap();
    host.run_json(&["deploy", "probe", other.to_str().unwrap()]);
    assert!(host.terminate().await.success());
    host.launch().await;
    assert_eq!(active(&host), 2, "the file has not changed, so the deployed version stands");
    assert!(host.terminate().await.success());
    fs::write(host.path("probe.wasm"), version_of(&component("probe"), "newer")).unwrap();
    host.launch().await;
    assert_eq!(active(&host), 3, "the file has changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_returns_to_the_version_before() {
    let host = Host::start(&probe_config(component("probe").to_str().unwrap())).await;
    let other = host.path("other.wasm");
    fs::write(&other, version_of(&component("probe"), "other")).unwrap();
    host.run_json(&["deploy", "probe", other.to_str().unwrap()]);
    assert_eq!(active(&host), 2);
    let started = Instant::now();
    host.run_json(&["rollback", "probe"]);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(active(&host), 1);
    host.run_json(&["rollback", "probe", "--to", "v2"]);
    assert_eq!(active(&host), 2);
    let (code, _, errors) = host.run(&["rollback", "probe", "--to", "v9"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("v9"), "{errors}");
    assert_eq!(host.client().get("/probe/ok").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_component_again_changes_nothing_and_an_older_one_keeps_its_number() {
    let host = Host::start(&probe_config(component("probe").to_str().unwrap())).await;
    let first = component("probe");
    let again = host.run_json(&["deploy", "probe", first.to_str().unwrap()]);
    assert_eq!((&again["changed"], &again["version"]["number"]), (&json!(false), &json!(1)));
    let other = host.path("other.wasm");
    fs::write(&other, version_of(&first, "other")).unwrap();
    host.run_json(&["deploy", "probe", other.to_str().unwrap()]);
    let back = host.run_json(&["deploy", "probe", first.to_str().unwrap()]);
    assert_eq!((&back["changed"], &back["version"]["number"]), (&json!(true), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_one_call_and_takes_less_than_a_second() {
    let mut host = Host::start(&probe_config(component("probe").to_str().unwrap())).await;
    let good = fs::read(component("probe")).unwrap();
    for mark in 1..4 {
        deploy(&host.admin(), "probe", stamped(&good, mark)).await;
    }
    let load = Load::start(host.client(), "/probe/ok", Duration::from_millis(10));
    let mut times = Vec::new();
    for expected in [3, 4].repeat(5) {
        times.push(roll_back(&host, &json!({}), expected).await);
    }
    times.push(roll_back(&host, &json!({ "to": 1 }), 1).await);
    let report = load.stop().await;
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    // Also right after a start, when nothing of the other version is in memory.
    assert!(host.terminate().await.success());
    host.launch().await;
    times.push(roll_back(&host, &json!({}), 4).await);
    println!("rollbacks took {times:?}");
    assert!(times.iter().all(|time| *time < ROLLBACK_TIME_MAX), "{times:?}");
}

/// Rolls back by one call of the admin API; the next request is answered by the version expected.
async fn roll_back(host: &Host, to: &serde_json::Value, expected: u64) -> Duration {
    let started = Instant::now();
    let answer = host.admin().post("/services/probe/rollback", to).await;
    let took = started.elapsed();
    assert_eq!((answer.status, &answer.body["version"]["number"]), (200, &json!(expected)), "{answer:?}");
    assert_eq!(host.client().get("/probe/ok").await.body["version"], expected);
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn order_built_with_cargo_component_runs_the_same() {
    let target = repository().join("target/cargo-component");
    let built = std::process::Command::new("cargo")
        .args(["component", "build", "--release", "-p", "order", "--target-dir"])
        .arg(&target)
        .current_dir(repository())
        .status()
        .unwrap();
    assert!(built.success());
    let file = ["wasm32-wasip1/release/order.wasm", "wasm32-wasip2/release/order.wasm"]
        .map(|path| target.join(path))
        .into_iter()
        .find(|path| path.exists())
        .expect("cargo component made no component");
    let shop = Shop::open().await;
    let deployed = shop.host.run_json(&["deploy", "order", file.to_str().unwrap()]);
    assert_eq!(deployed["changed"], json!(true));
    let customer = shop.customer("ada").await;
    let client = shop.client();
    let lines: [&[(&str, i64)]; 3] = [&[("mug-enamel", 2)], &[("bicycle-city", 1)], &[("compass-brass", 4)]];
    let mut orders = Vec::new();
    for lines in lines {
        let placed = place(&client, &customer, lines, None).await;
        assert_eq!(placed.status, 201, "{placed:?}");
        orders.push(placed.body["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(place(&client, &customer, &[("nothing", 1)], None).await.status, 422);
    let statuses = shop.check(&orders).await;
    assert_eq!((statuses["shipped"], statuses["cancelled"]), (1, 2), "{statuses:?}");
}

fn probe_config(component: &str) -> String {
    format!(
        "[services.probe]\ncomponent = \"{component}\"\nbuild = \"true\"\ndatabase = \"embedded\"\n\
         publishes = [\"probe.*\"]\nbuckets = [\"probe\"]\n[[routes]]\npath = \"/probe/{{*rest}}\"\nservice = \"probe\"\n"
    )
}

fn active(host: &Host) -> u64 {
    host.run_json(&["versions", "probe"])["active"].as_u64().unwrap()
}

async fn wait_for_version(host: &Host, version: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while active(host) != version {
        assert!(Instant::now() < deadline, "v{version} does not answer\n{}", host.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
