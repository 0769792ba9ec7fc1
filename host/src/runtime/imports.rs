//! Which interfaces a component may import and must export, from what its configuration grants.

use std::fmt;

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::config::ServiceConfig;
use crate::interfaces::WASI_VERSION;

/// The version of `hostel:service` that this host has.
const SERVICE_VERSION: &str = "0.1.0";

/// The same of WASI 0.3, whose patches have added nothing so far.
const WASI_P3_VERSION: &str = "0.3.2";

/// The interfaces that this host has: package, interface, versions.
const OFFERED: &[(&str, &[&str], &[&str])] = &[
    ("hostel:service", &["types", "database", "messaging", "discovery"], &[SERVICE_VERSION]),
    ("wasi:keyvalue", &["store", "atomics", "batch"], &["0.2.0-draft", "0.2.0-draft2"]),
    ("wasi:config", &["store"], &["0.2.0-rc.1", "0.2.0-draft", "0.2.0-draft-2024-09-27"]),
    ("wasi:logging", &["logging"], &["0.1.0-draft"]),
    ("wasi:http", &["types", "outgoing-handler"], &[WASI_VERSION]),
    ("wasi:http", &["types", "client"], &[WASI_P3_VERSION]),
    ("wasi:io", &["error", "poll", "streams"], &[WASI_VERSION]),
    ("wasi:clocks", &["monotonic-clock", "wall-clock"], &[WASI_VERSION]),
    ("wasi:clocks", &["types", "monotonic-clock", "system-clock"], &[WASI_P3_VERSION]),
    ("wasi:random", &["random", "insecure", "insecure-seed"], &[WASI_VERSION, WASI_P3_VERSION]),
    (
        "wasi:cli",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
        &[WASI_VERSION, WASI_P3_VERSION],
    ),
    ("wasi:cli", &["types"], &[WASI_P3_VERSION]),
    ("wasi:filesystem", &["types", "preopens"], &[WASI_VERSION, WASI_P3_VERSION]),
    (
        "wasi:sockets",
        &[
            "tcp",
            "udp",
            "tcp-create-socket",
            "udp-create-socket",
            "instance-network",
            "network",
            "ip-name-lookup",
        ],
        &[WASI_VERSION],
    ),
    ("wasi:sockets", &["types", "ip-name-lookup"], &[WASI_P3_VERSION]),
];

/// Interfaces that act for the call of the moment: which one that is, is known for certain only where there is one.
const FOR_ONE_CALL: &[&str] = &["hostel:service", "wasi:keyvalue"];

/// The export by which a component of WASI 0.2 answers requests.
pub const HTTP_HANDLER: &str = "wasi:http/incoming-handler";
/// The same of WASI 0.3.
pub const HTTP_P3_HANDLER: &str = "wasi:http/handler";
/// The export by which it handles messages.
pub const MESSAGE_HANDLER: &str = "hostel:service/message-handler";

/// The export that tells the schema of its database.
pub const MIGRATIONS: &str = "hostel:service/migrations";
/// The export that tells whether it can work.
pub const HEALTH: &str = "hostel:service/health";

/// Everything that is wrong with the imports and exports of a component, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch(pub Vec<String>);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for Mismatch {}

/// Compares the imports and exports of a component with what this host has and `gateway.toml` grants.
///
/// # Errors
///
/// Every import that the host does not know or that is not granted, with the line that would grant it, and every
/// export that is missing.
pub fn check(engine: &Engine, component: &Component, config: &ServiceConfig) -> Result<(), Mismatch> {
    let component_type = component.component_type();
    let imports = component_type.imports(engine).map(|(name, _)| name.to_owned());
    let exports: Vec<_> = component_type.exports(engine).map(|(name, _)| name.to_owned()).collect();
    let mut problems: Vec<_> = imports.filter_map(|import| check_import(&import, config)).collect();
    problems.extend(check_exports(&exports, config));
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Mismatch(problems)),
    }
}

/// Whether all that a component does can be told to belong to one of several calls at a time.
pub fn are_told_apart(engine: &Engine, component: &Component) -> bool {
    let component_type = component.component_type();
    component_type.imports(engine).all(|(name, _)| !FOR_ONE_CALL.contains(&split(name).0))
}

/// What is wrong with one import.
fn check_import(import: &str, config: &ServiceConfig) -> Option<String> {
    let (package, interface, version) = split(import);
    let of_package = || OFFERED.iter().filter(|(offered, _, _)| *offered == package);
    if of_package().next().is_none() {
        return Some(format!("it imports {import}, which this host does not have"));
    }
    let fits = |versions: &[&str]| versions.iter().any(|offered| is_compatible(offered, version));
    if !of_package().any(|(_, _, versions)| fits(versions)) {
        let mut versions: Vec<&str> = of_package().flat_map(|(_, _, versions)| *versions).copied().collect();
        versions.dedup();
        let versions = versions.join(", ");
        return Some(format!(
            "it imports {import}, but this host has {package}/{interface} in version {versions}: \
             build the component against that version"
        ));
    }
    if !of_package().any(|(_, interfaces, versions)| fits(versions) && interfaces.contains(&interface)) {
        return Some(format!("it imports {import}, but {package} of this host has no interface {interface}"));
    }
    let grant = missing_grant(package, interface, config)?;
    Some(format!(
        "it imports {import}, which is not granted: add {grant} to [services.{}] (line {} of gateway.toml)",
        config.name, config.line
    ))
}

/// The line of `gateway.toml` that would grant this interface, unless it is granted.
fn missing_grant(package: &str, interface: &str, config: &ServiceConfig) -> Option<&'static str> {
    let grants = &config.grants;
    match (package, interface) {
        ("hostel:service", "database") if !grants.database => Some("database = \"embedded\""),
        ("hostel:service", "messaging") if grants.publishes.is_empty() => Some("publishes = [\"a-topic.*\"]"),
        ("wasi:keyvalue", _) if grants.buckets.is_empty() => Some("buckets = [\"a-bucket\"]"),
        _ => None,
    }
}

