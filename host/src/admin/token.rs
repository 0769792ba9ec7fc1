//! The bearer token of the admin API: made at first start, kept in the storage folder for the command.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rand::Rng;

use crate::runtime::digest::Digest;

/// The file of the token, below the storage folder.
const TOKEN_FILE: &str = "admin-token";

/// The file of the address on which a running host answers operators, below the storage folder.
const ADDRESS_FILE: &str = "admin-address";

/// Random bytes of a token: more than anybody can guess.
const TOKEN_BYTES: usize = 32;

/// The token that operators must show.
#[derive(Clone)]
pub struct AdminToken {
    digest: Digest,
}

impl AdminToken {
    /// Reads the token of this storage folder, or makes one that only its owner can read.
    ///
    /// # Errors
    ///
    /// When it can be neither read nor written.
    pub fn open(storage: &Path) -> io::Result<Self> {
        let path = token_path(storage);
        let token = match fs::read_to_string(&path) {
            Ok(token) if token.trim().len() >= TOKEN_BYTES => token.trim().to_owned(),
            Ok(_) => return Err(io::Error::other(format!("{} holds no token: remove it", path.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path)?,
            Err(error) => return Err(error),
        };
        Ok(Self { digest: Digest::of(token.as_bytes()) })
    }

    /// Whether `shown` is the token. Digests are compared, so that the time tells nothing of the token.
    pub fn is(&self, shown: &str) -> bool {
        Digest::of(shown.as_bytes()) == self.digest
    }
}

/// Where the token of a storage folder lies.
pub fn token_path(storage: &Path) -> PathBuf {
    storage.join(TOKEN_FILE)
}

/// Where the admin address of a running host is noted.
pub fn address_path(storage: &Path) -> PathBuf {
    storage.join(ADDRESS_FILE)
}

/// Notes where this host answers operators, so that the command finds it.
///
/// # Errors
///
/// When it cannot be written.
pub fn note_address(storage: &Path, address: SocketAddr) -> io::Result<()> {
    fs::write(address_path(storage), address.to_string())
}

fn make(path: &Path) -> io::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(token.as_bytes())?;
    file.sync_all()?;
    Ok(token)
}
