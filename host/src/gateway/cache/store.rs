//! What is kept: by URL, several responses each, bounded by bytes; what is used seldom goes first.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::Uri;
use moka::ops::compute::Op;
use moka::sync::Cache;

use super::kept::{Asking, Kept};
use super::origin::Origin;
use crate::gateway::routing::path;

/// Responses under one URL. A service that varies by a cookie would fill the store under one URL otherwise.
const VARIANTS_MAX: usize = 16;

/// How long nobody waits for others where a response was not for others: each would wait in vain.
const UNSHARED_TIME: Duration = Duration::from_secs(10);

/// The part of the store that one URL may take, so that its variants do not push out each other and all else.
const SHELF_PART: u64 = 4;

/// What each URL costs beside its responses.
const OVERHEAD_BYTES: usize = 256;

/// How often the table is tidied until it has let go of what was thrown away: first it takes that out, then two
/// generations of readers must have passed before it drops it.
const SETTLE_ROUNDS: usize = 4;

/// Counters of changes, each for many URLs: a change of another URL prevents storing now and then, never
/// the other way round.
const EPOCHS: usize = 256;

/// A URL in the one form in which it is looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key(Arc<Url>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Url {
    origin: Origin,
    path: String,
    query: Option<String>,
}

/// What is kept under one URL.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    /// The responses, the newest last.
    pub variants: Vec<Kept>,
    /// Until when requests do not wait for each other.
    unshared_until: Option<Instant>,
}

/// The store.
pub struct Store {
    shelves: Cache<Key, Arc<Shelf>>,
    shelf_bytes_max: u64,
    epochs: Box<[AtomicU64]>,
}

/// What is to be thrown away.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Purge {
    /// Only under this path; with `*` at its end, under all that begin so.
    pub path: Option<String>,
    /// Only what has this tag in its Surrogate-Key field.
    pub tag: Option<String>,
}

impl Key {
    /// The key of a URL: its origin, normal path, and query as sent.
    pub fn new(origin: Origin, path: &str, query: Option<&str>) -> Self {
        Self(Arc::new(Url { origin, path: path.to_owned(), query: query.map(str::to_owned) }))
    }

    /// The key of what a reference in a response leads to; none when that is no part of this origin.
    pub fn follow(&self, reference: &Uri) -> Option<Self> {
        let path = path::normal_form(reference.path()).ok()?;
        let is_here = self.0.origin.is_of(reference);
        is_here.then(|| Self::new(self.0.origin.clone(), &path, reference.query()))
    }

    fn bytes(&self) -> usize {
        self.0.origin.bytes() + self.0.path.len() + self.0.query.as_ref().map_or(0, String::len)
    }

    fn epoch(&self) -> usize {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        usize::try_from(hasher.finish() % EPOCHS as u64).unwrap_or_default()
    }
}

impl Shelf {
    /// The newest response for such a request.
    pub fn find(&self, asking: Asking<'_>) -> Option<&Kept> {
        self.variants.iter().rev().find(|kept| kept.head.matches(asking))
    }

    /// Whether requests wait for each other.
    pub fn is_shared(&self) -> bool {
        self.unshared_until.is_none_or(|until| Instant::now() >= until)
    }

    fn bytes(&self) -> usize {
        OVERHEAD_BYTES + self.variants.iter().map(Kept::bytes).sum::<usize>()
    }
}

