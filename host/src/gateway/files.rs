//! Static files: safe paths, ranges, conditional requests.
//!
//! The path is resolved here, link by link, and must end at a regular file inside the folder; only then
//! the file is opened. Dot files are never served, under whatever name they are reached.

use std::io;
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;
use tower_http::services::ServeFile;

use super::reply::Refusal;
use crate::body::{self, BodyError, Request, Response};

/// What answers for a folder.
const INDEX: &str = "index.html";

/// Pages change their references with each release: asked for each time, answered 304 when unchanged.
const CACHE_PAGE: HeaderValue = HeaderValue::from_static("no-cache");

/// Other files have no digest in their names either, so a stored copy is used only after asking.
const CACHE_ASSET: HeaderValue = HeaderValue::from_static("public, max-age=0, must-revalidate");

/// Types to which a text file's character set is added; all files count as UTF-8.
const TEXT_PREFIXES: [&str; 3] = ["text/", "application/javascript", "application/json"];

/// A folder of static files.
#[derive(Debug, Clone)]
pub struct Files {
    root: PathBuf,
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    /// A folder with an index, asked for without its slash: relative links of the index would break.
    FolderWithoutSlash,
    Nothing,
}

impl Files {
    /// The files below a folder.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Answers GET and HEAD. `rest` is the path below the folder in normal form.
    ///
    /// # Errors
    ///
    /// Another method, no such file, or a file that cannot be read.
    pub async fn serve(
        &self,
        request: Request,
        rest: &str,
        ends_with_slash: bool,
    ) -> Result<Response, Refusal> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return Err(Refusal::Method { allow: HeaderValue::from_static("GET, HEAD") });
        }
        let Some(segments) = segments(rest) else {
            return Err(Refusal::NoFile);
        };
        let root = self.root.clone();
        let place = tokio::task::spawn_blocking(move || find(&root, &segments, ends_with_slash));
        match place.await {
            Ok(Ok(Place::File(path))) => send(&path, request).await,
            Ok(Ok(Place::FolderWithoutSlash)) => Ok(redirect(&request)),
            Ok(Ok(Place::Nothing)) => Err(Refusal::NoFile),
            Ok(Err(error)) => Err(read_error(&self.root, &error)),
            Err(_) => Err(Refusal::FileFailed),
        }
    }
}

/// The names on the way, decoded; none when one of them cannot be a file to serve.
fn segments(rest: &str) -> Option<Vec<String>> {
    let decoded = rest.split('/').filter(|segment| !segment.is_empty()).map(|segment| {
        let name = percent_decode_str(segment).decode_utf8().ok()?;
        let is_safe = !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
        is_safe.then(|| name.into_owned())
    });
    decoded.collect()
}

/// Resolves every link on the way. Runs where blocking is allowed.
fn find(root: &Path, segments: &[String], ends_with_slash: bool) -> io::Result<Place> {
    let root = root.canonicalize()?;
    let asked = segments.iter().fold(root.clone(), |path, name| path.join(name));
    let Some(path) = resolve(&root, &asked) else {
        return Ok(Place::Nothing);
    };
    if path.metadata()?.is_file() {
        return Ok(if ends_with_slash { Place::Nothing } else { Place::File(path) });
    }
    match resolve(&root, &path.join(INDEX)) {
        Some(index) if index.metadata()?.is_file() => {
            Ok(if ends_with_slash { Place::File(index) } else { Place::FolderWithoutSlash })
        }
        _ => Ok(Place::Nothing),
    }
}

/// Where a path really leads; none when that is nowhere, outside the root, or hidden.
fn resolve(root: &Path, path: &Path) -> Option<PathBuf> {
    // Whatever hinders it (a missing name, a loop of links, a folder without permission), nothing is served.
    let real = path.canonicalize().ok()?;
    let inside = real.strip_prefix(root).ok()?;
    let hidden = inside.iter().any(|name| name.as_encoded_bytes().starts_with(b"."));
    (!hidden).then_some(real)
}

