//! Secrets: named in the file; read from the environment or a file, or generated once and kept; never printed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A certificate chain fits; a file that was named by mistake does not fill the memory.
pub const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Where generated secrets lie below the storage folder.
const KEPT_FOLDER: &str = "secrets";

/// Random bytes of a generated secret: as much as any cipher takes.
const GENERATED_BYTES: usize = 32;

/// The longest name of a generated secret; it is the name of a file.
const GENERATED_NAME_BYTES_MAX: usize = 63;

/// The value of a secret. Neither `Debug` nor anything else but `reveal` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

/// Why a secret cannot be had; holds its name, never its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// None of the known places.
    #[error(
        "write where the secret is, never the secret itself: \"env:NAME\", \"file:PATH\" or \"generated:NAME\""
    )]
    Plain,
    /// A generated secret with a name that is none.
    #[error("name the generated secret {0:?} with 1 to 63 lower-case letters, digits and `-`")]
    GeneratedName(String),
    /// Not in the environment, or empty there.
    #[error("set the environment variable `{0}` before the host starts; it is not set or empty")]
    Environment(String),
    /// The file cannot be read.
    #[error("make the file {file} readable for the host: {reason}")]
    File {
        /// The file as it was looked for.
        file: String,
        /// What the system said about it.
        reason: String,
    },
}

/// Reads the secrets of one file, relative to its folder.
#[derive(Debug)]
pub struct Secrets<'f> {
    folder: &'f Path,
    /// Where generated secrets are kept.
    kept: PathBuf,
    /// Those that were not there yet, by name: the same name is the same secret.
    made: RefCell<BTreeMap<String, Secret>>,
}

/// A secret that was generated and is not kept yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeSecret {
    path: PathBuf,
    secret: Secret,
}

impl<'f> Secrets<'f> {
    /// Those of a file in this folder, whose host keeps its data in `storage`.
    pub fn new(folder: &'f Path, storage: &Path) -> Self {
        Self { folder, kept: storage.join(KEPT_FOLDER), made: RefCell::default() }
    }

    /// Reads `env:NAME`, `file:PATH`, the path relative to the folder, or `generated:NAME`. The line end at the end
    /// of a file does not belong to its secret.
    pub fn read(&self, reference: &str) -> Result<Secret, SecretError> {
        if let Some(name) = reference.strip_prefix("env:") {
            return from_environment(name);
        }
        if let Some(name) = reference.strip_prefix("generated:") {
            return self.generated(name);
        }
        let path = reference.strip_prefix("file:").ok_or(SecretError::Plain)?;
        from_file(&self.folder.join(path))
    }

    /// What is to be kept before any of it is used.
    pub fn into_made(self) -> Vec<MadeSecret> {
        let made = self.made.into_inner().into_iter();
        made.map(|(name, secret)| MadeSecret { path: self.kept.join(name), secret }).collect()
    }

    fn generated(&self, name: &str) -> Result<Secret, SecretError> {
        let is_name = (1..=GENERATED_NAME_BYTES_MAX).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !is_name {
            return Err(SecretError::GeneratedName(name.to_owned()));
        }
        let path = self.kept.join(name);
        if path.exists() {
            return from_file(&path);
        }
        let make = || Secret(URL_SAFE_NO_PAD.encode(rand::random::<[u8; GENERATED_BYTES]>()).into());
        Ok(self.made.borrow_mut().entry(name.to_owned()).or_insert_with(make).clone())
    }
}

impl MadeSecret {
    /// Keeps it, durably and for the host alone; to be done before it is used, so that it never changes.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written.
    pub fn keep(&self) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let draft = self.path.with_extension("new");
        let mut file =
            fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(self.secret.reveal().as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &self.path)?;
        File::open(folder)?.sync_all()
    }
}

impl Secret {
    /// The value itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

fn from_environment(name: &str) -> Result<Secret, SecretError> {
    // The standard library panics at names that no environment can hold.
    let is_name = !name.is_empty() && !name.contains(['=', '\0']);
    let value = is_name.then(|| std::env::var(name).ok()).flatten().filter(|value| !value.is_empty());
    value.map(|value| Secret(value.into())).ok_or_else(|| SecretError::Environment(name.to_owned()))
}

fn from_file(path: &Path) -> Result<Secret, SecretError> {
    let refuse = |reason: String| SecretError::File { file: path.display().to_string(), reason };
    let mut text = String::new();
    let file = File::open(path).map_err(|error| refuse(error.to_string()))?;
    file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| refuse(error.to_string()))?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        return Err(refuse(format!("it is longer than {SECRET_BYTES_MAX} bytes")));
    }
    let value = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    if value.is_empty() {
        return Err(refuse("it is empty".into()));
    }
    Ok(Secret(value.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret("hunter2".into());
        assert_eq!(format!("{secret:?}"), "Secret(not shown)");
        assert_eq!(secret.reveal(), "hunter2");
    }

    #[test]
    fn names_that_no_environment_holds_do_not_panic() {
        for reference in ["env:", "env:A=B", "env:A\0B", "env:HOSTEL_NO_SUCH_VARIABLE"] {
            let error = Secrets::new(Path::new("/"), Path::new("/data")).read(reference).unwrap_err();
            assert!(matches!(error, SecretError::Environment(_)), "{reference}");
        }
    }

    #[test]
    fn a_generated_secret_is_one_for_its_name_and_lasts() {
        let folder = std::env::temp_dir().join(format!("hostel-secrets-{}", std::process::id()));
        let secrets = Secrets::new(&folder, &folder);
        let first = secrets.read("generated:a").unwrap();
        assert_eq!(first.reveal().len(), 43);
        assert_eq!(secrets.read("generated:a").unwrap(), first);
        assert_ne!(secrets.read("generated:b").unwrap(), first);
        assert!(!folder.exists(), "nothing is written before it is wanted");
        secrets.into_made().iter().for_each(|made| made.keep().unwrap());
        let again = Secrets::new(&folder, &folder);
        assert_eq!(again.read("generated:a").unwrap(), first);
        assert!(again.into_made().is_empty());
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs::metadata(folder.join("secrets/a")).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
        for name in ["", "../a", "A", "a/b"] {
            let reference = format!("generated:{name}");
            let fault = Secrets::new(&folder, &folder).read(&reference).unwrap_err();
            assert!(matches!(fault, SecretError::GeneratedName(_)), "{name}");
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
