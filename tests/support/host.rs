//! Starts a host from a few lines of TOML on a free port; its log is shown when the test fails.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::client::Client;
use super::folder::TemporaryFolder;

/// How long a host may take to become ready: compiling a component the first time takes seconds on a busy machine.
const START_TIME_MAX: Duration = Duration::from_secs(300);

/// How long a host may take to stop after SIGTERM.
const STOP_TIME_MAX: Duration = Duration::from_secs(60);

/// A folder with a gateway.toml in it, and perhaps a host that runs on it.
pub struct Host {
    folder: TemporaryFolder,
    child: Option<Child>,
    starts: u32,
    port: u16,
}

impl Host {
    /// A folder with this configuration, to which listeners on free ports are added. Nothing runs yet.
    pub fn prepare(config: &str) -> Self {
        Self::prepare_on(0, config)
    }

    /// The same with the gateway on this port, for a configuration that has to know it.
    pub fn prepare_on(port: u16, config: &str) -> Self {
        let host = Self { folder: TemporaryFolder::new(), child: None, starts: 0, port };
        host.write_config(config);
        host
    }

    /// A host that is ready.
    pub async fn start(config: &str) -> Self {
        let mut host = Self::prepare(config);
        host.launch().await;
        host
    }

    /// Replaces the configuration; a running host reloads it by itself.
    pub fn write_config(&self, config: &str) {
        // The gateway comes last, so that a configuration can begin with further keys of it.
        let port = self.port;
        let head = format!("[admin]\nlisten = \"127.0.0.1:0\"\n[gateway]\nlisten = \"127.0.0.1:{port}\"\n");
        // Written beside it first: a host that watches must never see half of it.
        let draft = self.path("gateway.toml.new");
        fs::write(&draft, format!("{head}{config}")).unwrap();
        fs::rename(draft, self.path("gateway.toml")).unwrap();
    }

    /// Starts the host and waits until it is ready.
    pub async fn launch(&mut self) {
        let log = |host: &Self| File::create(host.log_path()).unwrap().into();
        self.launch_with(log).await;
    }

    /// The same with a log that goes into a pipe of which nobody reads.
    pub async fn launch_unread(&mut self) {
        self.launch_with(|_| Stdio::piped()).await;
    }

    async fn launch_with(&mut self, log: impl FnOnce(&Self) -> Stdio) {
        assert!(self.child.is_none(), "it runs already");
        self.starts += 1;
        let _ = fs::remove_file(self.path("data/admin-address"));
        let log = log(self);
        let output = File::create(self.path(&format!("output-{}.json", self.starts))).unwrap();
        let child = self.command(&["up", "--json"]).stdout(output).stderr(log).spawn().unwrap();
        self.child = Some(child);
        self.wait_until_ready().await;
    }

    /// Kills the host as `kill -9` does.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it does not run");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Stops the host by SIGTERM and answers how it ended.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait_for_end().await
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let id = self.child.as_ref().expect("it does not run").id();
        let sent = Command::new("kill").args([format!("-{name}"), id.to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until the process has ended.
    pub async fn wait_for_end(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it does not run");
        let deadline = Instant::now() + STOP_TIME_MAX;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("the host did not stop within {STOP_TIME_MAX:?}\n{}", self.log());
    }

    /// The id of the process.
    pub fn process(&self) -> u32 {
        self.child.as_ref().expect("it does not run").id()
    }

    /// A command of the `hostel` binary on this configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostel"));
        command.arg("--config").arg(self.path("gateway.toml")).args(arguments);
        command.current_dir(self.folder.path()).stdin(Stdio::null()).env_remove("RUST_BACKTRACE");
        command
    }

    /// Runs a command and answers its exit code, output and errors.
    pub fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// Runs a command that must end well, with `--json`, and answers what it printed.
    pub fn run_json(&self, arguments: &[&str]) -> serde_json::Value {
        let arguments: Vec<_> = arguments.iter().copied().chain(["--json"]).collect();
        let (code, output, errors) = self.run(&arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {errors}");
        serde_json::from_str(&output).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output}"))
    }

    /// A client of the gateway.
    pub fn client(&self) -> Client {
        Client::new(&self.gateway())
    }

    /// The URL of the gateway.
    pub fn gateway(&self) -> String {
        let output = fs::read_to_string(self.path(&format!("output-{}.json", self.starts))).unwrap();
        let shown: serde_json::Value = serde_json::from_str(&output).unwrap();
        shown["gateway"].as_str().unwrap().to_owned()
    }

    /// The address of the gateway.
    pub fn gateway_address(&self) -> SocketAddr {
        let url = self.gateway();
        url.trim_start_matches("http://").trim_start_matches("https://").parse().unwrap()
    }

    /// A client of the admin API, with its token.
    pub fn admin(&self) -> Client {
        let address = fs::read_to_string(self.path("data/admin-address")).unwrap();
        let token = fs::read_to_string(self.path("data/admin-token")).unwrap();
        Client::new(&format!("http://{address}")).with_token(&token)
    }

    /// A path below the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Everything that the host has logged since its last start.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Waits until the log contains this text.
    pub async fn logged(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "{text:?} was not logged:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn log_path(&self) -> PathBuf {
        self.path(&format!("log-{}.txt", self.starts))
    }

    async fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + START_TIME_MAX;
        loop {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().unwrap()) {
                self.child = None;
                panic!("the host ended at its start ({status}):\n{}", self.log());
            }
            let output =
                fs::read_to_string(self.path(&format!("output-{}.json", self.starts))).unwrap_or_default();
            if serde_json::from_str::<serde_json::Value>(&output).is_ok() {
                return;
            }
            assert!(Instant::now() < deadline, "the host was not ready in time:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let start = log.len().saturating_sub(16 * 1024);
            let start = (start..log.len()).find(|index| log.is_char_boundary(*index)).unwrap_or(0);
            eprintln!("--- the end of the host's log ---\n{}", &log[start..]);
        }
    }
}
