//! Secrets: named in the file, read from the environment or a file, never printed.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// A certificate chain fits; a file that was named by mistake does not fill the memory.
pub const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// The value of a secret. Neither `Debug` nor anything else but `reveal` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

/// Why a secret cannot be had; holds its name, never its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Neither `env:` nor `file:`.
    #[error("write where the secret is, never the secret itself: \"env:NAME\" or \"file:PATH\"")]
    Plain,
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

impl Secret {
    /// Reads `env:NAME` or `file:PATH`, the path relative to the folder. The line end at the end of a file
    /// does not belong to its secret.
    pub fn read(reference: &str, folder: &Path) -> Result<Self, SecretError> {
        if let Some(name) = reference.strip_prefix("env:") {
            return from_environment(name);
        }
        let path = reference.strip_prefix("file:").ok_or(SecretError::Plain)?;
        from_file(&folder.join(path))
    }

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
            let error = Secret::read(reference, Path::new("/")).unwrap_err();
            assert!(matches!(error, SecretError::Environment(_)), "{reference}");
        }
    }
}
