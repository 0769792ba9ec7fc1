//! `up`: run the host described by gateway.toml.

use std::path::Path;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use crate::admin::control::Control;
use crate::app::App;
use crate::app::services::Failure;
use crate::cli::{build, output};
use crate::config::{self, LogFormat};
use crate::telemetry::logs::{self, Format};

/// Builds what is missing, starts everything, prints a table, and serves until it is told to stop.
pub async fn run(path: &Path, build_all: bool, json: bool) -> anyhow::Result<()> {
    let started = Instant::now();
    let config = config::load(path)?;
    let format = match config.telemetry.format {
        LogFormat::Human => Format::Human,
        LogFormat::Json => Format::Json,
    };
    logs::start(format, &config.telemetry.level);
    build::ensure(&config, build_all).await?;
    let scheme = if config.gateway.listener.tls.is_some() { "https" } else { "http" };
    let app = App::build(config).await?;
    let (gateway, admin) = (app.gateway_address(), app.admin_address()?);
    let bar = spinner();
    let (running, failures) = app.start(|service| bar.set_message(format!("starting {service}"))).await?;
    bar.finish_and_clear();
    let shown = Shown { gateway: format!("{scheme}://{gateway}"), admin: format!("http://{admin}") };
    match json {
        true => output::json(&serde_json::json!({
            "gateway": shown.gateway,
            "admin": shown.admin,
            "services": running.control().environment.host.registry.services(),
            "failures": failures,
        }))?,
        false => show(running.control(), &failures, &shown, started),
    }
    running.until_signal().await
}

struct Shown {
    gateway: String,
    admin: String,
}

fn show(control: &Control, failures: &[Failure], shown: &Shown, started: Instant) {
    let rows = control.environment.host.registry.services().into_iter().map(|service| {
        let failed = failures.iter().any(|(name, _)| *name == service.name);
        let state = match (failed, service.version) {
            (true, _) => "failed".to_owned(),
            (false, Some(version)) => version.to_string(),
            (false, None) if service.endpoints.iter().any(|endpoint| endpoint.address.contains("://")) => {
                "external".to_owned()
            }
            (false, None) => "waits for a deploy".to_owned(),
        };
        let instances: u32 = service.endpoints.iter().map(|endpoint| endpoint.instances).sum();
        [service.name.to_string(), service.domain.to_string(), state, instances.to_string()]
    });
    output::table(["SERVICE", "DOMAIN", "VERSION", "INSTANCES"], rows.collect::<Vec<_>>());
    for (service, reason) in failures {
        output::line(&format!("\n{service} is not as gateway.toml says: {reason}"));
    }
    let routes = control.gateway.routes();
    output::line("");
    if routes.iter().any(|route| route.files.is_some()) {
        output::line(&format!("site   {}/", shown.gateway));
    }
    output::line(&format!("API    {}", shown.gateway));
    output::line(&format!("admin  {}", shown.admin));
    output::line(&format!("\nready in {:.1} s; stop with Ctrl-C", started.elapsed().as_secs_f64()));
}

/// A spinner on a terminal; nothing elsewhere.
pub fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>3} {wide_msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    bar
}
