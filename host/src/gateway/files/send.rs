//! Sends an open file, or the part of it that is asked for, with its type and validators.
//!
//! `tower-http` does the most of it, over a back end that knows only the file that was opened.

use std::fs::Metadata;
use std::future::{Ready, ready};
use std::io::{self, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};
use tower_http::services::ServeDir;
use tower_http::services::fs::{Backend, File};

use super::place::{Found, OpenFile};
use super::warm::{FILE_BYTES_MAX, WarmFile};
use crate::body::{self, BodyError, Request, Response};
use crate::gateway::pages;
use crate::gateway::part::{self, Part};
use crate::gateway::reply::Refusal;

/// What is read of a file at once. It is held twice for each response that its client does not take: by 1,000 streams
/// of HTTP/2 whose windows stay shut 32 MiB.
const CHUNK_BYTES: usize = 16 * 1024;

/// A small file that grows while it is read is no small file any more.
const READ_BYTES_MAX: usize = 2 * FILE_BYTES_MAX as usize;

/// Types to which a text file's character set is added; all files count as UTF-8.
const TEXT_PREFIXES: [&str; 5] =
    ["text/", "application/javascript", "application/json", "application/xml", "application/manifest+json"];

/// Answers with the file, with a part of it, or that the caller's copy is good.
pub async fn file(file: OpenFile, cache_control: HeaderValue, head: Parts) -> Result<Response, Refusal> {
    let single = Single::of(file);
    let part = asked(&single, &head).await?;
    let mut response = match &part {
        Part::All => call(&single, head.method, None).await?,
        Part::Range(range) => call(&single, head.method, Some(range)).await?,
        _ => call(&single, Method::HEAD, None).await?.map(|_| body::empty()),
    };
    *response.status_mut() = part.status();
    let headers = response.headers_mut();
    set_headers(&single, headers, cache_control);
    part.narrow(headers, single.found.metadata.len());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, super::NO_SNIFF);
    Ok(response)
}

/// Reads a small file whole, with the head of the response; it may have become another since it was opened.
pub async fn read(file: OpenFile, cache_control: HeaderValue) -> Result<WarmFile, Refusal> {
    let single = Single::of(file);
    let (head, body) = call(&single, Method::GET, None).await?.into_parts();
    let bytes = Limited::new(body, READ_BYTES_MAX).collect().await.map_err(|error| {
        tracing::warn!(%error, "an open static file cannot be read");
        Refusal::FileFailed
    })?;
    let (bytes, mut headers) = (pages::keep(bytes.to_bytes()), head.headers);
    set_headers(&single, &mut headers, cache_control);
    // Somebody may write it while it is read.
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    Ok(WarmFile::new(single.found, headers, bytes))
}

/// Answers with the whole file under another status, which stands for no file that could be asked for again.
pub async fn whole(
    file: OpenFile,
    status: StatusCode,
    cache_control: HeaderValue,
    method: Method,
) -> Result<Response, Refusal> {
    let single = Single::of(file);
    let mut response = call(&single, method, None).await?;
    let headers = response.headers_mut();
    for name in [header::ETAG, header::LAST_MODIFIED, header::ACCEPT_RANGES] {
        headers.remove(name);
    }
    set_headers(&single, headers, cache_control);
    *response.status_mut() = status;
    Ok(response)
}

/// What the caller asks of the file.
async fn asked(single: &Single, head: &Parts) -> Result<Part, Refusal> {
    if !part::is_asked(&head.headers) {
        return Ok(Part::All);
    }
    let whole = call(single, Method::HEAD, None).await?;
    Ok(Part::asked(whole.headers(), Some(single.found.metadata.len()), &head.method, &head.headers))
}

async fn call(single: &Single, method: Method, range: Option<&Range<u64>>) -> Result<Response, Refusal> {
    let mut request = Request::new(body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = single.name();
    let range = range.map(|range| format!("bytes={}-{}", range.start, range.end - 1));
    let range = range.and_then(|range| HeaderValue::try_from(range).ok());
    request.headers_mut().extend(range.map(|range| (header::RANGE, range)));
    let mut service = ServeDir::with_backend("", single.clone())
        .with_buf_chunk_size(CHUNK_BYTES)
        .append_index_html_on_directories(false)
        .redirect_to_trailing_slash(false);
    match service.try_call(request).await {
        Ok(response) if response.status() == StatusCode::NOT_FOUND => Err(Refusal::NoFile),
        Ok(response) => {
            Ok(response.map(|body| body.map_err(|error| BodyError::Broken(error.to_string())).boxed_unsync()))
        }
        Err(error) => {
            tracing::warn!(%error, "an open static file cannot be read");
            Err(Refusal::FileFailed)
        }
    }
}

fn set_headers(single: &Single, headers: &mut HeaderMap, cache_control: HeaderValue) {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let with_charset = content_type
        .filter(|text| TEXT_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) && !text.contains(';'))
        .and_then(|text| HeaderValue::from_str(&format!("{text}; charset=utf-8")).ok());
    if let Some(value) = with_charset {
        headers.insert(header::CONTENT_TYPE, value);
    }
    if single.found.has_codings {
        headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    if let Some(coding) = single.found.coding {
        headers.insert(header::CONTENT_ENCODING, coding.name());
    }
    headers.insert(header::CACHE_CONTROL, cache_control);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, super::NO_SNIFF);
}

/// A back end of one file, which is open already: whatever path it is asked for, it gives that one.
#[derive(Debug, Clone)]
struct Single {
    file: Arc<std::fs::File>,
    found: Arc<Found>,
}

impl Single {
    fn of(file: OpenFile) -> Self {
        Self { file: Arc::new(file.file), found: Arc::new(file.found) }
    }

    /// A name by which its type is guessed; what stands in the real one is no part of it.
    fn name(&self) -> Uri {
        let extension = self.found.extension.as_deref().unwrap_or_default();
        let is_plain = extension.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_+".contains(&byte));
        let name = if is_plain { format!("/file.{extension}") } else { "/file".to_owned() };
        name.parse().unwrap_or_else(|_| Uri::from_static("/file"))
    }
}

impl Backend for Single {
    type File = Opened;
    type Metadata = Metadata;
    type OpenFuture = Ready<io::Result<Opened>>;
    type MetadataFuture = Ready<io::Result<Metadata>>;

    fn open(&self, _: PathBuf) -> Self::OpenFuture {
        let file = self.file.try_clone().map(tokio::fs::File::from_std);
        ready(file.map(|file| Opened { file, metadata: self.found.metadata.clone() }))
    }

    fn metadata(&self, _: PathBuf) -> Self::MetadataFuture {
        ready(Ok(self.found.metadata.clone()))
    }
}

/// The file as it is read.
#[derive(Debug)]
struct Opened {
    file: tokio::fs::File,
    metadata: Metadata,
}

impl File for Opened {
    type Metadata = Metadata;
    type MetadataFuture<'a> = Ready<io::Result<Metadata>>;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        ready(Ok(self.metadata.clone()))
    }
}

impl AsyncRead for Opened {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.file).poll_read(context, buffer)
    }
}

impl AsyncSeek for Opened {
    fn start_seek(mut self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        Pin::new(&mut self.file).start_seek(position)
    }

    fn poll_complete(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Pin::new(&mut self.file).poll_complete(context)
    }
}
