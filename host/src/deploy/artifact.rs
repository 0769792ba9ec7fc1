//! Component files: read whole, never larger than allowed.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::io::AsyncReadExt;

/// The largest component: Python's is 18 MB, JavaScript's 13 MB.
pub const ARTIFACT_BYTES_MAX: u64 = 128 << 20;

/// Why a component file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// It cannot be read.
    #[error("{0} cannot be read: {1}")]
    Unreadable(PathBuf, io::Error),
    /// It is too large.
    #[error("{0} is larger than a component may be ({ARTIFACT_BYTES_MAX} bytes)")]
    TooLarge(PathBuf),
}

/// Reads a component file.
///
/// # Errors
///
/// When it cannot be read or is too large.
pub async fn read(path: &Path) -> Result<Bytes, ArtifactError> {
    let unreadable = |error| ArtifactError::Unreadable(path.into(), error);
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(ARTIFACT_BYTES_MAX + 1).read_to_end(&mut bytes).await.map_err(unreadable)?;
    match bytes.len() as u64 > ARTIFACT_BYTES_MAX {
        true => Err(ArtifactError::TooLarge(path.into())),
        false => Ok(bytes.into()),
    }
}
