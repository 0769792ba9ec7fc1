//! Where the storage folder of a configuration lies, for commands that speak to its running host.

use std::path::{Path, PathBuf};

/// The folder when the file names none.
const DEFAULT_STORAGE: &str = "data";

/// The storage folder that the file names, absolute. Only that is looked at: the host may run on an older state of
/// the file, and with secrets that this shell does not have.
///
/// # Errors
///
/// When the file cannot be read or is no TOML.
pub fn storage_of(path: &Path) -> Result<PathBuf, String> {
    let shown = path.display();
    let file = std::path::absolute(path).map_err(|error| format!("{shown}: {error}"))?;
    let bytes = super::read(&file).map_err(|error| {
        format!("{shown} cannot be read: {error}; name a gateway.toml with --config FILE")
    })?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{shown} is no text"))?;
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| format!("{shown}: {}", error.message()))?;
    let named = table.get("storage").and_then(|storage| storage.get("path")).and_then(toml::Value::as_str);
    let folder = file.parent().unwrap_or(Path::new("/"));
    Ok(folder.join(named.unwrap_or(DEFAULT_STORAGE)))
}
