//! Static files: a path is resolved and opened safely (`place`), then sent (`send`) in the best coding that lies
//! ready, small ones from memory (`warm`); where there is no file a page of the operator's answers, or a list of the
//! folder (`listing`).

mod place;
mod send;
mod warm;
mod listing;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use percent_encoding::percent_decode_str;

use self::place::{OpenFile, Place};
use self::warm::Warm;
use super::coding::{Accepted, Coding};
use super::policies::vary;
use super::reply::{self, Refusal};
use crate::body::{self, Request, Response};
use crate::config::FilesConfig;

/// A year, beyond which nobody may promise anything (RFC 9111, 5.2.2.1 and RFC 8246).
const CACHE_IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// What is said of a missing file may change at any time.
const CACHE_MISSING: HeaderValue = HeaderValue::from_static("no-store");

/// A browser takes a file for what it is said to be.
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// A folder of static files.
#[derive(Debug, Clone)]
pub struct Files {
    rules: Arc<FilesConfig>,
    warm: Arc<Warm>,
}

impl Files {
    /// The files below a folder.
    pub fn new(rules: FilesConfig) -> Self {
        Self { rules: Arc::new(rules), warm: Arc::new(Warm::new()) }
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
        let (head, _) = request.into_parts();
        let (key, now) = (warm::key(rest, ends_with_slash, &head), Instant::now());
        let known = self.warm.find(&key, now);
        if let Some(file) = known.as_ref().filter(|file| !file.is_to_be_resolved(now)) {
            return Ok(file.answer(&head));
        }
        let Some(names) = names(rest) else {
            return self.nothing(head, None).await;
        };
        let place = self.find(names.clone(), ends_with_slash, &head).await;
        let file = match place {
            Ok(Place::File(file)) if file.found.metadata.len() <= warm::FILE_BYTES_MAX => file,
            _ => {
                self.warm.forget(&key);
                return self.other(place?, head, &names).await;
            }
        };
        let file = match known.filter(|known| known.is(&file.found)) {
            Some(known) => known,
            None => {
                let cache_control = self.cache_control(&file.found.path);
                Arc::new(send::read(*file, cache_control).await?)
            }
        };
        self.warm.keep(key, file.clone());
        Ok(file.answer(&head))
    }

    /// Answers with what is no small file.
    async fn other(&self, place: Place, head: Parts, names: &[String]) -> Result<Response, Refusal> {
        match place {
            Place::File(file) => {
                let cache_control = self.cache_control(&file.found.path);
                send::file(*file, cache_control, head).await
            }
            Place::FolderWithoutSlash => Ok(redirect(&head)),
            Place::Folder(folder) => Ok(listing::answer(&folder, head.uri.path())),
            Place::Nothing => self.nothing(head, Some(names)).await,
        }
    }

    /// What answers where there is no file: the page of the application to a browser that navigates, or the operator's
    /// error page to whoever reads pages.
    async fn nothing(&self, head: Parts, names: Option<&[String]>) -> Result<Response, Refusal> {
        let is_navigation =
            names.is_some_and(|names| !has_extension(names)) && reply::prefers_html(&head.headers);
        if let Some(page) = self.rules.fallback.as_deref().filter(|_| is_navigation)
            && let Some(file) = self.page(page, &head).await?
        {
            let mut response = send::file(file, self.rules.cache_control.clone(), head).await?;
            // To others there is nothing here.
            vary::add(response.headers_mut(), header::ACCEPT);
            return Ok(response);
        }
        if let Some(page) = self.rules.error_page.as_deref().filter(|_| accepts_pages(&head))
            && let Some(file) = self.page(page, &head).await?
        {
            return send::whole(file, StatusCode::NOT_FOUND, CACHE_MISSING, head.method).await;
        }
        Err(Refusal::NoFile)
    }

    /// A page of the configuration; none when it is gone.
    async fn page(&self, page: &str, head: &Parts) -> Result<Option<OpenFile>, Refusal> {
        let names = page.split('/').map(str::to_owned).collect();
        match self.find(names, false, head).await? {
            Place::File(file) => Ok(Some(*file)),
            _ => Ok(None),
        }
    }

    async fn find(&self, names: Vec<String>, ends_with_slash: bool, head: &Parts) -> Result<Place, Refusal> {
        let rules = self.rules.clone();
        let accepted: Vec<Coding> = Accepted::of(&head.headers).codings().collect();
        let place = tokio::task::spawn_blocking(move || {
            place::find(&rules.folder, &names, ends_with_slash, &accepted, rules.lists_folders)
        });
        match place.await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(error)) => Err(read_error(&self.rules.folder, &error)),
            Err(_) => Err(Refusal::FileFailed),
        }
    }

    fn cache_control(&self, path: &str) -> HeaderValue {
        let is_immutable = self.rules.immutable.iter().any(|pattern| matches(pattern, path));
        if is_immutable { CACHE_IMMUTABLE } else { self.rules.cache_control.clone() }
    }
}

/// The names on the way, decoded; none when one of them cannot be a file to serve.
fn names(rest: &str) -> Option<Vec<String>> {
    let decoded = rest.split('/').filter(|segment| !segment.is_empty()).map(|segment| {
        let name = percent_decode_str(segment).decode_utf8().ok()?;
        let is_safe = !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
        is_safe.then(|| name.into_owned())
    });
    decoded.collect()
}

/// What has an extension is a file that is missing, not a view of an application.
fn has_extension(names: &[String]) -> bool {
    names.last().is_some_and(|name| name.contains('.'))
}

/// Whether the caller takes pages: also one that takes anything.
fn accepts_pages(head: &Parts) -> bool {
    let mut fields =
        head.headers.get_all(header::ACCEPT).iter().filter_map(|field| field.to_str().ok()).peekable();
    fields.peek().is_none()
        || fields.flat_map(|field| field.split(',')).any(|range| {
            let media = range.split(';').next().unwrap_or_default().trim();
            ["text/html", "text/*", "*/*"].iter().any(|page| media.eq_ignore_ascii_case(page))
        })
}

/// Whether a path is of this pattern, in which `*` stands for any characters.
fn matches(pattern: &str, path: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else {
        return pattern == path;
    };
    let Some(mut below) = path.strip_prefix(begin) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        match below.split_once(part) {
            Some((_, after)) => below = after,
            None => return false,
        }
    }
    below.ends_with(end)
}

/// To the same path with a slash at its end; the path has one slash at its start, so it stays on this host.
fn redirect(head: &Parts) -> Response {
    let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    if let Ok(location) = HeaderValue::try_from(format!("{}/{query}", head.uri.path())) {
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
    use super::*;

    #[test]
    fn names_that_are_no_files_are_refused() {
        for rest in [".env", "a/.git", "..", "%2e%2e/x", "a%2fb", "a%5cb", "%ff", "%00", "a/.."] {
            assert_eq!(names(rest), None, "{rest}");
        }
        assert_eq!(names("/a%20b//c/"), Some(vec!["a b".to_owned(), "c".to_owned()]));
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, path, expected) in [
            ("assets/*", "assets/app.js", true),
            ("assets/*", "assets/a/b.js", true),
            ("assets/*", "assets", false),
            ("assets/*", "x/assets/app.js", false),
            ("*.js", "a/b.js", true),
            ("*.js", "b.css", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "axxbxxc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("a*bc*c", "abc", false),
            ("exact.txt", "exact.txt", true),
            ("exact.txt", "exact.txt2", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }
}
