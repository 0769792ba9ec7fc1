//! What must not be let in is refused in time, whatever it would cost to compile or to start, and nobody notices.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use reqwest::Method;

use crate::limits::probe;
use crate::support::artefacts;
use crate::support::compiler::{CompilerWatch, Seen};
use crate::support::guests::component;
use crate::support::host::Host;
use crate::support::load::Load;
use crate::support::process::{memory_is_back, rss_kib};

/// A refusal takes no longer.
const TIME_MAX: Duration = Duration::from_secs(10);

/// The processor time that compiling may take, and how much more for each MiB of code beyond what has to do with that.
/// A compiler is nice to others: how long it waits for a busy machine tells nothing.
const COMPUTING_MAX: Duration = Duration::from_secs(6);
const COMPUTING_PER_MIB: Duration = Duration::from_secs(10);
const CODE_BASE_MIB: f64 = 2.0;

/// How much more a compiler has computed until it is looked at again.
const COMPUTING_SLACK: Duration = Duration::from_secs(1);

/// Longer than any refusal of a busy machine.
const PATIENCE: Duration = Duration::from_secs(400);

/// What compiling may take.
const MEMORY_KIB_MAX: u64 = 1 << 20;
/// One core; what is more is how processor time is counted.
const PROCESSORS_MAX: f64 = 1.15;

/// The quiet time before, and what the requests of the running version may take meanwhile.
const QUIET: Duration = Duration::from_secs(4);
const DELAY_MAX: u32 = 4;
const NO_DELAY: Duration = Duration::from_millis(250);

/// More than any component may have.
const HUGE: u64 = 512 << 20;

