//! Tokens of a host's operator: `hostel token`, asked again before one expires.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long a token is used; it counts for five minutes.
const USED: Duration = Duration::from_secs(120);

/// Who asks the host that runs on a gateway.toml for tokens.
pub struct Operator {
    config: PathBuf,
    arguments: Vec<String>,
    token: Mutex<Option<(Instant, String)>>,
}

impl Operator {
    /// One whose tokens are made with these arguments.
    pub fn new(config: PathBuf, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().copied().map(str::to_owned).collect();
        Self { config, arguments, token: Mutex::default() }
    }

    /// A token that counts for some minutes more.
    pub fn token(&self) -> String {
        let mut kept = self.token.lock().unwrap();
        match &*kept {
            Some((made, token)) if made.elapsed() < USED => return token.clone(),
            _ => {}
        }
        let made = Instant::now();
        match (self.ask(), &*kept) {
            (Ok(token), _) => kept.insert((made, token)).1.clone(),
            // A host that was killed gives none; the last one counts a while yet.
            (Err(_), Some((_, token))) => token.clone(),
            (Err(errors), None) => panic!("hostel token: {errors}"),
        }
    }

    fn ask(&self) -> Result<String, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostel"));
        command.arg("--config").arg(&self.config).arg("token").args(&self.arguments).stdin(Stdio::null());
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}
