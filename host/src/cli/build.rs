//! `build`: run the build commands of services.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};

use crate::cli::output;
use crate::cli::up::spinner;
use crate::config::{self, Config, ServiceConfig, Source};
use crate::deploy::build::{Build, ensure_target};

/// Builds these services, or all.
pub async fn run(path: &Path, services: &[String], json: bool) -> anyhow::Result<()> {
    let config = config::load(path)?;
    if let Some(unknown) = services.iter().find(|name| !config.services.contains_key(name.as_str())) {
        let known: Vec<_> = config.services.keys().map(ToString::to_string).collect();
        bail!("there is no service {unknown} in {}; there are: {}", path.display(), known.join(", "));
    }
    let is_wanted = |name: &str| services.is_empty() || services.iter().any(|wanted| wanted == name);
    let builds: Vec<_> = builds(&config).filter(|build| is_wanted(build.service.as_str())).collect();
    run_all(&config, &builds).await?;
    match json {
        true => output::json(&builds.iter().map(|build| build.service.to_string()).collect::<Vec<_>>()),
        false => {
            output::line(&format!("built: {}", names(&builds)));
            Ok(())
        }
    }
}

/// Builds the components that are missing, or all.
pub async fn ensure(config: &Config, all: bool) -> anyhow::Result<()> {
    let is_missing = |build: &Build| build.component.as_ref().is_some_and(|path| !path.exists());
    let builds: Vec<_> = builds(config).filter(|build| all || is_missing(build)).collect();
    run_all(config, &builds).await
}

async fn run_all(config: &Config, builds: &[Build]) -> anyhow::Result<()> {
    if builds.is_empty() {
        return Ok(());
    }
    let bar = spinner();
    let tell = |line: &str| match std::io::stderr().is_terminal() {
        true => bar.println(line),
        false => eprintln!("{line}"),
    };
    if builds.iter().any(Build::needs_target)
        && ensure_target(&config.folder, |line| bar.set_message(line.to_owned())).await?
    {
        tell("added the Rust target wasm32-wasip2 (rustup target add wasm32-wasip2)");
    }
    for (index, build) in builds.iter().enumerate() {
        let place = format!("[{}/{}] {}", index + 1, builds.len(), build.service);
        tell(&format!("building {place}: {}", build.command));
        let progress = |line: &str| bar.set_message(format!("{place}: {}", line.trim()));
        build
            .run(&config.folder, progress)
            .await
            .with_context(|| format!("{} was not built", build.service))?;
    }
    bar.finish_and_clear();
    Ok(())
}

fn builds(config: &Config) -> impl Iterator<Item = Build> {
    let build = |service: &Arc<ServiceConfig>| match &service.source {
        Source::Component { file, build: Some(command) } => {
            Some(Build { service: service.name.clone(), command: command.clone(), component: file.clone() })
        }
        _ => None,
    };
    config.services.values().filter_map(build).collect::<Vec<_>>().into_iter()
}

fn names(builds: &[Build]) -> String {
    match builds.is_empty() {
        true => "nothing: no service has a build command".into(),
        false => builds.iter().map(|build| build.service.to_string()).collect::<Vec<_>>().join(", "),
    }
}