/// A host whose running version is asked all the time, while it is given what it must refuse.
struct Gauntlet {
    host: Host,
    load: Load,
    quiet: Duration,
    memory_kib: u64,
    compilers: CompilerWatch,
    versions: serde_json::Value,
    faults: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_artefacts_are_refused_and_their_cause_is_named() {
    let mut gauntlet = Gauntlet::start().await;
    let good = fs::read(component("probe")).unwrap();
    let noise: Vec<u8> = (0..1u32 << 20).map(|index| (index.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
    let component = |module| artefacts::component(&module).finish();
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("a script", b"#!/bin/sh\necho hostel\n".to_vec(), &["no WebAssembly component"]),
        ("a core module", artefacts::many_functions(3).finish(), &["no WebAssembly component", "module"]),
        ("noise", noise.clone(), &["no WebAssembly component"]),
        ("noise with a head", [b"\0asm\x0d\0\x01\0", &*noise].concat(), &["no WebAssembly component"]),
        ("another layer", [b"\0asm\x0d\0\x02\0", &good[8..]].concat(), &["no WebAssembly component"]),
        (
            "a missing import",
            artefacts::importing("nowhere:nothing/at-all@1.0.0"),
            &["nowhere:nothing/at-all@1.0.0"],
        ),
        (
            "a wrong version",
            artefacts::importing("hostel:service/database@9.9.9"),
            &["@9.9.9", "version 0.1.0"],
        ),
        ("a missing function", component(artefacts::empty()), &["wasi:http/incoming-handler"]),
        ("a huge memory", component(artefacts::memory(60_000)), &["memory"]),
        ("a huge table", component(artefacts::table(10_000_000)), &["table"]),
        ("an endless start", component(artefacts::endless_start()), &["cpu"]),
    ];
    for (name, bytes, words) in cases {
        gauntlet.refuses(name, bytes, words).await;
    }
    for part in 1..8 {
        let bytes = good[..good.len() * part / 8].to_vec();
        gauntlet.refuses(&format!("{part} of 8 parts"), bytes, &["no WebAssembly component"]).await;
    }
    gauntlet.refuses("all but a byte", good[..good.len() - 1].to_vec(), &["no WebAssembly component"]).await;
    gauntlet.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compile_bombs_are_refused_in_time_and_within_their_bounds() {
    let mut gauntlet = Gauntlet::start().await;
    let component = |module| artefacts::component(&module).finish();
    let bombs = [
        ("values that live everywhere", component(artefacts::many_lives(1, 40_000, 10_000))),
        ("hard functions", component(artefacts::many_lives(40, 1_000, 8_000))),
        ("components of components", artefacts::nested(26)),
        ("a million functions", component(artefacts::many_functions(900_000))),
        // The last one: a host that goes on with it has no time for another.
        ("hard functions that need little memory", component(artefacts::many_lives(14, 200, 8_000))),
    ];
    for (name, bytes) in bombs {
        gauntlet.refuses_to_compile(name, bytes.len(), bytes).await;
    }
    gauntlet.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn padding_buys_a_compile_bomb_no_time() {
    let mut gauntlet = Gauntlet::start().await;
    let bomb = artefacts::component(&artefacts::many_lives(14, 200, 8_000));
    let code_bytes = bomb.clone().finish().len();
    gauntlet.refuses_to_compile("a padded bomb", code_bytes, artefacts::padded(bomb, 32 << 20)).await;
    gauntlet.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_gigabyte_of_anything_is_refused_at_once() {
    let mut gauntlet = Gauntlet::start().await;
    let host = &gauntlet.host;
    File::create(host.path("huge.wasm")).unwrap().set_len(HUGE).unwrap();
    let started = Instant::now();
    let (code, _, errors) = host.run(&["deploy", "probe", "huge.wasm"]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("larger than a component may be"), "{errors}");
    assert!(started.elapsed() < TIME_MAX, "{:?}", started.elapsed());

    // The command is no barrier for who speaks to the admin API himself.
    for with_length in [true, false] {
        let started = Instant::now();
        let pieces =
            futures::stream::iter((0..HUGE >> 20).map(|_| Ok::<_, std::io::Error>(vec![0u8; 1 << 20])));
        let request = host.admin().request(Method::POST, "/services/probe/versions");
        let request = if with_length { request.header("content-length", HUGE) } else { request };
        let answer = host.admin().try_send(request.body(reqwest::Body::wrap_stream(pieces))).await;
        let took = started.elapsed();
        println!("{} MiB, length told {with_length}: {answer:?} after {took:?}", HUGE >> 20);
        // A host that does not read on may have hung up before the client had written all.
        assert!(answer.as_ref().map_or(true, |answer| answer.status == 413), "{answer:?}");
        assert!(took < TIME_MAX, "{took:?}");
    }

    // As much as there may be, of everything that makes it easy or hard.
    let most = 127 << 20;
    gauntlet.refuses("127 MiB of zeros", vec![0; most], &["no WebAssembly component"]).await;
    gauntlet.refuses("127 MiB of padding", artefacts::padded(artefacts::nothing(), most), &["handler"]).await;
    let mut sections = b"\0asm\x0d\0\x01\0".to_vec();
    sections.extend([0, 1, 0].repeat(most / 3));
    gauntlet.refuses("127 MiB of empty sections", sections, &["handler"]).await;
    gauntlet.finish().await;
}

impl Gauntlet {
    async fn start() -> Self {
        let host = Host::start(&probe("probe", "")).await;
        let load = |host: &Host| Load::start(host.client(), "/probe/ok", Duration::from_millis(20));
        let quiet = load(&host);
        tokio::time::sleep(QUIET).await;
        let quiet = quiet.stop().await.time_of(990);
        let (versions, memory_kib) = (host.run_json(&["versions", "probe"]), rss_kib(host.process()));
        let (load, compilers) = (load(&host), CompilerWatch::start(host.process()));
        Self { host, load, quiet, memory_kib, compilers, versions, faults: Vec::new() }
    }

    /// Offers what must be refused soon, in words that hold these.
    async fn refuses(&mut self, name: &str, bytes: Vec<u8>, words: &[&str]) {
        let took = self.offer(name, bytes, words).await;
        if took > TIME_MAX {
            self.faults.push(format!("{name}: a refusal takes {took:?}"));
        }
    }

    /// Offers what must be refused because compiling so much code takes too long, or too much memory.
    async fn refuses_to_compile(&mut self, name: &str, code_bytes: usize, bytes: Vec<u8>) {
        self.compilers.take_computed();
        self.offer(name, bytes, &["compil"]).await;
        let computed = self.compilers.take_computed();
        let further = (code_bytes as f64 / f64::from(1 << 20) - CODE_BASE_MIB).max(0.0);
        let most = COMPUTING_MAX + COMPUTING_PER_MIB.mul_f64(further) + COMPUTING_SLACK;
        println!("{name}: compiled for {computed:?} of {most:?}");
        if computed > most {
            self.faults.push(format!("{name}: its compiler computes for {computed:?}"));
        }
    }

    /// Offers what must be refused; answers how long that took.
    async fn offer(&mut self, name: &str, bytes: Vec<u8>, words: &[&str]) -> Duration {
        let (size, started) = (bytes.len(), Instant::now());
        let before = rss_kib(self.host.process());
        let admin = self.host.admin();
        let request = admin.request(Method::POST, "/services/probe/versions").timeout(PATIENCE).body(bytes);
        let answer = admin.try_send(request).await;
        let took = started.elapsed();
        let grown = rss_kib(self.host.process()).saturating_sub(before) >> 10;
        let mut fault = |what: String| self.faults.push(format!("{name} ({size} bytes, {took:?}): {what}"));
        match &answer {
            Ok(answer) => {
                let told = answer.body["detail"].as_str().unwrap_or_default();
                println!(
                    "{name}: {size} bytes, {took:?}, the host grew by {grown} MiB: {} {told}",
                    answer.status
                );
                if answer.status != 422 {
                    fault(format!("it is not refused: {answer:?}"));
                }
                for word in words.iter().filter(|word| !told.contains(**word)) {
                    fault(format!("{word:?} is not in {told:?}"));
                }
            }
            Err(error) => fault(format!("no answer: {error:?}")),
        }
        let versions = self.host.run_json(&["versions", "probe"]);
        if versions != self.versions {
            fault(format!("the versions are touched: {versions}"));
            self.host.run_json(&["rollback", "probe", "--to", "v1"]);
            self.versions = self.host.run_json(&["versions", "probe"]);
        }
        took
    }

    /// Nobody has noticed, compiling stayed within its bounds, and nothing was let in.
    async fn finish(self) {
        let Self { host, load, quiet, memory_kib, compilers, mut faults, .. } = self;
        let (report, seen): (_, Seen) = (load.stop().await, compilers.stop());
        let (busy, most) = (report.time_of(990), report.times.iter().max().copied().unwrap_or_default());
        println!(
            "{} requests, p99 {quiet:?} in quiet, {busy:?} meanwhile, at most {most:?}; compilers: {seen:?}",
            report.times.len()
        );
        if !report.failures.is_empty() {
            faults.push(format!("{} requests failed: {:?}", report.failures.len(), report.failures[0]));
        }
        if busy > NO_DELAY.max(quiet * DELAY_MAX) {
            faults.push(format!("requests take {busy:?} instead of {quiet:?}"));
        }
        if seen.memory_kib > MEMORY_KIB_MAX || seen.processors > PROCESSORS_MAX {
            faults.push(format!("compiling takes too much: {seen:?}"));
        }
        let answer = host.client().get("/probe/ok").await;
        if answer.body["version"] != 1 {
            faults.push(format!("the running version is touched: {answer:?}"));
        }
        assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
        memory_is_back(host.process(), memory_kib).await;
    }
}
