//! `deploy`, `rollback`, `versions`: talk to a running host.

use std::path::Path;

use anyhow::Context as _;
use reqwest::Method;

use crate::admin::services::{Rollback, SOURCE_HEADER, Versions};
use crate::cli::client::Client;
use crate::cli::output;
use crate::cli::up::spinner;
use crate::deploy::Deployed;
use crate::deploy::artifact;
use crate::names::VersionNumber;

/// Sends a component to a service.
pub async fn deploy(client: &Client, service: &str, file: &Path, json: bool) -> anyhow::Result<()> {
    let bytes = artifact::read(file).await?;
    let bar = spinner();
    bar.set_message(format!("deploying {} to {service}", file.display()));
    let path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let request = client
        .request(Method::POST, &format!("/services/{service}/versions"))
        .header(SOURCE_HEADER, path.display().to_string())
        .body(bytes);
    let deployed = client.json(request).await;
    bar.finish_and_clear();
    let deployed: Deployed =
        deployed.with_context(|| format!("{} was not deployed to {service}", file.display()))?;
    tell(&deployed, json)
}

/// Lets an earlier version answer again.
pub async fn roll_back(client: &Client, service: &str, to: Option<u32>, json: bool) -> anyhow::Result<()> {
    let request = client
        .request(Method::POST, &format!("/services/{service}/rollback"))
        .json(&Rollback { to: to.map(VersionNumber) });
    let deployed: Deployed =
        client.json(request).await.with_context(|| format!("{service} was not rolled back"))?;
    tell(&deployed, json)
}

/// Lists the versions of a service.
pub async fn versions(client: &Client, service: &str, json: bool) -> anyhow::Result<()> {
    let found: Versions = client.get(&format!("/services/{service}/versions")).await?;
    if json {
        return output::json(&found);
    }
    let mark = |number| match Some(number) {
        active if active == found.active => "active",
        previous if previous == found.previous => "previous",
        _ => "",
    };
    let rows = found.versions.iter().map(|version| {
        [
            version.number.to_string(),
            mark(version.number).to_owned(),
            version.digest.short(),
            output::size(version.bytes),
            version.deployed.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            version.source.clone(),
        ]
    });
    output::table(["VERSION", "", "DIGEST", "SIZE", "DEPLOYED (UTC)", "SOURCE"], rows);
    Ok(())
}

fn tell(deployed: &Deployed, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(deployed);
    }
    let Deployed { service, version, changed, compile_ms, total_ms } = deployed;
    let number = version.number;
    match (changed, compile_ms) {
        (false, _) => output::line(&format!("{service} {number} answers already: nothing has changed")),
        (true, Some(compile)) => {
            output::line(&format!(
                "{service} {number} answers after {total_ms} ms (compiled in {compile} ms)"
            ));
        }
        (true, None) => output::line(&format!("{service} {number} answers after {total_ms} ms")),
    }
    Ok(())
}
