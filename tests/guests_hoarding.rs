//! Promise 4: the cap of memory holds for all that a guest has, also where the host has it for the guest.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::limits::probe;
use crate::support::scene::{Scene, service};

/// How much more than the cap the host may grow by: its own buffers, those of the load, and what allocators keep.
const SLACK_MIB: u64 = 32;

/// Limits under which every hoard ends soon.
const LIMITS: &str =
    "limits = { memory = \"16MiB\", service-memory = \"64MiB\", cpu = \"20s\", time = \"30s\" }";

/// Kinds of what the host holds, and the limits that may end a hoard of them.
const HOARDS: &[(&str, &[&str])] = &[
    ("/misbehaving/hoard?what=fields", &["memory"]),
    ("/misbehaving/hoard?what=requests", &["memory"]),
    ("/misbehaving/hoard?what=bodies", &["memory"]),
    ("/misbehaving/hoard?what=random", &["memory"]),
    ("/misbehaving/hoard?what=memory", &["memory"]),
    ("/misbehaving/hoard?what=output", &["memory", "resources"]),
    ("/misbehaving/hoard?what=pollables", &["memory", "resources"]),
    ("/probe/allocate", &["memory"]),
];

/// A component of a table that grows until it may not. No compiler of Rust writes such an instruction.
const TABLE: &str = r#"(component
    (import "wasi:http/types@0.2.12" (instance $types
        (export "incoming-request" (type (sub resource)))
        (export "response-outparam" (type (sub resource)))))
    (alias export $types "incoming-request" (type $request))
    (alias export $types "response-outparam" (type $out))
    (core module $module
        (table $table 1 funcref)
        (func (export "handle") (param i32 i32)
            (loop $again
                (br_if $again (i32.ne (i32.const -1) (table.grow $table (ref.null func) (i32.const 64)))))
            unreachable))
    (core instance $instance (instantiate $module))
    (func $handle (param "request" (own $request)) (param "response-out" (own $out))
        (canon lift (core func $instance "handle")))
    (instance $handler (export "handle" (func $handle)))
    (export "wasi:http/incoming-handler@0.2.12" (instance $handler)))"#;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_hoarded_ends_at_a_limit_that_is_named() {
    let scene = Scene::open(&(probe("probe", LIMITS) + &service("misbehaving", "misbehaving", LIMITS))).await;
    let mut faults = Vec::new();
    for (path, limits) in HOARDS {
        let name = path.split('/').nth(1).unwrap();
        let before = hits(&scene, name, limits).await;
        let answer = scene.get(path).await;
        if answer.status != 502 {
            faults.push(format!("{path}: {answer:?}"));
        }
        if hits(&scene, name, limits).await == before {
            faults.push(format!("{path}: none of {limits:?} is in the metrics"));
        }
        let growth = scene.growth_mib();
        if growth > 16 + SLACK_MIB {
            faults.push(format!("{path}: {growth} MiB more of memory so far"));
        }
        assert_eq!(scene.get(&format!("/{name}/ok")).await.status, 200, "after {path}");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    scene.host.logged("the limit `memory` was reached").await;
    scene.close_within(Duration::from_millis(250)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_without_an_end_count_as_memory() {
    let scene = Scene::open(&service("misbehaving", "misbehaving", LIMITS)).await;
    // As many streams as the limit of resources lets it have, each with almost a line in it; then it waits.
    let answer = scene.get("/misbehaving/hoard?what=output&count=9000&ms=500").await;
    let growth = scene.growth_mib();
    assert!(growth < 16 + SLACK_MIB, "{growth} MiB more of memory, {answer:?}");
    scene.close_within(Duration::from_millis(250)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cap_of_a_service_holds_for_all_its_instances_together() {
    let scene = Scene::open(&service("misbehaving", "misbehaving", LIMITS)).await;
    let mut hoards = JoinSet::new();
    for what in ["fields", "requests", "bodies", "memory"].repeat(6) {
        let client = scene.client.clone();
        let path = match what {
            // Twelve MiB each.
            "memory" => "/misbehaving/hoard?what=memory&count=12000&ms=1000".to_owned(),
            what => format!("/misbehaving/hoard?what={what}&count=95&ms=1000"),
        };
        hoards.spawn(async move { client.get(&path).await.status });
    }
    let statuses = hoards.join_all().await;
    let growth = scene.growth_mib();
    eprintln!("{growth} MiB more of memory, {statuses:?}");
    assert!(statuses.contains(&502), "24 instances of 12 MiB do not fit into 64 MiB: {statuses:?}");
    assert!(growth < 64 + SLACK_MIB, "{growth} MiB more of memory");
    assert!(scene.hits("misbehaving", "service-memory").await > 0);
    scene.close_within(Duration::from_millis(250)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_random_bytes_are_not_made_at_once() {
    let scene = Scene::open(&service("misbehaving", "misbehaving", LIMITS)).await;
    for bytes in ["1000000", "1073741824", "4294967295"] {
        let path = format!("/misbehaving/hoard?what=random&count=1&bytes={bytes}");
        assert_eq!(scene.get(&path).await.status, 502, "{bytes}");
        assert_eq!(scene.get("/misbehaving/ok").await.status, 200);
    }
    assert!(scene.growth_mib() < SLACK_MIB, "{} MiB more of memory", scene.growth_mib());
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_behind_counts_until_the_instance_goes() {
    let lines = format!("instances = {{ max = 2 }}\n{LIMITS}");
    let scene = Scene::open(&service("misbehaving", "misbehaving", &lines)).await;
    for what in ["fields", "requests", "bodies", "pollables", "output"] {
        for _ in 0..40 {
            // Four MiB each time: more would be 160 MiB in the end.
            let path = format!("/misbehaving/hoard?what={what}&count=32&keep=yes");
            let answer = scene.get(&path).await;
            assert!(matches!(answer.status, 200 | 502 | 503), "{what}: {answer:?}");
            assert_ne!(scene.get("/misbehaving/ok").await.status, 502, "after {what}");
        }
        assert!(scene.growth_mib() < 32 + SLACK_MIB, "{what}: {} MiB more of memory", scene.growth_mib());
    }
    scene.close_within(Duration::from_millis(250)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_counts_as_memory() {
    let folder = crate::support::folder::TemporaryFolder::new();
    let component = folder.path().join("table.wasm");
    std::fs::write(&component, wat::parse_str(TABLE).unwrap()).unwrap();
    let config = format!(
        "[services.table]\ncomponent = {component:?}\nlimits = {{ memory = \"64KiB\" }}\n\
         [[routes]]\npath = \"/table/{{*rest}}\"\nservice = \"table\"\n"
    );
    let scene = Scene::open(&config).await;
    let answer = scene.get("/table/grow").await;
    assert_eq!(answer.status, 502, "{answer:?}");
    scene.host.logged("the limit `memory` was reached").await;
    assert_eq!(scene.hits("table", "memory").await, 1);
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_never_end_are_few() {
    // Accepted by the system, and never answered.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = silent.local_addr().unwrap();
    let lines = format!("fetches = [\"http://{authority}\"]\nlimits = {{ outgoing = 8, time = \"20s\" }}");
    let scene = Scene::open(&service("misbehaving", "misbehaving", &lines)).await;
    let answer = scene.get(&format!("/misbehaving/send?authority={authority}&count=20&ms=500")).await;
    let body = answer.body.as_str().unwrap_or_default();
    assert!(body.starts_with("12 ") && body.contains("ConnectionLimitReached"), "{answer:?}");
    assert_eq!(scene.hits("misbehaving", "outgoing").await, 12);
    scene.host.logged("the limit `outgoing` was reached").await;
    // They ended with their call.
    let answer = scene.get(&format!("/misbehaving/send?authority={authority}&count=8&ms=100")).await;
    assert_eq!(answer.body, 0, "{answer:?}");
    scene.close().await;
}

/// How often a service met one of these limits.
async fn hits(scene: &Scene, service: &str, limits: &[&str]) -> u64 {
    let mut hits = 0;
    for limit in limits {
        hits += scene.hits(service, limit).await;
    }
    hits
}
