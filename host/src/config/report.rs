//! Collects the problems of one file while it is read and checked.

use std::path::Path;

use super::key::{Key, Place, Places};
use super::problem::{ConfigError, Problem};

/// The longest piece of a file in a message; the line and column lead to the rest.
const FOUND_CHARACTERS_MAX: usize = 60;

/// The problems found so far, and where each key stands.
pub struct Report<'t> {
    text: &'t str,
    places: Places,
    problems: Vec<(Key, Problem)>,
}

impl<'t> Report<'t> {
    /// An empty report on this text.
    pub fn new(text: &'t str) -> Self {
        Self { text, places: Places::default(), problems: Vec::new() }
    }

    /// Remembers where a key stands.
    pub fn place(&mut self, key: &Key, place: Place) {
        self.places.insert(key.clone(), place);
    }

    /// The line of the key, counted from 1.
    pub fn line(&self, key: &Key) -> usize {
        position(self.text, self.places.offset(key)).0
    }

    /// Refuses the value that stands under the key.
    pub fn refuse(&mut self, key: &Key, remedy: impl Into<String>) {
        let found = self.found(key);
        self.refuse_found(key, found, remedy);
    }

    /// Refuses what stands under the key, in other words than the file's.
    pub fn refuse_found(&mut self, key: &Key, found: impl Into<String>, remedy: impl Into<String>) {
        let offset = self.places.offset(key);
        self.refuse_at(offset, key, found, remedy);
    }

    /// Refuses what stands at a byte of the file.
    pub fn refuse_at(
        &mut self,
        offset: usize,
        key: &Key,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let (line, column) = position(self.text, offset);
        let problem =
            Problem { line, column, key: key.to_string(), found: found.into(), remedy: remedy.into() };
        self.problems.push((key.clone(), problem));
    }

    /// Whether the key or something in it was refused.
    pub fn refused_within(&self, key: &Key) -> bool {
        self.problems.iter().any(|(refused, _)| refused.is_within(key))
    }

    /// Whether nothing was refused.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// All problems, in the order of the file.
    pub fn into_error(self, file: &Path) -> ConfigError {
        let mut problems: Vec<Problem> = self.problems.into_iter().map(|(_, problem)| problem).collect();
        problems.sort_by_key(|problem| (problem.line, problem.column));
        ConfigError { file: file.to_owned(), problems }
    }

    /// The value as written, short, and without what might be secret.
    fn found(&self, key: &Key) -> String {
        if key.is_secret() {
            return "a value that is not shown here".into();
        }
        let Some(written) = self.places.value(key).and_then(|range| self.text.get(range)) else {
            return "nothing".into();
        };
        // What stands before the last `@` of an address may hold a password.
        if let Some(end) = written.rfind('@') {
            let begin = written[..end].find("://").map_or(0, |colon| colon + 3);
            return shorten(&format!("{}…{}", &written[..begin], &written[end..]));
        }
        shorten(written)
    }
}

/// Line and column of a byte, both counted from 1, the column in characters.
pub fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |index| index + 1);
    let column = String::from_utf8_lossy(&before[start..]).chars().filter(|char| *char != '\u{feff}').count();
    (line, column + 1)
}

fn shorten(written: &str) -> String {
    let mut lines = written.lines();
    let first = lines.next().unwrap_or_default();
    let mut short: String = first.chars().take(FOUND_CHARACTERS_MAX).collect();
    if lines.next().is_some() || short.len() < first.len() {
        short.push('…');
    }
    short
}
