//! gateway.toml changes while the host runs.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::client::Answer;
use crate::support::guests::{component, repository};
use crate::support::host::Host;
use crate::support::load::Load;
use crate::support::shop::{Shop, place};

/// How long a change may take to be seen on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pace of the load that must not notice anything.
const PACE: Duration = Duration::from_millis(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_new_route_and_a_changed_value_take_effect_and_fail_no_request() {
    let shop = Shop::open().await;
    let customer = shop.customer("ada").await;
    let order = async || {
        let placed = place(&shop.client(), &customer, &[("mug-enamel", 1)], None).await;
        let id = placed.body["id"].as_str().unwrap_or_else(|| panic!("{placed:?}")).to_owned();
        (shop.ended(&id).await["status"].as_str().unwrap().to_owned(), id)
    };
    let (before, first) = order().await;
    assert_eq!(before, "shipped");
    assert_eq!(shop.client().get("/site/").await.status, 404);
    let load = Load::start(shop.client(), "/api/products", PACE);
    let site = repository().join("components/storefront/site").display().to_string();
    let route = format!("\n[[routes]]\npath = \"/site/{{*rest}}\"\nfiles = \"{site}\"\n");
    let text = shop.config();
    assert!(text.contains("limit = \"100000\""), "the shop has another limit now");
    shop.host.write_config(&(text.replace("limit = \"100000\"", "limit = \"1000\"") + &route));
    answered(&shop.host, "/site/", 200).await;
    shop.host.logged("the configuration was reloaded").await;
    let (after, second) = order().await;
    assert_eq!(after, "cancelled", "the limit of the payments is lower than the price now");
    let report = load.stop().await;
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    assert!(!report.times.is_empty());
    shop.check(&[first, second]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_come_and_go_and_the_others_notice_nothing() {
    let both = service("probe") + &service("other");
    let host = Host::start(&both).await;
    assert_eq!(host.client().get("/other/ok").await.status, 200);
    let load = Load::start(host.client(), "/probe/ok", PACE);
    host.write_config(&service("probe"));
    answered(&host, "/other/ok", 404).await;
    assert_eq!(reload(&host).await.status, 200);
    let names = |host: &Host| {
        let services = host.run_json(&["services"]);
        let names = services.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(&host), ["probe"]);
    host.write_config(&both);
    answered(&host, "/other/ok", 200).await;
    assert_eq!(names(&host), ["other", "probe"]);
    let report = load.stop().await;
    assert!(report.failures.is_empty(), "{:?}", report.failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn components_that_become_an_external_service_take_no_more_messages() {
    let listening = service("probe").replace("publishes", "subscribes = [\"probe.*\"]\npublishes");
    let host = Host::start(&(listening.clone() + &service("other"))).await;
    assert_eq!(host.client().get("/probe/ok").await.status, 200);
    let subscribers =
        |host: &Host| host.run_json(&["messages"])[0]["subscriptions"].as_array().unwrap().len();
    assert_eq!(subscribers(&host), 1);
    let external = "[services.probe]\nupstreams = [\"http://127.0.0.1:1\"]\n\
                    [[routes]]\npath = \"/probe/{*rest}\"\nservice = \"probe\"\n";
    host.write_config(&(external.to_owned() + &service("other")));
    answered(&host, "/probe/ok", 502).await;
    assert_eq!(reload(&host).await.status, 200);
    assert_eq!(subscribers(&host), 0);
    assert_eq!(host.client().get("/other/ok").await.status, 200);
    host.write_config(&(listening + &service("other")));
    answered(&host, "/probe/ok", 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_file_changes_nothing_and_is_told_with_its_line() {
    let good = service("probe");
    let host = Host::start(&good).await;
    let load = Load::start(host.client(), "/probe/ok", PACE);
    let bad = format!(
        "{}[services.extra]\nlimits = {{ memory = \"64 elephants\" }}\n",
        good.replace("/probe/", "/moved/")
    );
    host.write_config(&bad);
    host.logged("64 elephants").await;
    let text = fs::read_to_string(host.path("gateway.toml")).unwrap();
    let line = 1 + text.lines().position(|line| line.contains("elephants")).unwrap();
    let place = format!("gateway.toml:{line}:");
    assert!(host.log().contains(&place), "{place}");
    let refused = reload(&host).await;
    assert_eq!((refused.status, &refused.body["status"]), (422, &json!(422)), "{refused:?}");
    let detail = refused.body["detail"].as_str().unwrap();
    for part in [&place, "services.extra.limits.memory", "64 elephants", "write a size"] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    for (wrong, part) in [
        (good.clone() + "[services.extra", "unclosed table"),
        (
            good.clone()
                + &good.split_once("[[routes]]").map(|(_, route)| format!("[[routes]]{route}")).unwrap(),
            "takes the same requests",
        ),
        (format!("[storage]\npath = \"elsewhere\"\n{good}"), "restart"),
        (good.replace("database = \"embedded\"\n", ""), "database"),
    ] {
        host.write_config(&wrong);
        let refused = reload(&host).await;
        assert_eq!(refused.status, 422, "{wrong}\n{refused:?}");
        assert!(refused.body["detail"].as_str().unwrap().contains(part), "{part}: {refused:?}");
        assert_eq!(host.client().get("/moved/ok").await.status, 404);
        // Not by the command, which finds the host by the file.
        assert_eq!(host.admin().get("/services").await.body.as_array().unwrap().len(), 1);
    }
    host.write_config(&good);
    assert_eq!(reload(&host).await.status, 200);
    let report = load.stop().await;
    assert!(report.failures.is_empty(), "{:?}", report.failures);
}

/// The probe under a name, and its route.
fn service(name: &str) -> String {
    let component = component("probe").display().to_string();
    format!(
        "[services.{name}]\ncomponent = \"{component}\"\nbuild = \"true\"\ndatabase = \"embedded\"\n\
         publishes = [\"probe.*\"]\nbuckets = [\"probe\"]\n[[routes]]\npath = \"/{name}/{{*rest}}\"\nservice = \"{name}\"\n"
    )
}

async fn reload(host: &Host) -> Answer {
    host.admin().post("/reload", &json!({})).await
}

/// Waits until a path is answered with this status.
async fn answered(host: &Host, path: &str, status: u16) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = host.client().get(path).await;
        if answer.status == status {
            return;
        }
        assert!(Instant::now() < deadline, "{path}: {answer:?}\n{}", host.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
