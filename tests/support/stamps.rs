//! The stamps of the probe's answers, compared with which version was let answer when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Instant;

/// Who has made a line, as the host told it, and the mark of its component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The service.
    pub service: String,
    /// The number of its version.
    pub version: u64,
    /// The instance.
    pub instance: String,
    /// The mark in the bytes of the component.
    pub mark: String,
}

/// An answer: its stamps in order, and what stands between them.
#[derive(Debug, Default)]
pub struct Stamped {
    /// The stamps.
    pub stamps: Vec<Stamp>,
    /// All other bytes.
    pub rest: String,
}

/// When which version was let answer, and which have answered.
#[derive(Debug, Default)]
pub struct Ledger {
    changes: Mutex<BTreeMap<String, Vec<Change>>>,
    seen: Mutex<Vec<Seen>>,
}

#[derive(Debug)]
struct Change {
    version: u64,
    mark: String,
    begun: Instant,
    done: Instant,
}

#[derive(Debug)]
struct Seen {
    stamp: Stamp,
    asked: Instant,
    answered: Instant,
}

impl Stamped {
    /// Reads an answer to the request `id`.
    ///
    /// # Errors
    ///
    /// When a line is not whole, or is the answer to another request.
    pub fn read(text: &str, id: &str) -> Result<Self, String> {
        let mut read = Self::default();
        for line in text.split_inclusive('\n') {
            match line.strip_prefix("stamp ") {
                Some(stamp) => {
                    read.stamps.push(stamp_of(stamp, id).ok_or_else(|| format!("{id} got {text:?}"))?)
                }
                None => read.rest.push_str(line),
            }
        }
        Ok(read)
    }

    /// The one that made all of it.
    ///
    /// # Errors
    ///
    /// When there were several, or there are not so many lines.
    pub fn whole(self, lines: usize) -> Result<(Stamp, String), String> {
        let mut others = self.stamps.iter().skip(1);
        match others.all(|stamp| *stamp == self.stamps[0]) && self.stamps.len() == lines {
            true => Ok((self.stamps[0].clone(), self.rest)),
            false => Err(format!("not {lines} lines of one instance: {self:?}")),
        }
    }
}

impl Ledger {
    /// Notes a change of version that began at `begun` and is done now.
    pub fn changed(&self, service: &str, version: u64, mark: u64, begun: Instant) {
        let change = Change { version, mark: format!("{mark:06}"), begun, done: Instant::now() };
        self.changes.lock().unwrap().entry(service.into()).or_default().push(change);
    }

    /// Notes an answer to a request made at `asked`; its version was chosen by `answered`.
    pub fn saw(&self, stamp: Stamp, asked: Instant, answered: Instant) {
        self.seen.lock().unwrap().push(Seen { stamp, asked, answered });
    }

    /// How many answers there were, and of how many versions.
    pub fn counts(&self) -> (usize, usize) {
        let seen = self.seen.lock().unwrap();
        let versions: BTreeSet<_> =
            seen.iter().map(|seen| (&seen.stamp.service, seen.stamp.version)).collect();
        (seen.len(), versions.len())
    }

    /// The answers of versions that had not begun to answer yet, or did no longer, or of other components.
    pub fn faults(&self) -> Vec<String> {
        let (changes, seen) = (self.changes.lock().unwrap(), self.seen.lock().unwrap());
        let wrong = seen.iter().filter(|seen| {
            let changes = changes.get(&seen.stamp.service).map(Vec::as_slice).unwrap_or_default();
            !changes.iter().enumerate().any(|(place, change)| {
                let next = changes.get(place + 1);
                (change.version, &change.mark) == (seen.stamp.version, &seen.stamp.mark)
                    && change.begun <= seen.answered
                    && next.is_none_or(|next| next.done >= seen.asked)
            })
        });
        wrong.map(|seen| format!("{seen:?}")).collect()
    }
}

fn stamp_of(line: &str, id: &str) -> Option<Stamp> {
    let [service, version, instance, mark, of] = *line.strip_suffix('\n')?.split(' ').collect::<Vec<_>>()
    else {
        return None;
    };
    let version = version.strip_prefix('v')?.parse().ok()?;
    let is_own = of == id && instance.starts_with(&format!("{service}-v{version}-"));
    is_own.then(|| Stamp { service: service.into(), version, instance: instance.into(), mark: mark.into() })
}
