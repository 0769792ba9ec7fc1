//! The path of a key in the file, and where each key stands.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// The path of a key: `services.order.limits.memory`, `routes[0].path`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Name(String),
    Item(usize),
}

impl Key {
    /// The whole file.
    pub fn root() -> Self {
        Self::default()
    }

    /// A key of this table.
    pub fn field(&self, name: &str) -> Self {
        self.with(Step::Name(name.to_owned()))
    }

    /// An element of this list, counted from 0.
    pub fn item(&self, index: usize) -> Self {
        self.with(Step::Item(index))
    }

    /// What this key stands in; none for the whole file.
    pub fn parent(&self) -> Option<Self> {
        let (_, steps) = self.0.split_last()?;
        Some(Self(steps.to_vec()))
    }

    /// Whether this key is the other one or stands in it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Whether it stands under `services.*.secrets`, where somebody may have written a secret itself.
    pub fn is_secret(&self) -> bool {
        let is = |index: usize, wanted: &str| matches!(self.0.get(index), Some(Step::Name(name)) if name == wanted);
        is(0, "services") && is(2, "secrets")
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Item(item) => write!(f, "[{item}]")?,
                Step::Name(name) => {
                    if index > 0 {
                        f.write_str(".")?;
                    }
                    if is_bare(name) { f.write_str(name)? } else { write!(f, "{name:?}")? }
                }
            }
        }
        Ok(())
    }
}

/// Where every key of a file stands, in bytes from its begin.
#[derive(Debug, Default)]
pub struct Places(BTreeMap<Key, Place>);

/// Where one key stands.
#[derive(Debug, Clone)]
pub struct Place {
    /// What an editor should point at: the value, or the name of a table.
    pub offset: usize,
    /// The value as written; none for tables, whose text lies in many places.
    pub value: Option<Range<usize>>,
}

impl Places {
    /// Remembers where a key stands.
    pub fn insert(&mut self, key: Key, place: Place) {
        self.0.insert(key, place);
    }

    /// The value of the key, when it stands in the file as one piece.
    pub fn value(&self, key: &Key) -> Option<Range<usize>> {
        self.0.get(key)?.value.clone()
    }

    /// Where the key stands or, when it is missing, the nearest table that it should stand in.
    pub fn offset(&self, key: &Key) -> usize {
        let mut nearest = Some(key.clone());
        while let Some(candidate) = nearest {
            if let Some(place) = self.0.get(&candidate) {
                return place.offset;
            }
            nearest = candidate.parent();
        }
        0
    }
}

/// Whether TOML needs no quotes around the key.
fn is_bare(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
