//! Fuzzing of route matching: whatever is sent, no spelling of a path reaches another route than what it may be read as.
//!
//! A short random run is part of the unit tests; `cargo bolero test gateway::routing::route::fuzz::NAME` goes on guided
//! by coverage.

use std::collections::BTreeSet;

use http::HeaderMap;

use super::tests::routes;
use super::*;

/// What paths are made of: names of the routes, spellings of their letters, and everything that servers read
/// differently.
const PIECES: [&str; 32] = [
    "/", "/", "//", "admin", "ADMIN", "public", "a", "%61", "%41", "dmin", "%2f", "%2F", "%5c", "\\", ".",
    "..", "%2e", "%2E%2e", ";", ";x", "%3b", "%25", "%252f", "%00", "%", "%z", "é", " ", "?", "#", "{name}",
    "*",
];

fn path_of(bytes: &[u8]) -> String {
    let pieces = bytes.iter().map(|byte| PIECES[usize::from(*byte) % PIECES.len()]);
    format!("/{}", pieces.collect::<String>())
}

/// Every path as which a program may read this one: percent signs decoded or not, backslashes as slashes or not,
/// parameters, empty segments and dot segments left out or not. Written without the code under test.
fn readings(raw: &str) -> BTreeSet<String> {
    let steps: [fn(String) -> String; 5] = [
        |path| percent_encoding::percent_decode_str(&path).decode_utf8_lossy().into_owned(),
        |path| path.replace('\\', "/"),
        |path| by_segment(&path, |segment| segment.split(';').next()),
        |path| by_segment(&path, |segment| Some(segment).filter(|segment| !segment.is_empty())),
        without_dots,
    ];
    let mut readings = BTreeSet::new();
    for chosen in 0..1_u8 << steps.len() {
        let mut path = raw.to_owned();
        for (index, step) in steps.iter().enumerate() {
            if chosen & (1 << index) != 0 {
                path = step(path);
            }
        }
        readings.insert(path);
    }
    readings
}

fn by_segment(path: &str, keep: impl Fn(&str) -> Option<&str>) -> String {
    path.split('/').filter_map(keep).map(|segment| format!("/{segment}")).collect()
}

fn without_dots(path: String) -> String {
    let mut kept = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => _ = kept.pop(),
            segment => kept.push(segment),
        }
    }
    kept.iter().map(|segment| format!("/{segment}")).collect()
}

fn is_below(path: &str, name: &str) -> bool {
    path.trim_start_matches('/').split('/').next() == Some(name)
}

#[test]
fn no_spelling_of_a_guarded_path_reaches_an_open_route() {
    // Routes are shared with tasks, which the fuzzer cannot know to be sound after a panic; here nothing goes on after one.
    let routes = routes(&["- - /{*rest}", "- - /admin/{*rest}", "- - /public/{name}"]).unwrap();
    let line = std::panic::AssertUnwindSafe(|path: &str| {
        let facts = Facts { headers: &HeaderMap::new(), query: None, is_promise: false };
        routes.find(None, &Method::GET, path, facts).ok().map(|found| found.route.line)
    });
    bolero::check!().with_iterations(200_000).with_max_len(12).for_each(|bytes| {
        let path = path_of(bytes);
        let Some(line) = line(&path) else { return };
        let guarded = readings(&path).into_iter().find(|reading| is_below(reading, "admin"));
        if let Some(reading) = guarded {
            assert_eq!(line, 2, "{path} may be read as {reading}");
        }
    });
}

#[test]
fn a_normal_form_is_its_own() {
    bolero::check!().with_iterations(100_000).with_max_len(16).for_each(|bytes| {
        let path = path_of(bytes);
        let Ok(normal) = path::normal_form(&path) else { return };
        assert_eq!(path::normal_form(&normal).as_deref(), Ok(&*normal), "{path}");
        for reading in path::other_readings(&normal) {
            assert!(reading.starts_with('/'), "{path}: {reading}");
        }
    });
}

#[test]
fn no_pattern_and_no_path_breaks_the_tree() {
    bolero::check!().with_iterations(20_000).with_type().for_each(
        |(pattern, path, host): &(Vec<u8>, String, String)| {
            let pattern = path_of(pattern);
            let lines =
                [format!("- - {}", pattern.replace(' ', "_")), "GET *.example.com /{*rest}".to_owned()];
            let Ok(routes) = routes(&lines.each_ref().map(String::as_str)) else { return };
            let facts = Facts { headers: &HeaderMap::new(), query: Some(path), is_promise: false };
            _ = routes.find(Some(host), &Method::GET, path, facts);
        },
    );
}
