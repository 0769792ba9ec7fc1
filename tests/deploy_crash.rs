//! kill -9 in every phase of a deploy: afterwards the version before or the new one answers, whole.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::deploy_load::deploy;
use crate::support::artefacts;
use crate::support::compiler::compilers;
use crate::support::guests::component;
use crate::support::host::Host;
use crate::support::process::rss_kib;
use crate::support::stamps::Stamped;
use crate::support::version::stamped;

/// Deploys that are killed, at as many moments from their begin until after their end.
const ROUNDS: u32 = 18;

/// How long a compiler may outlive its host, and what it may take of the memory meanwhile.
const ORPHAN_TIME_MAX: Duration = Duration::from_secs(10);
const ORPHAN_KIB_MAX: u64 = 1 << 20;

const CONFIG: &str = "[services.probe]\ncomponent = \"probe.wasm\"\nbuild = \"true\"\ndatabase = \"embedded\"\n\
                      publishes = [\"probe.*\"]\nbuckets = [\"probe\"]\n\
                      [[routes]]\npath = \"/probe/{*rest}\"\nservice = \"probe\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_that_is_killed_at_any_moment_leaves_the_old_or_the_new_version() {
    let good = fs::read(component("probe")).unwrap();
    let mut host = start(&good).await;
    let started = Instant::now();
    deploy(&host.admin(), "probe", stamped(&good, 1)).await;
    let whole = started.elapsed();
    let (mut old, mut outcomes) = (1, [0, 0]);
    for round in 0..ROUNDS {
        let new = 2 + u64::from(round);
        let bytes = stamped(&good, new);
        let moment = whole * round / (ROUNDS - 4) + Duration::from_millis(rand::random_range(0..20));
        let is_file = round % 3 == 2;
        let admin = host.admin();
        let deploying = tokio::spawn(async move {
            if !is_file {
                let request = admin.request(reqwest::Method::POST, "/services/probe/versions").body(bytes);
                let _ = admin.try_send(request).await;
            }
        });
        if is_file {
            replace(&host.path("probe.wasm"), &stamped(&good, new));
        }
        tokio::time::sleep(moment).await;
        host.kill();
        deploying.await.unwrap();
        host.launch().await;
        let answers = answering(&host, &good).await;
        assert!([old, new].contains(&answers), "round {round}: {answers} answers, neither {old} nor {new}");
        // A file that has changed is deployed at the next start, if it was not before.
        assert!(!is_file || answers == new, "round {round}: the file was forgotten");
        outcomes[usize::from(answers == new)] += 1;
        old = answers;
    }
    println!(
        "a deploy takes {whole:?}; {} times the old version answered, {} times the new one",
        outcomes[0], outcomes[1]
    );
    assert!(outcomes.iter().all(|times| *times > 0), "no moment was between: {outcomes:?}");
    let last = 2 + u64::from(ROUNDS);
    deploy(&host.admin(), "probe", stamped(&good, last)).await;
    assert_eq!(answering(&host, &good).await, last, "a deploy after all of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compiler_does_not_outlive_its_host() {
    let good = fs::read(component("probe")).unwrap();
    let mut host = start(&good).await;
    let bomb = artefacts::component(&artefacts::many_lives(400, 1_000, 8_000)).finish();
    let admin = host.admin();
    let request = admin.request(reqwest::Method::POST, "/services/probe/versions").body(bomb);
    let deploying = tokio::spawn(async move { admin.try_send(request).await.is_ok() });
    let deadline = Instant::now() + ORPHAN_TIME_MAX;
    let compiler = loop {
        if let Some(compiler) = compilers(host.process()).first() {
            break *compiler;
        }
        assert!(Instant::now() < deadline, "nothing is compiled");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    // Long enough that it has read all of the component.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(rss_kib(compiler) > 0, "it has ended already");
    host.kill();
    assert!(!deploying.await.unwrap());
    let killed = Instant::now();
    let mut most = 0;
    while rss_kib(compiler) > 0 && killed.elapsed() < ORPHAN_TIME_MAX {
        most = most.max(rss_kib(compiler));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let stays = rss_kib(compiler) > 0;
    if stays {
        let _ = std::process::Command::new("kill").args(["-9", &compiler.to_string()]).status();
    }
    println!("the compiler ended after {:?}, with at most {most} KiB", killed.elapsed());
    assert!(
        !stays,
        "the compiler still runs {:?} after its host was killed, with {most} KiB",
        killed.elapsed()
    );
    assert!(most <= ORPHAN_KIB_MAX, "{most} KiB");
    host.launch().await;
    assert_eq!(answering(&host, &good).await, 0);
}

/// A host on which this component answers.
async fn start(component: &[u8]) -> Host {
    let mut host = Host::prepare(CONFIG);
    replace(&host.path("probe.wasm"), component);
    host.launch().await;
    host
}

/// The mark of the version that answers; its component, and all others that are kept, are what they were.
async fn answering(host: &Host, good: &[u8]) -> u64 {
    let told = host.client().get("/probe/stamp?id=who").await;
    assert_eq!(told.status, 200, "{told:?}");
    let (stamp, _) = Stamped::read(told.body.as_str().unwrap(), "who").unwrap().whole(1).unwrap();
    let versions = host.run_json(&["versions", "probe"]);
    assert_eq!(versions["active"], stamp.version, "{versions}");
    let mark = stamp.mark.parse().unwrap();
    for version in versions["versions"].as_array().unwrap() {
        let digest = version["digest"].as_str().unwrap();
        let file = host.path("data/components/probe").join(format!("{digest}.wasm"));
        let bytes = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let found: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, digest, "{version}");
        let is_active = version["number"] == stamp.version;
        let expected = if mark == 0 { good.to_vec() } else { stamped(good, mark) };
        assert!(!is_active || bytes == expected, "{version} is not what answers: {stamp:?}");
    }
    mark
}

/// Puts a file in the place of another at once.
fn replace(path: &Path, bytes: &[u8]) {
    let draft = path.with_extension("new");
    fs::write(&draft, bytes).unwrap();
    fs::rename(draft, path).unwrap();
}