async fn send(path: &Path, request: Request) -> Result<Response, Refusal> {
    let response = match ServeFile::new(path).try_call(request).await {
        Ok(response) => response,
        Err(error) => return Err(read_error(path, &error)),
    };
    if response.status() == StatusCode::NOT_FOUND {
        return Err(Refusal::NoFile);
    }
    let mut response =
        response.map(|body| body.map_err(|error| BodyError::Broken(error.to_string())).boxed_unsync());
    set_headers(response.headers_mut());
    Ok(response)
}

fn set_headers(headers: &mut HeaderMap) {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_page = content_type.is_some_and(|text| text.starts_with("text/html"));
    let with_charset = content_type
        .filter(|text| TEXT_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) && !text.contains(';'))
        .and_then(|text| HeaderValue::from_str(&format!("{text}; charset=utf-8")).ok());
    if let Some(value) = with_charset {
        headers.insert(header::CONTENT_TYPE, value);
    }
    headers.insert(header::CACHE_CONTROL, if is_page { CACHE_PAGE } else { CACHE_ASSET });
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// To the same path with a slash at its end; the path has one slash at its start, so it stays on this host.
fn redirect(request: &Request) -> Response {
    let uri = request.uri();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    if let Ok(location) = HeaderValue::try_from(format!("{}/{query}", uri.path())) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn read_error(path: &Path, error: &io::Error) -> Refusal {
    tracing::warn!(path = %path.display(), %error, "a static file cannot be read; check its permissions");
    Refusal::FileFailed
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder with a page, a dot file, links inside and outside, and a socket.
    fn folder(name: &str) -> PathBuf {
        let base = std::env::temp_dir().join(format!("hostel-files-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        let root = base.join("site");
        fs::create_dir_all(root.join("docs")).unwrap();
        fs::create_dir_all(root.join("empty")).unwrap();
        fs::create_dir_all(root.join(".git")).unwrap();
        fs::write(base.join("secret"), "secret").unwrap();
        fs::write(root.join("index.html"), "home").unwrap();
        fs::write(root.join("docs/index.html"), "docs").unwrap();
        fs::write(root.join("a b.txt"), "text").unwrap();
        fs::write(root.join(".env"), "secret").unwrap();
        fs::write(root.join(".git/config"), "secret").unwrap();
        symlink(base.join("secret"), root.join("outside")).unwrap();
        symlink(&base, root.join("up")).unwrap();
        symlink(root.join(".env"), root.join("env")).unwrap();
        symlink(root.join("loop"), root.join("loop")).unwrap();
        symlink("a b.txt", root.join("inside")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap());
        root
    }

    #[test]
    fn only_regular_files_inside_the_folder_are_found() {
        let root = folder("find");
        let check = |rest: &str, expected: Option<&str>| {
            let found = match segments(rest) {
                Some(names) => find(&root, &names, rest.is_empty() || rest.ends_with('/')).unwrap(),
                None => Place::Nothing,
            };
            let expected = match expected {
                Some("/") => Place::FolderWithoutSlash,
                Some(file) => Place::File(root.canonicalize().unwrap().join(file)),
                None => Place::Nothing,
            };
            assert_eq!(found, expected, "{rest}");
        };
        check("", Some("index.html"));
        check("index.html", Some("index.html"));
        check("docs/", Some("docs/index.html"));
        check("docs", Some("/"));
        check("a%20b.txt", Some("a b.txt"));
        check("inside", Some("a b.txt"));
        check("/docs//", Some("docs/index.html"));
        for rest in [
            "missing",
            "index.html/",
            "index.html/x",
            "empty/",
            "empty",
            ".env",
            ".git/config",
            "env",
            "outside",
            "up/secret",
            "up/site/index.html/x",
            "loop",
            "socket",
            "..",
            "%2e%2e/secret",
            "a%2fb",
            "%ff",
            "%00",
        ] {
            check(rest, None);
        }
        check(&"x".repeat(300), None);
        fs::remove_dir_all(root.parent().unwrap()).unwrap();
    }
}
