//! Machine code of components, cached on disk by digest and engine.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::runtime::digest::Digest;
use crate::runtime::wasi::Wasi;

/// Machine code on disk, each file beside its checksum.
#[derive(Debug, Clone)]
pub struct CompileCache {
    folder: PathBuf,
}

/// A component ready to be linked, and how it came about.
pub struct Compiled {
    /// The generation of WASI that it is made for.
    pub wasi: Wasi,
    /// The component.
    pub component: Component,
    /// How long compiling took; none when it came from the cache.
    pub compile_time: Option<Duration>,
}

impl CompileCache {
    /// The cache of these engines below `folder`: others and other settings get folders of their own.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made.
    pub fn open<'e>(folder: &Path, engines: impl Iterator<Item = &'e Engine>) -> io::Result<Self> {
        let mut hasher = DefaultHasher::new();
        engines.for_each(|engine| engine.precompile_compatibility_hash().hash(&mut hasher));
        let folder = folder.join(format!("{:016x}", hasher.finish()));
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Keeps machine code, and makes a component of it.
    ///
    /// # Errors
    ///
    /// When the code is none of this engine; trouble with the cache costs time, not the component.
    pub fn keep(&self, engine: &Engine, digest: &Digest, code: &[u8]) -> wasmtime::Result<Component> {
        if let Err(error) = self.store(digest, code) {
            tracing::warn!(%error, %digest, "the compiled component could not be cached; the next start compiles it again");
            return from_memory(engine, code);
        }
        match self.load(engine, digest) {
            Some(component) => Ok(component),
            None => from_memory(engine, code),
        }
    }

    /// Removes the code of all components but these, and that of other engines.
    pub fn sweep(&self, kept: &HashSet<Digest>) {
        remove_others(&self.folder, kept);
        let engines = self.folder.parent().and_then(|folder| fs::read_dir(folder).ok());
        let others = engines.into_iter().flatten().flatten().map(|entry| entry.path());
        others.filter(|path| *path != self.folder && path.is_dir()).for_each(|path| {
            let _ = fs::remove_dir_all(path);
        });
    }

    /// Machine code from the cache, if it is there and whole; what is not is removed.
    #[allow(
        unsafe_code,
        reason = "machine code can only be trusted: it lies in our own folder and its checksum holds"
    )]
    pub fn load(&self, engine: &Engine, digest: &Digest) -> Option<Component> {
        let path = self.path(digest);
        let code = fs::read(&path).ok()?;
        let checksum = fs::read_to_string(checksum_path(&path)).ok()?;
        if checksum != checksum_of(&code) {
            tracing::warn!(%digest, "compiled code on disk is damaged; it is compiled again");
            let _ = fs::remove_file(&path);
            return None;
        }
        // SAFETY: the file was written by `store` from this engine's own compiler, and its checksum holds.
        unsafe { Component::deserialize_file(engine, &path) }
            .inspect_err(
                |error| tracing::warn!(%error, %digest, "compiled code cannot be used; it is compiled again"),
            )
            .ok()
    }

    fn store(&self, digest: &Digest, code: &[u8]) -> io::Result<()> {
        let path = self.path(digest);
        write_whole(&checksum_path(&path), checksum_of(code).as_bytes())?;
        write_whole(&path, code)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{digest}.cwasm"))
    }
}

#[allow(unsafe_code, reason = "the code comes from the host's own compiler, over a pipe")]
fn from_memory(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `code` is what the host's own compiler for this engine answered just now.
    unsafe { Component::deserialize(engine, code) }
}

/// Writes a file that is there whole or not at all, also after a crash.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    let mut file = fs::File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    match path.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Removes the files of a folder whose names do not begin with one of these digests. What cannot be removed costs
/// space only.
pub fn remove_others(folder: &Path, kept: &HashSet<Digest>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let digest = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        if digest.is_none_or(|digest| !kept.contains(&digest)) {
            let _ = fs::remove_file(path);
        }
    }
}

fn checksum_path(path: &Path) -> PathBuf {
    path.with_extension("sha256")
}

fn checksum_of(code: &[u8]) -> String {
    Digest::from(<[u8; 32]>::from(Sha256::digest(code))).to_string()
}
