//! How the path of a request is changed for the service.

use super::key::Key;
use super::report::Report;
use super::route_file;
use super::template::{self, Template};

/// The change. It is made on the normal form of a path that matches the route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewrite {
    /// The first segments are taken away.
    Strip {
        /// How many.
        segments: usize,
    },
    /// A prefix is put before the path.
    Add {
        /// Without a slash at its end.
        prefix: String,
    },
    /// A prefix stands in the place of the first segments.
    Replace {
        /// How many.
        segments: usize,
        /// Without a slash at its end.
        prefix: String,
    },
    /// Another path stands in its place.
    Path(Template),
}

/// Checks the rewriting of a route with this pattern.
pub fn check(
    written: &route_file::Rewrite,
    pattern: &str,
    key: &Key,
    report: &mut Report<'_>,
) -> Option<Rewrite> {
    let route_file::Rewrite { strip_prefix, add_prefix, replace_prefix, path } = written;
    match (strip_prefix, add_prefix, replace_prefix, path) {
        (Some(prefix), None, None, None) => {
            let segments = template::prefix_segments(prefix, pattern);
            Some(Rewrite::Strip { segments: sound(segments, &key.field("strip-prefix"), report)? })
        }
        (None, Some(prefix), None, None) => {
            sound(template::check_prefix(prefix), &key.field("add-prefix"), report)?;
            Some(Rewrite::Add { prefix: prefix.clone() })
        }
        (None, None, Some(replace), None) => {
            let key = key.field("replace-prefix");
            let (from, to) = (replace.from.as_deref()?, replace.to.as_deref()?);
            let segments = sound(template::prefix_segments(from, pattern), &key.field("from"), report);
            let prefix = sound(template::check_prefix(to), &key.field("to"), report);
            prefix.and(Some(Rewrite::Replace { segments: segments?, prefix: to.to_owned() }))
        }
        (None, None, None, Some(path)) => {
            let template = Template::parse(path, pattern);
            Some(Rewrite::Path(sound(template, &key.field("path"), report)?))
        }
        _ => {
            if !report.refused_within(key) {
                let remedy = "write one of `strip-prefix`, `add-prefix`, `replace-prefix` and `path`";
                report.refuse_found(key, "none or several changes", remedy);
            }
            None
        }
    }
}

fn sound<T>(result: Result<T, String>, key: &Key, report: &mut Report<'_>) -> Option<T> {
    result.map_err(|remedy| report.refuse(key, remedy)).ok()
}
