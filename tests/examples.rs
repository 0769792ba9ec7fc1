//! Every example, run as its README says: the commands of its console blocks, and what they print.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::guests::{component, repository};
use crate::support::host::Host;
use crate::support::shop::Shop;

/// How long what a command shows may take to become so: messages arrive a moment later.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(30);

/// The gateway's address in every README.
const GATEWAY: &str = "http://127.0.0.1:8080";

/// A command of a README and what it prints; `…` stands for anything.
#[derive(Debug, PartialEq)]
struct Step {
    command: String,
    expected: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn hello_runs_as_its_readme_says() {
    run("01-hello", &["hello"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_run_as_their_readme_says() {
    run("02-notes", &["notes"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_run_as_their_readme_says() {
    run("03-calls", &["greeter", "visitor"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_runs_as_its_readme_says() {
    run("04-worker", &["worker"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_answers_as_the_readme_says() {
    let shop = Shop::open().await;
    follow(&shop.host, &fs::read_to_string(repository().join("README.md")).unwrap()).await;
}

#[test]
fn the_blocks_of_a_readme_become_steps() {
    let text =
        "a\n```console\n$ hostel up\nready\n```\n```sh\n$ no\n```\n```console\n$ one\n1\n…\n$ two\n```\n";
    let step = |command: &str, expected: &str| Step { command: command.into(), expected: expected.into() };
    assert_eq!(steps(text), [step("one", "1\n…\n"), step("two", "")]);
}

#[test]
fn an_ellipsis_matches_anything_and_spaces_do_not_count() {
    let check = |expected: &str, shown: &str, matching: bool| {
        assert_eq!(matches(expected, shown), matching, "{expected:?} {shown:?}");
    };
    check("A  B\n", "A B", true);
    check("A …\n", "A B C", true);
    check("[…,7]", "[1,2,7]", true);
    check("[…,7]", "[1,2,8]", false);
    check("", "A", false);
    check("A", "A B", false);
    check("a…a", "a", false);
}

/// Starts a host on an example's gateway.toml and follows its README.
async fn run(example: &str, packages: &[&str]) {
    for package in packages {
        component(package);
    }
    let folder = repository().join("examples").join(example);
    let config = fs::read_to_string(folder.join("gateway.toml")).unwrap();
    let (_, config) = config.split_once("[storage]").expect("[storage] stands after the listeners");
    let target = format!("\"{}/target/", repository().display());
    let host = Host::start(&format!("[storage]{}", config.replace("\"../../target/", &target))).await;
    follow(&host, &fs::read_to_string(folder.join("README.md")).unwrap()).await;
}

/// Runs the commands of a README and compares what they print.
async fn follow(host: &Host, readme: &str) {
    let steps = steps(readme);
    assert!(!steps.is_empty(), "the README has no console block");
    let mut variables = BTreeMap::new();
    for step in steps {
        let deadline = Instant::now() + SETTLE_TIME_MAX;
        loop {
            let shown = shell(host, &step.command, &mut variables);
            if matches(&step.expected, &shown) {
                break;
            }
            let may_repeat = only_looks(&step.command) && Instant::now() < deadline;
            assert!(may_repeat, "$ {}\nshould print\n{}\nbut printed\n{shown}", step.command, step.expected);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The commands of the console blocks; a block that starts the host is left out, since it runs already.
fn steps(readme: &str) -> Vec<Step> {
    let blocks = readme.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut steps: Vec<Step> = Vec::new();
    for block in blocks.filter(|block| !starts_the_host(block)) {
        for line in block.lines() {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => {
                    steps.push(Step { command: command.to_owned(), expected: String::new() })
                }
                (None, Some(step)) => step.expected.extend([line, "\n"]),
                (None, None) => panic!("a console block begins with a command: {line}"),
            }
        }
    }
    steps
}

fn starts_the_host(block: &str) -> bool {
    block.contains("$ hostel up") || block.contains("-- up")
}

/// Whether a command changes nothing, so that it can be typed again.
fn only_looks(command: &str) -> bool {
    let changes = [" -d ", " -X ", "messages again", "hostel deploy", "hostel rollback"];
    !changes.iter().any(|sign| command.contains(sign))
}

/// Types a command; `name=$(…)` is remembered for those that follow. What went wrong is shown too.
fn shell(host: &Host, command: &str, variables: &mut BTreeMap<String, String>) -> String {
    let name = command.split_once("=$(").map(|(name, _)| name);
    let name = name.filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase()));
    let echo = name.map(|name| format!("; printf %s \"${name}\"")).unwrap_or_default();
    let command = command.replace(GATEWAY, &host.gateway());
    let script = format!("hostel() {{ \"$HOSTEL\" --config \"$CONFIG\" \"$@\"; }}\n{command}{echo}");
    let output = Command::new("sh")
        .args(["-c", &script])
        .envs(variables.iter())
        .env("HOSTEL", env!("CARGO_BIN_EXE_hostel"))
        .env("CONFIG", host.path("gateway.toml"))
        .env("no_proxy", "127.0.0.1")
        .current_dir(host.folder())
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    let Some(name) = name else { return shown };
    assert!(!shown.is_empty(), "{command} found nothing");
    variables.insert(name.to_owned(), shown);
    String::new()
}

/// Whether this was to be printed; runs of spaces and line ends count as one space.
fn matches(expected: &str, shown: &str) -> bool {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (expected, shown) = (plain(expected), plain(shown));
    let mut parts = expected.split('…').map(str::trim);
    let Some(mut rest) = parts.next().and_then(|first| shown.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    true
}
