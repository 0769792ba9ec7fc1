//! What a path below the folder leads to, found and opened so that nothing outside is.
//!
//! The path is resolved first, link by link, and must end inside the folder at a regular file whose real path has no
//! dot file in it. Then it is opened name by name from the folder, without following any link: what has been swapped for
//! one since is not opened. Everything here blocks.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::gateway::coding::{CODINGS, Coding};

/// What answers for a folder.
const INDEX: &str = "index.html";

/// Entries of a list of a folder: more are of no use to anybody, and each is resolved.
pub const ENTRIES_MAX: usize = 1_000;

/// What a path leads to.
#[derive(Debug)]
pub enum Place {
    /// A file to send.
    File(Box<OpenFile>),
    /// A folder with an index, asked for without its slash: relative links of the index would break.
    FolderWithoutSlash,
    /// A folder without an index that is listed.
    Folder(Folder),
    /// Nothing to serve.
    Nothing,
}

/// A regular file inside the folder, open.
#[derive(Debug)]
pub struct OpenFile {
    /// The file.
    pub file: File,
    /// What was found of it.
    pub found: Found,
}

/// What was found of a file.
#[derive(Debug)]
pub struct Found {
    /// What it was when it was opened.
    pub metadata: Metadata,
    /// Where it really lies.
    pub place: PathBuf,
    /// The path below the folder as it was asked for, with the name of the index.
    pub path: String,
    /// The end of its real name, by which its type is known; that of the original when it is coded.
    pub extension: Option<String>,
    /// The coding in which it lies there.
    pub coding: Option<Coding>,
    /// Whether other callers may get it in another coding.
    pub has_codings: bool,
}

/// What is shown of a folder.
#[derive(Debug)]
pub struct Folder {
    /// Whether it is the root, above which nothing is served.
    pub is_root: bool,
    /// What lies in it, folders first.
    pub entries: Vec<Entry>,
    /// Whether there are more than are shown.
    pub is_cut: bool,
}

/// A file or folder in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its size; none for a folder.
    pub bytes: Option<u64>,
    /// Its name.
    pub name: String,
}

impl Found {
    /// Whether the same was found, unchanged.
    pub fn is(&self, other: &Self) -> bool {
        let Self { metadata: _, place, path, extension, coding, has_codings } = self;
        self.is_of(&other.metadata)
            && (place, path, extension) == (&other.place, &other.path, &other.extension)
            && (coding, has_codings) == (&other.coding, &other.has_codings)
    }

    /// Whether a file is the same, unchanged.
    pub fn is_of(&self, metadata: &Metadata) -> bool {
        identity(&self.metadata) == identity(metadata)
    }
}

/// Finds what the names lead to, in one of the codings or in none.
pub fn find(
    root: &Path,
    names: &[String],
    ends_with_slash: bool,
    codings: &[Coding],
    lists_folders: bool,
) -> io::Result<Place> {
    let root = root.canonicalize()?;
    let asked = names.iter().fold(root.clone(), |path, name| path.join(name));
    let Some(real) = resolve(&root, &asked) else {
        return Ok(Place::Nothing);
    };
    if real.metadata()?.is_file() {
        if ends_with_slash {
            return Ok(Place::Nothing);
        }
        return file(&root, &asked, &real, names.join("/"), codings);
    }
    let index = asked.join(INDEX);
    match resolve(&root, &index) {
        Some(real) if real.metadata()?.is_file() => {
            if !ends_with_slash {
                return Ok(Place::FolderWithoutSlash);
            }
            let names: Vec<&str> = names.iter().map(String::as_str).chain([INDEX]).collect();
            file(&root, &index, &real, names.join("/"), codings)
        }
        _ if lists_folders && real.is_dir() => {
            if !ends_with_slash {
                return Ok(Place::FolderWithoutSlash);
            }
            folder(&root, &real, names.is_empty()).map(Place::Folder)
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

fn file(root: &Path, asked: &Path, real: &Path, path: String, codings: &[Coding]) -> io::Result<Place> {
    let coded = |coding: &Coding| {
        let mut name = asked.as_os_str().to_owned();
        name.push(".");
        name.push(coding.extension());
        PathBuf::from(name)
    };
    let extension = real.extension().and_then(|extension| extension.to_str()).map(str::to_owned);
    let has_codings = CODINGS.iter().any(|coding| coded(coding).symlink_metadata().is_ok());
    for coding in codings.iter().filter(|_| has_codings) {
        let real = resolve(root, &coded(coding)).filter(|real| real.is_file());
        let Some(real) = real else { continue };
        if let Some((file, metadata)) = open(root, &real)? {
            let coding = Some(*coding);
            let found = Found { metadata, place: real, path, extension, coding, has_codings };
            return Ok(Place::File(Box::new(OpenFile { file, found })));
        }
    }
    Ok(match open(root, real)? {
        Some((file, metadata)) => {
            let place = real.to_owned();
            let found = Found { metadata, place, path, extension, coding: None, has_codings };
            Place::File(Box::new(OpenFile { file, found }))
        }
        None => Place::Nothing,
    })
}

/// Opens a resolved path name by name; none when it is no regular file any more. Opening waits for nobody, even if a
/// FIFO stands there now.
fn open(root: &Path, real: &Path) -> io::Result<Option<(File, Metadata)>> {
    let Ok(inside) = real.strip_prefix(root) else {
        return Ok(None);
    };
    let of_folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let of_file = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut opened = rustix::fs::open(root, of_folder, Mode::empty())?;
    let mut names = inside.iter().peekable();
    while let Some(name) = names.next() {
        let flags = if names.peek().is_some() { of_folder } else { of_file };
        opened = match rustix::fs::openat(&opened, name, flags, Mode::empty()).map_err(io::Error::from) {
            Ok(opened) => opened,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
    }
    let file = File::from(opened);
    let metadata = file.metadata()?;
    Ok(metadata.is_file().then_some((file, metadata)))
}

/// Whether the path has changed since it was resolved.
fn is_gone(error: &io::Error) -> bool {
    let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    // A link is a loop to whoever follows none, and a socket has no device behind it.
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        || is(Errno::LOOP)
        || is(Errno::NXIO)
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

/// What would be served of a folder.
fn folder(root: &Path, real: &Path, is_root: bool) -> io::Result<Folder> {
    let mut entries = Vec::new();
    let mut is_cut = false;
    for entry in real.read_dir()? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        if name.starts_with('.') || name.contains('\\') {
            continue;
        }
        if entries.len() == ENTRIES_MAX {
            is_cut = true;
            break;
        }
        let Some(real) = resolve(root, &real.join(&name)) else { continue };
        match real.metadata() {
            Ok(metadata) if metadata.is_dir() => entries.push(Entry { bytes: None, name }),
            Ok(metadata) if metadata.is_file() => entries.push(Entry { bytes: Some(metadata.len()), name }),
            _ => {}
        }
    }
    entries.sort_by(|one, other| (one.bytes.is_some(), &one.name).cmp(&(other.bytes.is_some(), &other.name)));
    Ok(Folder { is_root, entries, is_cut })
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
