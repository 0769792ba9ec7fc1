//! What this version makes of its trial: told by `config`, or by a mark that a test changes in the bytes.

use std::hint::black_box;

use hostel_sdk::{Dialect, Error, Result, config};

/// The marks: tests make `probe-health=trap ` of the first, and so another version of the component.
static MARKS: [&str; 2] = ["probe-health=well  ", "probe-migration=well  "];

/// The schema.
pub fn migrations(_: Dialect) -> Vec<String> {
    let mut scripts = vec![
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
         CREATE TABLE deliveries (id TEXT PRIMARY KEY, body TEXT NOT NULL, attempts BIGINT NOT NULL,
                                  effects BIGINT NOT NULL);"
            .to_owned(),
    ];
    match planned("migration", 1).as_str() {
        "well" => {}
        // The first half would work: nothing of it may stay.
        "broken" => {
            scripts.push("CREATE TABLE half (id INTEGER); INSERT INTO nowhere VALUES (1);".to_owned());
        }
        "trap" => panic!("the probe traps in its migrations, as it was asked to"),
        other => scripts.push(format!("there is no migration called {other}")),
    }
    scripts
}

/// Whether it is fit.
pub fn health() -> Result<()> {
    match planned("health", 0).as_str() {
        "well" => Ok(()),
        "trap" => panic!("the probe traps in its health check, as it was asked to"),
        other => Err(Error::internal(format!("the probe is {other}, as it was asked to be"))),
    }
}

fn planned(key: &str, mark: usize) -> String {
    // Without the black box the compiler would read the mark now, and not from the bytes.
    let mark = black_box(MARKS[mark]);
    let marked = mark.split_once('=').map_or("well", |(_, plan)| plan.trim_end());
    config::get(key).ok().flatten().unwrap_or_else(|| marked.to_owned())
}
