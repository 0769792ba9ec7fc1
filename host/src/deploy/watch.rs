//! Deploys component files that change, once they have settled.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// A file counts as settled when it has not changed for this long: linkers write for a while.
const SETTLE: Duration = Duration::from_millis(200);

/// Changes that may wait to be read; more are one change anyway.
const QUEUE_MAX: usize = 1_024;

/// Watches files by their folders, so that a file that is replaced, or comes later, is seen.
pub struct FileWatch {
    _watcher: RecommendedWatcher,
    changes: mpsc::Receiver<PathBuf>,
}

impl FileWatch {
    /// Watches these files; folders that do not exist yet are left out.
    ///
    /// # Errors
    ///
    /// When the system cannot watch.
    pub fn new(files: impl IntoIterator<Item = PathBuf>) -> notify::Result<Self> {
        let files: BTreeSet<PathBuf> = files.into_iter().collect();
        let (sender, changes) = mpsc::channel(QUEUE_MAX);
        let wanted = files.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if matches!(event.kind, notify::EventKind::Access(_)) {
                return;
            }
            for path in event.paths.into_iter().filter(|path| wanted.contains(path)) {
                // A full queue already holds news.
                let _ = sender.try_send(path);
            }
        })?;
        let folders: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
        for folder in folders.into_iter().filter(|folder| folder.is_dir()) {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
        Ok(Self { _watcher: watcher, changes })
    }

    /// Waits until one or more of the files have changed and settled.
    pub async fn changed(&mut self) -> Vec<PathBuf> {
        let mut changed = BTreeMap::new();
        loop {
            let news = match changed.is_empty() {
                true => self.changes.recv().await,
                false => match tokio::time::timeout(SETTLE, self.changes.recv()).await {
                    Ok(news) => news,
                    Err(_) => return changed.into_keys().collect(),
                },
            };
            match news {
                Some(path) => {
                    changed.insert(path, ());
                }
                // The watcher is gone, and with it all news.
                None => std::future::pending().await,
            }
        }
    }
}
