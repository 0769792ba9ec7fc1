//! The history of versions of each service, which one is active, and their components on disk.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::backends::key_value::{KeyValue, KeyValueError};
use crate::names::{ServiceName, VersionNumber};
use crate::runtime::compile::{remove_others, write_whole};
use crate::runtime::digest::Digest;

/// Versions kept of each service: rollback reaches this far.
const VERSIONS_KEPT: usize = 20;

/// The bucket of the host's own store in which histories lie.
const BUCKET: &str = "versions";

/// Histories read at once while sweeping.
const HISTORIES_PER_PAGE: usize = 100;

/// One version of a service: one component, known by its digest, immutable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VersionRecord {
    /// Its number.
    #[schema(value_type = u32)]
    pub number: VersionNumber,
    /// The SHA-256 digest of its component.
    #[schema(value_type = String)]
    pub digest: Digest,
    /// Where the component came from: a path, or who sent it.
    pub source: String,
    /// When it was deployed first.
    #[schema(value_type = String)]
    pub deployed: jiff::Timestamp,
    /// The size of the component in bytes.
    pub bytes: u64,
}

/// Everything that is remembered about the versions of one service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Its versions, oldest first.
    pub versions: Vec<VersionRecord>,
    /// The version that answers.
    pub active: Option<VersionNumber>,
    /// The version that answered before it, to which a rollback returns.
    pub previous: Option<VersionNumber>,
    /// The digest last seen in each file from which the service was deployed.
    pub seen: BTreeMap<PathBuf, Digest>,
}

/// Why the history cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The store of the host failed.
    #[error("the history of versions cannot be reached: {0}")]
    Store(#[from] KeyValueError),
    /// What is stored cannot be read.
    #[error("the history of {0} is damaged: {1}")]
    Damaged(ServiceName, serde_json::Error),
    /// A component cannot be read or written.
    #[error("the component {0} cannot be kept: {1}")]
    Component(PathBuf, io::Error),
    /// A component on disk is not what it was.
    #[error("the component {0} is damaged: its digest is {1}")]
    Changed(PathBuf, Digest),
}

/// Where histories and components lie.
#[derive(Debug, Clone)]
pub struct VersionStore {
    store: KeyValue,
    folder: PathBuf,
}

impl History {
    /// The version of this number.
    pub fn version(&self, number: VersionNumber) -> Option<&VersionRecord> {
        self.versions.iter().find(|version| version.number == number)
    }

    /// The version with this component.
    pub fn with_digest(&self, digest: &Digest) -> Option<&VersionRecord> {
        self.versions.iter().find(|version| version.digest == *digest)
    }

    /// The active version.
    pub fn active(&self) -> Option<&VersionRecord> {
        self.version(self.active?)
    }

    /// The version of this component: the one that has it, or a new one.
    pub fn enter(&mut self, digest: Digest, source: &str, bytes: u64) -> VersionRecord {
        if let Some(known) = self.with_digest(&digest) {
            return known.clone();
        }
        let newest = self.versions.iter().map(|version| version.number.0).max().unwrap_or(0);
        let number = VersionNumber(newest + 1);
        let deployed = jiff::Timestamp::now();
        let record = VersionRecord { number, digest, source: source.into(), deployed, bytes };
        self.versions.push(record.clone());
        record
    }

    /// Makes a version the active one.
    pub fn activate(&mut self, number: VersionNumber) {
        if self.active != Some(number) {
            self.previous = self.active;
            self.active = Some(number);
        }
    }

    /// Drops the oldest versions beyond the number kept; answers which, so that their files can go.
    fn prune(&mut self) -> Vec<VersionRecord> {
        let mut spare = self.versions.len().saturating_sub(VERSIONS_KEPT);
        let (active, previous) = (self.active, self.previous);
        let mut gone = Vec::new();
        self.versions.retain(|version| {
            let stays = spare == 0 || Some(version.number) == active || Some(version.number) == previous;
            if !stays {
                spare -= 1;
                gone.push(version.clone());
            }
            stays
        });
        gone
    }
}

impl VersionStore {
    /// Histories in the host's own store, components below the storage folder.
    pub fn new(store: KeyValue, storage: &Path) -> Self {
        Self { store, folder: storage.join("components") }
    }

