//! Runs the build commands of services, and adds the Rust target that they need.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::names::ServiceName;

/// The Rust target of components.
const TARGET: &str = "wasm32-wasip2";

/// Lines of a failed build that are shown: the last ones name the fault.
const LINES_SHOWN: usize = 40;

/// One build: a shell command in the folder of `gateway.toml`.
#[derive(Debug, Clone)]
pub struct Build {
    /// The service that it builds.
    pub service: ServiceName,
    /// What to run.
    pub command: String,
    /// The component that it makes.
    pub component: Option<PathBuf>,
}

/// Why a build did not make its component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The command cannot be run.
    #[error("`{0}` cannot be run: {1}")]
    Start(String, io::Error),
    /// The command failed; with the end of what it said.
    #[error("`{command}` failed ({status}):\n{output}")]
    Failed {
        /// What was run.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The end of what it said.
        output: String,
    },
    /// The command ended well but made nothing.
    #[error("`{0}` ended well, but {1} is not there: check `component` and `build` of the service")]
    Missing(String, PathBuf),
}

impl Build {
    /// Runs the build; each line it says goes to `progress`.
    ///
    /// # Errors
    ///
    /// When it fails, or does not make its component.
    pub async fn run(&self, folder: &Path, progress: impl Fn(&str)) -> Result<(), BuildError> {
        run(&self.command, folder, progress).await?;
        match &self.component {
            Some(path) if !path.exists() => Err(BuildError::Missing(self.command.clone(), path.clone())),
            _ => Ok(()),
        }
    }

    /// Whether it needs the Rust target of components.
    pub fn needs_target(&self) -> bool {
        self.command.contains(TARGET)
    }
}

/// Adds the Rust target of components when rustup says that it is missing; answers whether it was added.
///
/// # Errors
///
/// When it cannot be added. Without rustup nothing is known, and the build itself will tell.
pub async fn ensure_target(folder: &Path, progress: impl Fn(&str)) -> Result<bool, BuildError> {
    let listed =
        Command::new("rustup").args(["target", "list", "--installed"]).current_dir(folder).output().await;
    let Ok(listed) = listed else { return Ok(false) };
    if !listed.status.success() || String::from_utf8_lossy(&listed.stdout).lines().any(|line| line == TARGET)
    {
        return Ok(false);
    }
    run(&format!("rustup target add {TARGET}"), folder, progress).await?;
    Ok(true)
}

async fn run(command: &str, folder: &Path, progress: impl Fn(&str)) -> Result<(), BuildError> {
    let start = |error| BuildError::Start(command.to_owned(), error);
    let mut child = Command::new("sh")
        .args(["-c", &format!("{command} 2>&1")])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    let mut last = std::collections::VecDeque::with_capacity(LINES_SHOWN);
    if let Some(output) = child.stdout.take() {
        let mut lines = BufReader::new(output).lines();
        while let Some(line) = lines.next_line().await.map_err(start)? {
            progress(&line);
            if last.len() == LINES_SHOWN {
                last.pop_front();
            }
            last.push_back(line);
        }
    }
    let status = child.wait().await.map_err(start)?;
    match status.success() {
        true => Ok(()),
        false => {
            let output = Vec::from(last).join("\n");
            Err(BuildError::Failed { command: command.to_owned(), status, output })
        }
    }
}
