//! Layers, owners of outside crates, sizes and captions: the rules that the compiler cannot see.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::guests::repository;

/// The longest file; a longer one has two nouns.
const LINES_MAX: usize = 400;

/// What every module may use, lowest first: each of them only those before it.
const GROUND: &[&str] = &["allocator", "names", "body", "deadline", "coarse_time", "config", "telemetry"];

/// Which modules each module may use besides the ground.
const LAYERS: &[(&str, &[&str])] = &[
    ("allocator", &[]),
    ("names", &[]),
    ("body", &[]),
    ("deadline", &[]),
    ("coarse_time", &[]),
    ("config", &[]),
    ("telemetry", &[]),
    ("backends", &[]),
    ("registry", &["backends"]),
    ("sessions", &["backends"]),
    ("interfaces", &["registry", "backends"]),
    ("runtime", &["interfaces", "backends"]),
    ("balance", &["runtime", "interfaces", "registry", "backends"]),
    ("subscriptions", &["balance", "backends", "runtime"]),
    ("gateway", &["balance", "sessions"]),
    ("deploy", &["balance", "runtime", "interfaces", "registry", "backends"]),
    ("admin", &["deploy", "gateway", "sessions", "balance", "registry", "backends", "runtime"]),
    (
        "app",
        &[
            "admin",
            "gateway",
            "deploy",
            "subscriptions",
            "balance",
            "runtime",
            "interfaces",
            "sessions",
            "registry",
            "backends",
        ],
    ),
    ("cli", &["app", "admin", "gateway", "deploy", "balance", "runtime", "registry"]),
];

/// Which modules may name an outside crate; a crate that is not here may be named anywhere.
const OWNERS: &[(&str, &[&str])] = &[
    ("rusqlite", &["backends"]),
    ("wasmtime", &["interfaces", "runtime"]),
    ("wasmtime_wasi", &["interfaces", "runtime"]),
    ("wasmtime_wasi_http", &["interfaces", "runtime"]),
    ("axum", &["admin"]),
    ("clap", &["cli"]),
    ("libmimalloc_sys", &["allocator"]),
    ("toml", &["config"]),
    ("schemars", &["config"]),
    ("notify", &["deploy"]),
    ("prometheus_client", &["telemetry"]),
    ("reqwest", &["cli"]),
    ("tower_http", &["gateway"]),
    ("rustls", &["config", "balance", "gateway"]),
    ("hyper_rustls", &["interfaces", "balance", "gateway"]),
    ("tokio_rustls", &["gateway"]),
    ("x509_parser", &["gateway"]),
    ("ppp", &["gateway"]),
    ("governor", &["gateway"]),
    ("async_compression", &["gateway"]),
    ("rustix", &["coarse_time", "telemetry", "interfaces", "runtime", "gateway"]),
    ("wasmparser", &["runtime"]),
    ("jsonwebtoken", &["gateway"]),
    ("moka", &["gateway"]),
    ("httpdate", &["gateway"]),
    ("cookie", &["gateway"]),
    ("aes_gcm", &["sessions"]),
];