fn check_exports(exports: &[String], config: &ServiceConfig) -> Vec<String> {
    let has = |name: &str, version: &str| {
        exports.iter().any(|export| {
            let (package, interface, found) = split(export);
            name == format!("{package}/{interface}") && is_compatible(version, found)
        })
    };
    let mut problems = Vec::new();
    for export in exports.iter().filter(|export| export.starts_with("hostel:service/")) {
        if !is_compatible(SERVICE_VERSION, split(export).2) {
            problems.push(format!(
                "it exports {export}, but this host calls version {SERVICE_VERSION}: build it against that version"
            ));
        }
    }
    let handles_messages = has(MESSAGE_HANDLER, SERVICE_VERSION);
    let handles_requests = has(HTTP_HANDLER, WASI_VERSION) || has(HTTP_P3_HANDLER, WASI_P3_VERSION);
    if !handles_requests && !handles_messages && problems.is_empty() {
        problems.push(format!(
            "it exports neither {HTTP_HANDLER}@{WASI_VERSION} nor {HTTP_P3_HANDLER}@{WASI_P3_VERSION} nor \
             {MESSAGE_HANDLER}@{SERVICE_VERSION}, so nothing could call it"
        ));
    }
    if !config.grants.subscribes.is_empty() && !handles_messages {
        problems.push(format!(
            "[services.{}] subscribes to topics (line {} of gateway.toml), but it does not export \
             {MESSAGE_HANDLER}@{SERVICE_VERSION}",
            config.name, config.line
        ));
    }
    problems
}

/// `wasi:http/types@0.2.12` -> `wasi:http`, `types`, `0.2.12`.
fn split(name: &str) -> (&str, &str, &str) {
    let (path, version) = name.split_once('@').unwrap_or((name, ""));
    let (package, interface) = path.split_once('/').unwrap_or((path, ""));
    (package, interface, version)
}

/// Whether a host that has `offered` can serve a component that wants `wanted`: patches of one minor version agree
/// (Semantic Versioning 2.0.0 with the rule for 0.x), pre-releases only with themselves.
fn is_compatible(offered: &str, wanted: &str) -> bool {
    let minor = |version: &str| -> Option<(String, u32)> {
        let (minor, patch) = version.rsplit_once('.')?;
        Some((minor.to_owned(), patch.parse().ok()?))
    };
    if offered == wanted {
        return true;
    }
    match (minor(offered), minor(wanted)) {
        (Some((offered, newest)), Some((wanted, patch))) => offered == wanted && patch <= newest,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_agree_and_drafts_only_with_themselves() {
        let check = |offered: &str, wanted: &str, expected: bool| {
            assert_eq!(is_compatible(offered, wanted), expected, "{offered} {wanted}");
        };
        check("0.2.12", "0.2.12", true);
        check("0.2.12", "0.2.3", true);
        check("0.2.12", "0.2.13", false);
        check("0.2.12", "0.3.0", false);
        check("0.2.0-draft", "0.2.0-draft", true);
        check("0.2.0-draft", "0.2.0-draft2", false);
        check("0.2.12", "0.2.0-rc-2023-11-10", false);
        check("0.1.0", "", false);
    }

    fn config(grants: &str) -> ServiceConfig {
        let service = format!("[services.order]\nbuild = \"true\"\ncomponent = \"order.wasm\"\n{grants}\n");
        let listeners = "[gateway]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";
        let text = service + listeners;
        let config = crate::config::parse(&text, std::path::Path::new("gateway.toml")).unwrap();
        ServiceConfig::clone(&config.services["order"])
    }

    #[test]
    fn what_is_not_granted_is_refused_with_the_line_that_would_grant_it() {
        let problem = check_import("hostel:service/database@0.1.0", &config("")).unwrap();
        assert!(problem.contains("database = \"embedded\"") && problem.contains("line 1"), "{problem}");
        assert_eq!(check_import("hostel:service/database@0.1.0", &config("database = \"embedded\"")), None);
        let problem = check_import("wasi:keyvalue/store@0.2.0-draft", &config("")).unwrap();
        assert!(problem.contains("buckets"), "{problem}");
    }

    #[test]
    fn both_generations_of_wasi_are_there() {
        for import in [
            "wasi:http/types@0.2.3",
            "wasi:http/types@0.3.0",
            "wasi:http/client@0.3.0",
            "wasi:clocks/system-clock@0.3.0",
            "wasi:random/random@0.3.0",
        ] {
            assert_eq!(check_import(import, &config("")), None, "{import}");
        }
        let problem = check_import("wasi:http/outgoing-handler@0.3.0", &config("")).unwrap();
        assert!(problem.contains("no interface outgoing-handler"), "{problem}");
    }

    #[test]
    fn another_version_is_refused_with_the_one_that_is_there() {
        let problem = check_import("hostel:service/database@0.9.0", &config("")).unwrap();
        assert!(problem.contains("0.1.0"), "{problem}");
        let problem = check_exports(&["hostel:service/message-handler@0.9.0".into()], &config("")).join(";");
        assert!(problem.contains("0.9.0") && problem.contains("0.1.0"), "{problem}");
    }

    #[test]
    fn a_component_that_nothing_could_call_is_refused() {
        assert_eq!(check_exports(&[], &config("")).len(), 1);
        for export in ["wasi:http/incoming-handler@0.2.3", "wasi:http/handler@0.3.0"] {
            assert!(check_exports(&[export.into()], &config("")).is_empty(), "{export}");
        }
    }
}
