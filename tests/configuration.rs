//! gateway.toml through `hostel check`: what is wrong is told with line, key and remedy.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::support::guests::{component, repository};
use crate::support::host::Host;

/// What follows the four lines of listeners; the line of the slip, its key, and what to do.
#[rustfmt::skip]
const SLIPS: [(&str, usize, &str, &str); 22] = [
    // Syntax.
    ("[services.a", 5, "", "write `]`"),
    ("[services.a]\ndomain = \"x", 6, "", "invalid basic string"),
    // Keys.
    ("[services.a]\ncomponnent = \"a.wasm\"", 6, "services.a.componnent", "did you mean `component`?"),
    ("[service.a]", 5, "service", "did you mean `services`?"),
    ("[[routes]]\nservice = \"a\"\n[services.a]", 5, "routes[0].path", "add `path = "),
    // Units and ranges.
    ("[services.a]\nlimits = { memory = \"64 elephants\" }", 6, "services.a.limits.memory", "write a size"),
    ("[services.a]\nlimits = { memory = 64 }", 6, "services.a.limits.memory", "write a string in quotes such as \"64MiB\""),
    ("[services.a]\nlimits = { time = \"64MiB\" }", 6, "services.a.limits.time", "write a duration with its unit"),
    ("[services.a]\ninstances = { min = 3, max = 2 }", 6, "services.a.instances.min", "at most `max`"),
    // Files.
    ("[services.a]\ncomponent = \"missing.wasm\"", 6, "services.a.component", "add `build`"),
    ("[[routes]]\npath = \"/{*r}\"\nfiles = \"missing\"", 7, "routes[0].files", "there is no such folder"),
    ("[services.a]\nsecrets = { k = \"file:missing.key\" }", 6, "services.a.secrets.k", "missing.key readable"),
    ("[services.a]\nsecrets = { k = \"env:HOSTEL_NO_SUCH_VARIABLE\" }", 6, "services.a.secrets.k", "set the environment variable"),
    // Routes.
    ("[[routes]]\npath = \"/x/{a}\"\nservice = \"a\"\n[[routes]]\npath = \"/x/{b}\"\nservice = \"a\"\n[services.a]", 9, "routes[1].path", "the route at line 5 takes the same requests"),
    ("[[routes]]\npath = \"/\"\nservice = \"ordre\"\n[services.order]", 7, "routes[0].service", "did you mean `order`?"),
    ("[[routes]]\npath = \"/{*r}/x\"\nservice = \"a\"\n[services.a]", 6, "routes[0].path", "stand at the end"),
    // Grants.
    ("[services.a]\ncalls = [\"stok\"]\n[services.stock]", 6, "services.a.calls[0]", "did you mean `stock`?"),
    ("[services.a]\nsubscribes = [\"b.*\"]", 6, "services.a.subscribes[0]", "nobody may publish such a topic"),
    ("[services.a]\nupstreams = [\"http://a\"]\ndatabase = \"embedded\"", 7, "services.a.database", "to nobody"),
    ("[services.a]\nfetches = [\"https://a/path\"]", 6, "services.a.fetches[0]", "take the path out"),
    ("[services.a]\ndatabase = \"sqlite\"", 6, "services.a.database", "write \"embedded\""),
    ("[services.a]\nbuckets = [\"../x\"]", 6, "services.a.buckets[0]", "name a bucket"),
];

/// Keys that an editor completes, of every table.
const KEYS: [&str; 44] = [
    "gateway",
    "admin",
    "storage",
    "telemetry",
    "messaging",
    "services",
    "routes",
    "listen",
    "body",
    "access-log",
    "connections-max",
    "requests-max",
    "header-timeout",
    "path",
    "format",
    "level",
    "retention",
    "attempts",
    "back-off",
    "domain",
    "component",
    "build",
    "upstreams",
    "database",
    "buckets",
    "publishes",
    "subscribes",
    "calls",
    "fetches",
    "instances",
    "limits",
    "config",
    "secrets",
    "min",
    "max",
    "reuse",
    "memory",
    "service-memory",
    "time",
    "cpu",
    "idle",
    "host",
    "methods",
    "files",
];

#[test]
fn each_slip_is_told_with_line_key_and_remedy() {
    for (text, line, key, remedy) in SLIPS {
        let host = Host::prepare(text);
        for command in ["check", "up"] {
            let (code, output, errors) = host.run(&[command]);
            assert_eq!(code, Some(1), "{command}: {text}\n{errors}");
            assert!(output.is_empty(), "{command}: {text}\n{output}");
            assert!(
                errors.contains(&format!("gateway.toml:{line}:")),
                "{command}: {text}\nline {line}:\n{errors}"
            );
            assert!(errors.contains(&format!(" {key}")), "{command}: {text}\nkey {key}:\n{errors}");
            assert!(errors.contains(remedy), "{command}: {text}\nremedy {remedy}:\n{errors}");
        }
        assert!(!host.path("data").exists(), "{text}\nan invalid file leaves nothing behind");
    }
}

