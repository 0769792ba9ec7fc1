//! The storage folder: one host at a time.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context as _, bail};

/// Holds the storage folder; the system lets go of it when the process ends, however it ends.
pub struct StorageLock {
    _file: File,
}

impl StorageLock {
    /// Makes the folder if it is missing, and takes it.
    ///
    /// # Errors
    ///
    /// When it cannot be made, or another host holds it.
    pub fn take(folder: &Path) -> anyhow::Result<Self> {
        let shown = folder.display();
        fs::create_dir_all(folder).with_context(|| format!("the storage folder {shown} cannot be made"))?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
            .with_context(|| format!("the storage folder {shown} cannot be closed to others"))?;
        let path = folder.join("lock");
        let file = File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {
                bail!("another host uses the storage folder {shown}: stop it, or set another `storage.path`")
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("{shown} cannot be locked"))
            }
        }
    }
}