#[test]
fn modules_use_only_what_stands_below_them() {
    let layers: BTreeMap<_, _> = LAYERS.iter().copied().collect();
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let Some(module) = module_of(&path) else { continue };
        let Some(allowed) = layers.get(module.as_str()) else {
            faults.push(format!("{}: {module} stands in no layer", path.display()));
            continue;
        };
        for used in used_modules(&text) {
            if used != module && !is_ground(&module, &used) && !allowed.contains(&used.as_str()) {
                faults.push(format!("{}: {module} uses {used}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_layers_have_no_cycle() {
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for (module, allowed) in LAYERS {
        for used in *allowed {
            let is_below = known.contains(used)
                || LAYERS.iter().take_while(|(it, _)| it != module).any(|(it, _)| it == used);
            // The admin layer stands above the gateway in the table's order.
            assert!(is_below, "{module} may use {used}, which does not stand below it");
        }
        known.insert(module);
    }
}

#[test]
fn outside_crates_are_named_only_by_their_owners() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let Some(module) = module_of(&path) else { continue };
        for (name, owners) in OWNERS {
            let names_it = code_lines(&text).any(|line| names_crate(line, name));
            if names_it && !owners.contains(&module.as_str()) {
                faults.push(format!("{}: only {owners:?} may name {name}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_file_has_a_caption_and_is_not_too_long() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        if !text.starts_with("//! ") {
            faults.push(format!("{}: the first line says what the file is for", path.display()));
        }
        if text.lines().count() > LINES_MAX {
            faults.push(format!("{}: more than {LINES_MAX} lines: two nouns?", path.display()));
        }
        let opener = ["TO", "DO"].concat();
        if text.contains(&opener) || text.contains("super::super::") {
            faults.push(format!("{}: an open point, or a path that hides its layer", path.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_architecture_page_names_only_what_is_there() {
    let page = fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let rows =
        page.lines().filter(|line| line.starts_with("| ") && line.contains(".rs`") || line.contains("/`"));
    let named = rows.flat_map(|line| line.split('`').skip(1).step_by(2));
    let paths: Vec<&str> = named.filter(|text| text.ends_with(".rs") || text.ends_with('/')).collect();
    assert!(paths.len() > 20, "{paths:?}");
    let known = ["host/", "components/", "wit/", "tests/"];
    let gone = |path: &&&str| !known.contains(path) && !repository().join("host/src").join(path).exists();
    let gone: Vec<_> = paths.iter().filter(gone).collect();
    assert!(gone.is_empty(), "ARCHITECTURE.md names {gone:?}");
}

#[test]
fn a_hidden_layer_fault_would_be_found() {
    let text =
        "use crate::{names::ServiceName, gateway::{Gateway, route::Route}};\n// crate::cli in a comment\n";
    assert_eq!(used_modules(text), BTreeSet::from(["names".to_owned(), "gateway".to_owned()]));
    assert!(names_crate("let engine = wasmtime::Engine::default();", "wasmtime"));
    assert!(!names_crate("use wasmtime_wasi::WasiCtx;", "wasmtime"));
}

fn is_ground(module: &str, used: &str) -> bool {
    let place = |name: &str| GROUND.iter().position(|ground| *ground == name);
    match (place(module), place(used)) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(module), Some(used)) => used < module,
    }
}

/// Every source file of the host, but for files of tests only.
fn sources() -> Vec<(PathBuf, String)> {
    let root = repository().join("host/src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 80, "the sources were not found");
    files
        .into_iter()
        .map(|path| (path.strip_prefix(&root).unwrap().to_owned(), fs::read_to_string(&path).unwrap()))
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test(&path) {
            files.push(path);
        }
    }
}

/// Tests beside the code may look at any layer.
fn is_test(path: &Path) -> bool {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    name == "tests"
        || name.ends_with("_tests")
        || name.ends_with("_fuzz")
        || path.parent().is_some_and(|folder| folder.ends_with("tests"))
}

/// The top module that a file belongs to; none for `lib.rs` and `main.rs`.
fn module_of(path: &Path) -> Option<String> {
    let first = path.components().next()?.as_os_str().to_str()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (name != "lib" && name != "main").then(|| name.to_owned())
}

fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

fn names_crate(line: &str, name: &str) -> bool {
    let path = format!("{name}::");
    line.match_indices(&path).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        before.is_none_or(|before| !before.is_alphanumeric() && before != '_' && before != ':')
    })
}

/// The top modules that `crate::` paths name, also in nested groups.
fn used_modules(text: &str) -> BTreeSet<String> {
    let code: String = code_lines(text).collect::<Vec<_>>().join("\n");
    let mut used = BTreeSet::new();
    for (start, prefix) in code.match_indices("crate::") {
        let rest = &code[start + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => used.extend(group_heads(group)),
            None => used.extend(head(rest)),
        }
    }
    used
}

fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut heads, mut at_start) = (0, Vec::new(), true);
    for (index, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            character if at_start && character.is_alphabetic() => {
                heads.extend(head(&group[index..]));
                at_start = false;
            }
            _ => {}
        }
    }
    heads
}

fn head(path: &str) -> Option<String> {
    let name: String =
        path.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect();
    name.chars().next().is_some_and(char::is_lowercase).then_some(name)
}
