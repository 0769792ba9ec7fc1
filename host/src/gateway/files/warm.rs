//! Small files that were asked for lately, kept in memory with their heads.
//!
//! Each is looked at again for every request, so that a change of the file shows at once; what its path leads to is
//! found anew every second.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};
use moka::sync::Cache;

use crate::body::{self, Response};
use crate::gateway::coding::{Accepted, Coding};
use crate::gateway::part::{self, Part};

/// The longest file that is kept: longer ones are read while they are sent.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// What all files of a route that are kept may take.
const ALL_BYTES_MAX: u64 = 64 << 20;

/// How long a file is kept without its path being resolved again: a link may lead elsewhere by then.
const TIME: Duration = Duration::from_secs(1);

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
    /// Where it really lies.
    pub place: PathBuf,
    /// What it was when it was read.
    pub metadata: Metadata,
    /// The fields of the response with all of it.
    pub headers: HeaderMap,
    /// All of it.
    pub bytes: Bytes,
}

impl Warm {
    /// Nothing yet.
    pub fn new() -> Self {
        let weigh =
            |key: &String, file: &Arc<WarmFile>| (key.len() + file.bytes.len() + OVERHEAD_BYTES) as u32;
        let files = Cache::builder().max_capacity(ALL_BYTES_MAX).weigher(weigh).time_to_live(TIME).build();
        Self { files }
    }

    /// What a request for this path gets, if it is kept and still there.
    pub fn find(&self, key: &str) -> Option<Arc<WarmFile>> {
        let file = self.files.get(key)?;
        if file.is_there() {
            return Some(file);
        }
        self.files.invalidate(key);
        None
    }

    /// Keeps a file.
    pub fn keep(&self, key: String, file: Arc<WarmFile>) {
        self.files.insert(key, file);
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
    fn is_there(&self) -> bool {
        let now = self.place.symlink_metadata();
        now.is_ok_and(|now| identity(&now) == identity(&self.metadata))
    }
}

/// What changes when a file is replaced or written.
fn identity(metadata: &Metadata) -> [i128; 5] {
    let time = |seconds: i64, nanoseconds: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    [
        metadata.dev().into(),
        metadata.ino().into(),
        metadata.len().into(),
        time(metadata.mtime(), metadata.mtime_nsec()),
        time(metadata.ctime(), metadata.ctime_nsec()),
    ]
}

#[cfg(test)]
mod tests {
    use std::fs;

    use http::{HeaderValue, Request, StatusCode};
    use http_body_util::BodyExt;

    use super::*;

    /// The same file, read now.
    fn read(place: &std::path::Path) -> Arc<WarmFile> {
        let bytes = Bytes::from(fs::read(place).unwrap());
        let headers = HeaderMap::from_iter([(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()))]);
        Arc::new(WarmFile { place: place.into(), metadata: place.metadata().unwrap(), headers, bytes })
    }

    #[tokio::test]
    async fn a_file_answers_from_memory_until_it_changes() {
        let place = std::env::temp_dir().join(format!("hostel-warm-{}", std::process::id()));
        fs::write(&place, "0123456789").unwrap();
        let warm = Warm::new();
        warm.keep("page".into(), read(&place));
        let (head, ()) =
            Request::get("/page").header(header::RANGE, "bytes=2-4").body(()).unwrap().into_parts();
        let answer = warm.find("page").unwrap().answer(&head);
        assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(answer.headers()[header::CONTENT_LENGTH], "3");
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "234");
        fs::write(&place, "other").unwrap();
        assert!(warm.find("page").is_none(), "written");
        warm.keep("page".into(), read(&place));
        fs::remove_file(&place).unwrap();
        assert!(warm.find("page").is_none(), "removed");
    }
}