    /// The history of a service; empty when it never had a version.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn history(&self, service: &ServiceName) -> Result<History, HistoryError> {
        match self.store.get(BUCKET, service.as_str()).await? {
            Some(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| HistoryError::Damaged(service.clone(), error))
            }
            None => Ok(History::default()),
        }
    }

    /// Keeps a history; returns when it is durable.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub async fn keep(&self, service: &ServiceName, mut history: History) -> Result<(), HistoryError> {
        let gone = history.prune();
        let bytes =
            serde_json::to_vec(&history).map_err(|error| HistoryError::Damaged(service.clone(), error))?;
        self.store.set(BUCKET, service.as_str(), bytes).await?;
        for version in gone {
            // A file that stays costs space only.
            let _ = tokio::fs::remove_file(self.path(service, &version.digest)).await;
        }
        Ok(())
    }

    /// Keeps the component of a version; returns when it is durable.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub async fn keep_component(
        &self,
        service: &ServiceName,
        digest: Digest,
        bytes: Bytes,
    ) -> Result<(), HistoryError> {
        let path = self.path(service, &digest);
        let target = path.clone();
        let write = move || {
            if target.exists() {
                return Ok(());
            }
            if let Some(folder) = target.parent() {
                std::fs::create_dir_all(folder)?;
            }
            write_whole(&target, &bytes)
        };
        let written =
            tokio::task::spawn_blocking(write).await.unwrap_or_else(|error| Err(io::Error::other(error)));
        written.map_err(|error| HistoryError::Component(path, error))
    }

    /// The component of a version, checked against its digest.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is damaged.
    pub async fn component(&self, service: &ServiceName, digest: &Digest) -> Result<Bytes, HistoryError> {
        let path = self.path(service, digest);
        let place = path.clone();
        let read = move || std::fs::read(&place).map(|bytes| (Digest::of(&bytes), Bytes::from(bytes)));
        let read =
            tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(io::Error::other(error)));
        match read {
            Ok((found, bytes)) if found == *digest => Ok(bytes),
            Ok((found, _)) => Err(HistoryError::Changed(path, found)),
            Err(error) => Err(HistoryError::Component(path, error)),
        }
    }

    /// Removes components that no history knows; answers the digests of those that stay.
    ///
    /// # Errors
    ///
    /// When the histories cannot be read.
    pub async fn sweep(&self) -> Result<HashSet<Digest>, HistoryError> {
        let (mut kept, mut after) = (HashSet::new(), None);
        let mut folders = Vec::new();
        loop {
            let (names, next) = self.store.list_keys(BUCKET, after, HISTORIES_PER_PAGE).await?;
            for name in names {
                let Ok(service) = name.parse::<ServiceName>() else { continue };
                let history = self.history(&service).await?;
                let digests: HashSet<_> = history.versions.iter().map(|version| version.digest).collect();
                kept.extend(&digests);
                folders.push((self.folder.join(service.as_str()), digests));
            }
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let remove = move || folders.iter().for_each(|(folder, digests)| remove_others(folder, digests));
        let removed = tokio::task::spawn_blocking(remove).await;
        removed.map_err(|error| HistoryError::Component(self.folder.clone(), io::Error::other(error)))?;
        Ok(kept)
    }

    fn path(&self, service: &ServiceName, digest: &Digest) -> PathBuf {
        self.folder.join(service.as_str()).join(format!("{digest}.wasm"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_keeps_its_number_and_a_rollback_knows_where_to() {
        let mut history = History::default();
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        let first = history.enter(one, "a", 1).number;
        history.activate(first);
        let second = history.enter(two, "b", 1).number;
        history.activate(second);
        assert_eq!((first, second), (VersionNumber(1), VersionNumber(2)));
        assert_eq!(history.enter(one, "c", 1).number, first);
        history.activate(second);
        assert_eq!(history.previous, Some(first), "activating the active version changes nothing");
    }

    #[test]
    fn old_versions_go_but_never_the_active_or_previous_one() {
        let mut history = History::default();
        for index in 0..VERSIONS_KEPT + 5 {
            history.enter(Digest::of(&index.to_le_bytes()), "a", 1);
        }
        history.active = Some(VersionNumber(1));
        history.previous = Some(VersionNumber(3));
        let gone: Vec<_> = history.prune().into_iter().map(|version| version.number.0).collect();
        assert_eq!(gone, [2, 4, 5, 6, 7]);
        assert_eq!(history.versions.len(), VERSIONS_KEPT);
    }
}
