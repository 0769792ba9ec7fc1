//! `cache`: throw away responses that the gateway has kept.

use reqwest::Method;

use crate::admin::cache::Purged;
use crate::cli::args::Cache;
use crate::cli::client::Client;
use crate::cli::output;
use crate::gateway::Purge;

/// Does what is asked about the cache.
pub async fn run(client: &Client, what: Cache, json: bool) -> anyhow::Result<()> {
    let Cache::Purge { path, tag } = what;
    let request = client.request(Method::POST, "/cache/purge").json(&Purge { path, tag });
    let purged: Purged = client.json(request).await?;
    if json {
        return output::json(&purged);
    }
    output::line(&format!("{} responses thrown away", purged.responses));
    Ok(())
}
