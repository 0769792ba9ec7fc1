//! `keys`: make an API key, list them, revoke one.

use std::time::Duration;

use reqwest::Method;

use crate::admin::keys::{KeyView, MadeKey, WantedKey};
use crate::cli::args::Keys;
use crate::cli::client::Client;
use crate::cli::output;

/// Does what is asked about API keys.
pub async fn run(client: &Client, what: Keys, json: bool) -> anyhow::Result<()> {
    match what {
        Keys::Add { name, scopes, expires } => add(client, name, scopes, expires, json).await,
        Keys::List => list(client, json).await,
        Keys::Revoke { id } => revoke(client, &id, json).await,
    }
}

async fn add(
    client: &Client,
    name: String,
    scopes: Vec<String>,
    expires: Option<Duration>,
    json: bool,
) -> anyhow::Result<()> {
    let wanted = WantedKey { name, scopes, expires_in_s: expires.map(|life| life.as_secs()) };
    let made: MadeKey = client.json(client.request(Method::POST, "/keys").json(&wanted)).await?;
    if json {
        return output::json(&made);
    }
    output::line(&made.key);
    output::line(&format!(
        "Key {} of {}, {}. It is shown only now: keep it where secrets are kept.",
        made.details.id,
        made.details.name,
        until(&made.details)
    ));
    Ok(())
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let keys: Vec<KeyView> = client.get("/keys").await?;
    if json {
        return output::json(&keys);
    }
    let rows = keys.into_iter().map(|key| {
        let (scopes, until) = (key.scopes.join(" "), until(&key));
        [key.id, key.name, scopes, key.created.to_string(), until]
    });
    output::table(["ID", "NAME", "SCOPES", "CREATED", "COUNTS"], rows);
    Ok(())
}

async fn revoke(client: &Client, id: &str, json: bool) -> anyhow::Result<()> {
    let key: KeyView = client.json(client.request(Method::DELETE, &format!("/keys/{id}"))).await?;
    match json {
        true => output::json(&key),
        false => {
            output::line(&format!("key {} of {} counts no more", key.id, key.name));
            Ok(())
        }
    }
}

fn until(key: &KeyView) -> String {
    match key.expires {
        Some(end) if end <= jiff::Timestamp::now() => "expired".into(),
        Some(end) => format!("until {end}"),
        None => "until revoked".into(),
    }
}
