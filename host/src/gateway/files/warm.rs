//! Small files that were asked for lately, kept in memory with their heads.
//!
//! Each is looked at again after a millisecond, so that a change of the file shows at once; what its path leads to is
//! found anew after a second, by one request while others are answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};
use moka::sync::Cache;

use super::place::Found;
use crate::body::{self, Response};
use crate::gateway::coding::{Accepted, Coding};
use crate::gateway::part::{self, Part};

/// The longest file that is kept: longer ones are read while they are sent.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// What all files of a route that are kept may take.
const ALL_BYTES_MAX: u64 = 64 << 20;

/// How old may be what is known of a file: nobody who changes it can tell, and under load it is much fewer looks.
const LOOK_TIME: Duration = Duration::from_millis(1);

/// When the path of a file is resolved again: a link may lead elsewhere by then.
const FIND_TIME: Duration = Duration::from_secs(1);

/// How long a file is kept without that. Whoever comes while its path is being resolved gets it.
const TIME: Duration = FIND_TIME.saturating_mul(2);

/// What each file costs beside its bytes, about.
const OVERHEAD_BYTES: usize = 1024;

/// The files of one route that are kept.
#[derive(Debug)]
pub struct Warm {
    files: Cache<String, Arc<WarmFile>>,
}

/// A whole file as it is answered with.
#[derive(Debug)]
pub struct WarmFile {
    found: Arc<Found>,
    /// The fields of the response with all of it.
    headers: HeaderMap,
    /// All of it.
    bytes: Bytes,
    read: Instant,
    /// When it was last looked at, in nanoseconds since it was read.
    looked: AtomicU64,
    /// When its path was last resolved, likewise.
    resolved: AtomicU64,
}

impl Warm {
    /// Nothing yet.
    pub fn new() -> Self {
        let weigh =
            |key: &String, file: &Arc<WarmFile>| (key.len() + file.bytes.len() + OVERHEAD_BYTES) as u32;
        let files = Cache::builder().max_capacity(ALL_BYTES_MAX).weigher(weigh).time_to_live(TIME).build();
        Self { files }
    }

    /// What a request for this path gets now, if it is kept and still there.
    pub fn find(&self, key: &str, now: Instant) -> Option<Arc<WarmFile>> {
        let file = self.files.get(key)?;
        if file.is_there(now) {
            return Some(file);
        }
        self.forget(key);
        None
    }

    /// Keeps a file, for longer if it is kept already.
    pub fn keep(&self, key: String, file: Arc<WarmFile>) {
        self.files.insert(key, file);
    }

    /// Keeps it no longer.
    pub fn forget(&self, key: &str) {
        self.files.invalidate(key);
    }
}

/// What decides which file answers a request: its path, and the codings that its client takes.
pub fn key(rest: &str, ends_with_slash: bool, head: &Parts) -> String {
    let codings = Accepted::of(&head.headers).codings();
    let mut key: String = codings.map(Coding::letter).collect();
    key.push(if ends_with_slash { '/' } else { ' ' });
    key.push_str(rest);
    key
}

impl WarmFile {
    /// What was found and read just now.
    pub fn new(found: Arc<Found>, headers: HeaderMap, bytes: Bytes) -> Self {
        let (looked, resolved) = Default::default();
        Self { found, headers, bytes, read: Instant::now(), looked, resolved }
    }

    /// Whether whoever asks is to resolve its path again; that is one of all who ask by then.
    pub fn is_to_be_resolved(&self, now: Instant) -> bool {
        self.is_first(&self.resolved, now, FIND_TIME)
    }

    /// Whether what was found now is the same, unchanged.
    pub fn is(&self, found: &Found) -> bool {
        self.found.is(found)
    }

    /// Answers with it, with a part of it, or that the client has it.
    pub fn answer(&self, head: &Parts) -> Response {
        let length = self.bytes.len() as u64;
        let part = match part::is_asked(&head.headers) {
            true => Part::asked(&self.headers, Some(length), &head.method, &head.headers),
            false => Part::All,
        };
        let mut response = Response::new(body::full(part.content(&self.bytes)));
        *response.status_mut() = part.status();
        *response.headers_mut() = self.headers.clone();
        part.narrow(response.headers_mut(), length);
        // Also of what narrowing has taken out.
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, super::NO_SNIFF);
        response
    }

    /// Whether the same file lies there, unchanged.
    fn is_there(&self, now: Instant) -> bool {
        let is_known = !self.is_first(&self.looked, now, LOOK_TIME);
        is_known || self.found.place.symlink_metadata().is_ok_and(|now| self.found.is_of(&now))
    }

    /// Whether nobody has done for so long what was last done then; who is told so does it now.
    fn is_first(&self, last: &AtomicU64, now: Instant, time: Duration) -> bool {
        let now = now.saturating_duration_since(self.read).as_nanos() as u64;
        let then = last.load(Ordering::Relaxed);
        now >= then + time.as_nanos() as u64
            && last.compare_exchange(then, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use http::{HeaderValue, Request, StatusCode};
    use http_body_util::BodyExt;

    use super::*;

    /// The same file, read now.
    fn read(place: &Path) -> Arc<WarmFile> {
        let bytes = Bytes::from(fs::read(place).unwrap());
        let headers = HeaderMap::from_iter([(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()))]);
        Arc::new(WarmFile::new(Arc::new(found(place)), headers, bytes))
    }

    fn found(place: &Path) -> Found {
        Found {
            metadata: place.metadata().unwrap(),
            place: place.into(),
            path: "page".into(),
            extension: None,
            coding: None,
            has_codings: false,
        }
    }

    fn temporary(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("hostel-warm-{name}-{}", std::process::id()))
    }

    #[tokio::test]
    async fn a_file_answers_from_memory_until_it_changes() {
        let place = temporary("changes");
        fs::write(&place, "0123456789").unwrap();
        let warm = Warm::new();
        warm.keep("page".into(), read(&place));
        let (head, ()) =
            Request::get("/page").header(header::RANGE, "bytes=2-4").body(()).unwrap().into_parts();
        let later = Instant::now() + LOOK_TIME;
        let answer = warm.find("page", later).unwrap().answer(&head);
        assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(answer.headers()[header::CONTENT_LENGTH], "3");
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "234");
        fs::write(&place, "other").unwrap();
        assert!(warm.find("page", later + LOOK_TIME).is_none(), "written");
        warm.keep("page".into(), read(&place));
        fs::remove_file(&place).unwrap();
        assert!(warm.find("page", Instant::now() + LOOK_TIME).is_none(), "removed");
    }

    #[test]
    fn one_of_those_who_ask_resolves_the_path_again() {
        let place = temporary("resolved");
        fs::write(&place, "page").unwrap();
        let file = read(&place);
        let later = Instant::now() + FIND_TIME;
        assert!(!file.is_to_be_resolved(file.read), "just found");
        assert!(file.is_to_be_resolved(later));
        assert!(!file.is_to_be_resolved(later), "somebody does");
        assert!(file.is_to_be_resolved(later + FIND_TIME));
        assert!(file.is(&found(&place)));
        assert!(
            !file.is(&Found { has_codings: true, ..found(&place) }),
            "others get it in another coding now"
        );
        fs::write(&place, "another").unwrap();
        assert!(!file.is(&found(&place)), "written");
        fs::remove_file(&place).unwrap();
    }
}
