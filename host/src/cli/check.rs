//! `check`: validate gateway.toml and every component without serving.

use std::path::Path;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use serde::Serialize;

use crate::cli::output;
use crate::config::{self, Config, ServiceConfig, Source};
use crate::deploy::artifact;
use crate::runtime::Runtime;

/// What was found about one service.
#[derive(Debug, Serialize)]
struct Verdict {
    service: String,
    good: bool,
    message: String,
}

/// Checks everything, or prints the schema of the configuration.
pub async fn run(path: &Path, schema: bool, json: bool) -> anyhow::Result<()> {
    if schema {
        return output::json(&config::schema());
    }
    let config = match config::load(path) {
        Ok(config) => config,
        Err(error) if json => {
            output::json(&serde_json::json!({ "good": false, "problems": error.problems }))?;
            bail!("{} is not valid", path.display());
        }
        Err(error) => return Err(error.into()),
    };
    let verdicts = verdicts(&config).await?;
    let good = verdicts.iter().all(|verdict| verdict.good);
    match json {
        true => output::json(&serde_json::json!({ "good": good, "services": verdicts }))?,
        false => show(path, &verdicts),
    }
    match good {
        true => Ok(()),
        false => Err(anyhow!("a component does not fit {}", path.display())),
    }
}

async fn verdicts(config: &Config) -> anyhow::Result<Vec<Verdict>> {
    let runtime = Runtime::new(&config.storage.path.join("cache"), config.deploys)?;
    let mut verdicts = Vec::new();
    for service in config.services.values() {
        let result = check(&runtime, service).await;
        let good = result.is_ok();
        let message = result.unwrap_or_else(|reason| reason);
        verdicts.push(Verdict { service: service.name.to_string(), good, message });
    }
    Ok(verdicts)
}

/// What can be said of one service, good or bad.
async fn check(runtime: &Runtime, service: &Arc<ServiceConfig>) -> Result<String, String> {
    let Source::Component { file: Some(file), .. } = &service.source else {
        return Ok("no component file to check".into());
    };
    if !file.exists() {
        return Ok(format!("{} is not built yet", file.display()));
    }
    let bytes = artifact::read(file).await.map_err(|error| error.to_string())?;
    let digest = Runtime::digest(&bytes).await.map_err(|error| error.to_string())?;
    let compiled = runtime.compile(digest, bytes).await.map_err(|error| error.to_string())?;
    runtime.check_all(&compiled, service).map_err(|error| error.to_string())?;
    Ok(format!("fits ({})", digest.short()))
}

fn show(path: &Path, verdicts: &[Verdict]) {
    output::line(&format!("{} is valid", path.display()));
    let mark = |good| if good { "ok" } else { "BAD" };
    output::table(
        ["SERVICE", "", "COMPONENT"],
        verdicts.iter().map(|it| [it.service.clone(), mark(it.good).to_owned(), it.message.clone()]),
    );
}
