//! A folder of static files and how they are served.

use std::path::{Path, PathBuf};

use http::HeaderValue;

use super::header_rules;
use super::key::Key;
use super::report::Report;
use super::route_file::{FileRules, Files};
use super::units;

/// A copy is used only after asking, which is answered 304 where nothing has changed: a release is seen at once.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("no-cache");

/// A folder of static files, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesConfig {
    /// The folder, absolute.
    pub folder: PathBuf,
    /// The file below it that answers where a browser navigates to no file.
    pub fallback: Option<String>,
    /// The file below it that answers, with 404, where there is no file.
    pub error_page: Option<String>,
    /// Whether a folder without an index is listed.
    pub lists_folders: bool,
    /// Patterns of the paths of files that never change; `*` stands for any characters.
    pub immutable: Vec<String>,
    /// The Cache-Control of all other files.
    pub cache_control: HeaderValue,
}

impl From<PathBuf> for FilesConfig {
    /// A folder without any rule.
    fn from(folder: PathBuf) -> Self {
        Self {
            folder,
            fallback: None,
            error_page: None,
            lists_folders: false,
            immutable: Vec::new(),
            cache_control: CACHE_CONTROL,
        }
    }
}

/// Checks the files of a route, which stand under the key.
pub fn check(written: &Files, base: &Path, key: &Key, report: &mut Report<'_>) -> Option<FilesConfig> {
    match written {
        Files::Folder(text) => Some(folder(text, base, key, report).into()),
        Files::Rules(rules) => check_rules(rules, base, key, report),
    }
}

fn check_rules(written: &FileRules, base: &Path, key: &Key, report: &mut Report<'_>) -> Option<FilesConfig> {
    let folder = folder(written.folder.as_deref()?, base, &key.field("folder"), report);
    let mut page = |name: &str, written: Option<&String>| {
        let page = written.map(|page| page.trim_start_matches('/').to_owned())?;
        if folder.is_dir() && !folder.join(&page).is_file() {
            report.refuse(&key.field(name), "name a file in the folder: there is no such file");
        }
        Some(page)
    };
    let fallback = page("fallback", written.fallback.as_ref());
    let error_page = page("error-page", written.error_page.as_ref());
    let immutable = written.immutable.iter().flatten();
    let immutable = immutable.map(|pattern| pattern.trim_start_matches('/').to_owned()).collect();
    let cache_control = match written.cache_control.as_deref().map(header_rules::value) {
        None => CACHE_CONTROL,
        Some(Ok(value)) => value,
        Some(Err(remedy)) => {
            report.refuse(&key.field("cache-control"), remedy);
            return None;
        }
    };
    let lists_folders = written.index.unwrap_or(false);
    Some(FilesConfig { folder, fallback, error_page, lists_folders, immutable, cache_control })
}

fn folder(written: &str, base: &Path, key: &Key, report: &mut Report<'_>) -> PathBuf {
    let folder = units::path(written, base, key, report);
    if !folder.is_dir() {
        report.refuse(key, "correct the path or make the folder: there is no such folder");
    }
    folder
}
