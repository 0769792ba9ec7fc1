//! `services`, `instances`, `routes`, `logs`: see what runs.

use futures::StreamExt;
use reqwest::Method;
use serde::Deserialize;

use crate::admin::services::ServiceView;
use crate::balance::pool::InstanceView;
use crate::cli::client::Client;
use crate::cli::output;
use crate::gateway::RouteView;
use crate::registry::ServiceRecord;

/// A line of a log, as far as it is shown.
#[derive(Debug, Deserialize)]
struct ShownLine {
    at: String,
    level: String,
    version: Option<u32>,
    instance: Option<String>,
    message: String,
}

/// Lists the services.
pub async fn services(client: &Client, json: bool) -> anyhow::Result<()> {
    let services: Vec<ServiceView> = client.get("/services").await?;
    if json {
        return output::json(&services);
    }
    let rows = services.into_iter().map(|ServiceView { record: service, limits_met }| {
        let met: Vec<String> = limits_met.iter().map(|(limit, count)| format!("{limit} {count}")).collect();
        let instances: u32 = service.endpoints.iter().map(|endpoint| endpoint.instances).sum();
        [
            service.name.to_string(),
            service.domain.to_string(),
            service.version.map_or_else(|| "-".to_owned(), |version| version.to_string()),
            service.health.to_string(),
            instances.to_string(),
            service.endpoints.iter().map(|endpoint| endpoint.address.clone()).collect::<Vec<_>>().join(", "),
            met.join(", "),
        ]
    });
    output::table(["SERVICE", "DOMAIN", "VERSION", "HEALTH", "INSTANCES", "ENDPOINTS", "LIMITS MET"], rows);
    Ok(())
}

/// Lists the instances of one service, or of all.
pub async fn instances(client: &Client, service: Option<&str>, json: bool) -> anyhow::Result<()> {
    let names = match service {
        Some(name) => vec![name.to_owned()],
        None => {
            let services: Vec<ServiceRecord> = client.get("/services").await?;
            services.into_iter().map(|service| service.name.to_string()).collect()
        }
    };
    let mut all: Vec<InstanceView> = Vec::new();
    for name in names {
        all.extend(client.get::<Vec<InstanceView>>(&format!("/services/{name}/instances")).await?);
    }
    if json {
        return output::json(&all);
    }
    let rows = all.into_iter().map(|instance| {
        [
            instance.name,
            if instance.busy { "busy" } else { "idle" }.to_owned(),
            format!("{} s", instance.seconds),
            instance.calls.to_string(),
            instance.memory.map_or_else(|| "-".to_owned(), output::size),
        ]
    });
    output::table(["INSTANCE", "STATE", "FOR", "CALLS", "MEMORY"], rows);
    Ok(())
}

/// Lists the routes.
pub async fn routes(client: &Client, json: bool) -> anyhow::Result<()> {
    let routes: Vec<RouteView> = client.get("/routes").await?;
    if json {
        return output::json(&routes);
    }
    let rows = routes.into_iter().map(|route| {
        let target = match (route.service, route.redirect, route.files) {
            (Some(service), _, _) => service.to_string(),
            (None, Some(to), _) => format!("redirect to {to}"),
            (None, None, Some(files)) => format!("files in {}", files.display()),
            (None, None, None) => {
                let shares = route.split.iter().map(|(service, weight)| format!("{service} {weight}"));
                shares.collect::<Vec<String>>().join(", ")
            }
        };
        let conditions = route.headers.iter().map(|(name, value)| format!(" {name}: {value}"));
        let conditions =
            conditions.chain(route.query.iter().map(|(name, value)| format!(" ?{name}={value}")));
        let path = route.path + &conditions.collect::<String>();
        let methods = if route.methods.is_empty() { "all".to_owned() } else { route.methods.join(" ") };
        [route.host.unwrap_or_else(|| "any".into()), path, methods, target, route.line.to_string()]
    });
    output::table(["HOST", "PATH", "METHODS", "TARGET", "LINE"], rows);
    Ok(())
}

/// Shows the last lines of a service's log, and new ones.
pub async fn logs(
    client: &Client,
    service: &str,
    follow: bool,
    lines: Option<usize>,
    json: bool,
) -> anyhow::Result<()> {
    let mut request =
        client.request(Method::GET, &format!("/services/{service}/logs")).query(&[("follow", follow)]);
    if let Some(lines) = lines {
        request = request.query(&[("lines", lines)]);
    }
    let mut chunks = client.send(request).await?.bytes_stream();
    let mut rest = Vec::new();
    while let Some(chunk) = chunks.next().await {
        rest.extend_from_slice(&chunk?);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let text: Vec<u8> = rest.drain(..=end).collect();
            show(String::from_utf8_lossy(&text).trim_end(), json);
        }
    }
    Ok(())
}

fn show(text: &str, json: bool) {
    let parsed = serde_json::from_str::<ShownLine>(text);
    match parsed {
        Ok(line) if !json => {
            let version = line.version.map(|version| format!("v{version}")).unwrap_or_default();
            let who = line.instance.unwrap_or(version);
            let at = line.at.get(..23).unwrap_or(&line.at);
            output::line(&format!("{at} {:5} {who:>12} {}", line.level, line.message));
        }
        _ => output::line(text),
    }
}