impl Store {
    /// An empty store of so many bytes.
    pub fn new(size_bytes: u64) -> Self {
        let weigh =
            |key: &Key, shelf: &Arc<Shelf>| u32::try_from(key.bytes() + shelf.bytes()).unwrap_or(u32::MAX);
        Self {
            shelves: Cache::builder().max_capacity(size_bytes).weigher(weigh).build(),
            shelf_bytes_max: size_bytes / SHELF_PART,
            epochs: (0..EPOCHS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// What is kept under a URL.
    pub fn find(&self, key: &Key) -> Option<Arc<Shelf>> {
        self.shelves.get(key)
    }

    /// The count of changes, to be asked before the service is.
    pub fn epoch(&self, key: &Key) -> u64 {
        self.epochs[key.epoch()].load(Ordering::Acquire)
    }

    /// Keeps a response in the place of the one that it replaces, unless its URL has changed since `epoch`.
    pub fn keep(&self, key: &Key, kept: Kept, epoch: u64) {
        self.change(key, |shelf| {
            if self.epoch(key) != epoch {
                return false;
            }
            shelf.unshared_until = None;
            shelf.variants.retain(|other| !kept.head.replaces(&other.head));
            shelf.variants.push(kept);
            let is_too_much = |shelf: &Shelf| {
                shelf.variants.len() > VARIANTS_MAX || shelf.bytes() as u64 > self.shelf_bytes_max
            };
            while shelf.variants.len() > 1 && is_too_much(shelf) {
                shelf.variants.remove(0);
            }
            true
        });
    }

    /// Lets go of what is thrown away already, which else waits for a quiet moment.
    pub fn settle(&self) {
        (0..SETTLE_ROUNDS).for_each(|_| self.shelves.run_pending_tasks());
    }

    /// Throws one response away.
    pub fn forget(&self, key: &Key, kept: &Kept) {
        self.change(key, |shelf| {
            let before = shelf.variants.len();
            shelf.variants.retain(|other| !Arc::ptr_eq(&other.head, &kept.head));
            shelf.variants.len() < before
        });
    }

    /// Lets requests for this URL no longer wait for each other, for a while.
    pub fn mark_unshared(&self, key: &Key) {
        self.change(key, |shelf| {
            shelf.unshared_until = Some(Instant::now() + UNSHARED_TIME);
            true
        });
    }

    /// Throws away all that is kept under a URL, and what is on its way.
    pub fn invalidate(&self, key: &Key) {
        // First the count, then the responses: what is kept in between goes too.
        self.epochs[key.epoch()].fetch_add(1, Ordering::AcqRel);
        self.change(key, |shelf| {
            *shelf = Shelf::default();
            true
        });
    }

    /// Throws away what an operator names; answers how many responses went.
    pub fn purge(&self, purge: &Purge) -> usize {
        self.epochs.iter().for_each(|epoch| _ = epoch.fetch_add(1, Ordering::AcqRel));
        let mut count = 0;
        for (key, _) in self.shelves.iter().filter(|(key, _)| purge.names(key)) {
            self.change(&key, |shelf| {
                let before = shelf.variants.len();
                shelf.variants.retain(|kept| !purge.means(kept));
                count += before - shelf.variants.len();
                shelf.variants.len() < before
            });
        }
        count
    }

    /// Changes a shelf; nobody else changes it meanwhile. `edit` tells whether it did.
    fn change(&self, key: &Key, edit: impl FnOnce(&mut Shelf) -> bool) {
        self.shelves.entry_by_ref(key).and_compute_with(|entry| {
            let mut shelf = entry.map_or_else(Shelf::default, |entry| Shelf::clone(&entry.into_value()));
            if !edit(&mut shelf) {
                return Op::Nop;
            }
            let is_empty = shelf.variants.is_empty() && shelf.unshared_until.is_none();
            if is_empty { Op::Remove } else { Op::Put(Arc::new(shelf)) }
        });
    }
}

impl Purge {
    /// What is wrong with it, if anything.
    pub fn fault(&self) -> Option<&'static str> {
        let is_path = self.path.as_ref().is_none_or(|path| path.starts_with('/'));
        (!is_path).then_some("a path begins with `/`; end it with `*` for all below it")
    }

    fn names(&self, key: &Key) -> bool {
        match self.path.as_deref() {
            None => true,
            Some(path) => match path.strip_suffix('*') {
                Some(prefix) => key.0.path.starts_with(prefix),
                None => key.0.path == path,
            },
        }
    }

    fn means(&self, kept: &Kept) -> bool {
        self.tag.as_ref().is_none_or(|tag| kept.has_tag(tag))
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "store_fuzz.rs"]
mod fuzz;