#[test]
fn all_slips_of_a_file_are_told_at_once() {
    let text = "[services.a]\ncalls = [\"x\"]\nlimits = { time = \"soon\" }\n[[routes]]\npath = \"x\"\nservice = \"a\"\n";
    let host = Host::prepare(text);
    let (code, output, errors) = host.run(&["check", "--json"]);
    assert_eq!(code, Some(1), "{errors}");
    let verdict: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(verdict["good"], json!(false), "{verdict}");
    let problems = verdict["problems"].as_array().unwrap();
    let places: Vec<_> =
        problems.iter().map(|it| (it["line"].as_u64().unwrap(), it["key"].as_str().unwrap())).collect();
    assert_eq!(places, [(6, "services.a.calls[0]"), (7, "services.a.limits.time"), (9, "routes[0].path")]);
    let remedies = |problem: &Value| problem["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty());
    assert!(problems.iter().all(remedies), "{verdict}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let host = Host::prepare("");
    fs::remove_file(host.path("gateway.toml")).unwrap();
    for command in ["check", "up", "build", "services"] {
        let (code, _, errors) = host.run(&[command]);
        assert_eq!(code, Some(1), "{command}: {errors}");
        assert!(errors.contains("gateway.toml"), "{command}: {errors}");
    }
}

#[test]
fn no_secret_stands_in_a_message() {
    let host =
        Host::prepare("[services.a]\nsecrets = { k = \"hunter2\" }\nfetches = [\"https://u:hunter3@a\"]");
    let (code, output, errors) = host.run(&["check"]);
    assert_eq!(code, Some(1));
    assert!(!format!("{output}{errors}").contains("hunter"), "{errors}");
}

#[test]
fn the_file_of_the_repository_is_valid_and_its_components_fit() {
    component("order");
    let host = Host::prepare("");
    let root = repository().display().to_string();
    let text = fs::read_to_string(repository().join("gateway.toml")).unwrap();
    // Elsewhere, so that the check leaves nothing in the repository.
    let text = text.replace("\"target/", &format!("\"{root}/target/"));
    let text = text.replace("\"components/", &format!("\"{root}/components/"));
    fs::write(host.path("gateway.toml"), text).unwrap();
    let checked = host.run_json(&["check"]);
    assert_eq!(checked["good"], json!(true), "{checked}");
    let services = checked["services"].as_array().unwrap();
    let names: Vec<_> = services.iter().map(|it| it["service"].as_str().unwrap()).collect();
    assert_eq!(names, ["customer", "identity", "order", "payment", "stock", "warehouse"]);
    for service in services {
        assert!(service["message"].as_str().unwrap().starts_with("fits ("), "{service}");
    }
    let (code, output, _) = host.run(&["check"]);
    assert!(code == Some(0) && output.contains("gateway.toml is valid"), "{output}");
}

#[test]
fn a_component_that_needs_more_than_it_is_granted_does_not_fit() {
    let probe = component("probe").display().to_string();
    let host = Host::prepare(&format!("[services.probe]\ncomponent = \"{probe}\"\nbuild = \"true\"\n"));
    let (code, output, errors) = host.run(&["check"]);
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("BAD") && output.contains("database"), "{output}");
    assert!(errors.contains("gateway.toml"), "{errors}");
}

#[test]
fn the_schema_names_every_key() {
    let schema = Host::prepare("").run_json(&["check", "--schema"]);
    assert!(schema["$schema"].as_str().is_some_and(|text| text.contains("json-schema.org")), "{schema}");
    let mut names = BTreeSet::new();
    collect(&schema, &mut names);
    for key in KEYS {
        assert!(names.contains(key), "{key} is missing: {names:?}");
    }
    assert_eq!(schema["additionalProperties"], json!(false), "an unknown key is an error");
}

/// The names of all properties, at any depth.
fn collect<'s>(schema: &'s Value, names: &mut BTreeSet<&'s str>) {
    if let Some(properties) = schema["properties"].as_object() {
        names.extend(properties.keys().map(String::as_str));
    }
    match schema {
        Value::Object(members) => members.values().for_each(|member| collect(member, names)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        _ => {}
    }
}
