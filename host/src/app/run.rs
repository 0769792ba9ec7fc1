//! Owns the long-lived tasks; on a signal stops them in reverse order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::admin::control::{Control, ReloadRequest};
use crate::app::App;
use crate::app::services::{Failure, enter_all, forget_removed, start, start_purges};
use crate::app::workers::{SharedWorkers, stop_all};
use crate::config::{Config, Source};
use crate::deploy::watch::FileWatch;

/// How often pools are shrunk and gauges set.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// How often services are asked for their health.
const PROBE: Duration = Duration::from_secs(10);

/// How often what is too old is removed from databases and brokers.
const SWEEP: Duration = Duration::from_secs(10 * 60);

/// A host that serves.
pub struct Running {
    control: Arc<Control>,
    workers: SharedWorkers,
    stop: CancellationToken,
    tasks: tokio_util::task::TaskTracker,
    _lock: crate::app::storage::StorageLock,
}

impl App {
    /// Brings every service up and serves. Services that cannot be brought up are answered, with the reason; the
    /// others serve.
    ///
    /// # Errors
    ///
    /// When the routes cannot be made or the system cannot watch files.
    pub async fn start(self, progress: impl Fn(&str)) -> anyhow::Result<(Running, Vec<Failure>)> {
        let App { control, workers, reloads, admin, token, lock } = self;
        let stop = CancellationToken::new();
        let tasks = tokio_util::task::TaskTracker::new();
        tasks.spawn(admin::run(admin, control.clone(), token, stop.clone()));
        let config = control.config.load_full();
        enter_all(&control, &config);
        let mut failures = Vec::new();
        for service in config.services.values() {
            progress(service.name.as_str());
            failures.extend(start(&control, &workers, service).await);
        }
        failures.extend(start_purges(&control, &workers, &config).await);
        forget_removed(&control, &config).await;
        control.gateway.set_routes(&config.gateway, &config.routes, &control.balancer)?;
        tasks.spawn(control.gateway.clone().run(stop.clone(), config.gateway.drain));
        let watch = FileWatch::new(watched(&config)).context("the system cannot watch files")?;
        tasks.spawn(follow_files(control.clone(), workers.clone(), watch, reloads, stop.clone()));
        tasks.spawn(look_after(control.clone(), stop.clone()));
        tasks.spawn(sweep(control.clone(), stop.clone()));
        control.balancer.look_after();
        control.ready.store(true, Ordering::Release);
        Ok((Running { control, workers, stop, tasks, _lock: lock }, failures))
    }
}

impl Running {
    /// What operators act on.
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Serves until SIGTERM or Ctrl-C; then takes nothing new, and lets what runs end. A second signal ends the
    /// process at once.
    ///
    /// # Errors
    ///
    /// When the system does not deliver signals.
    pub async fn until_signal(self) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate()).context("signals cannot be heard")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be heard")?;
        heard(&mut terminate, &mut interrupt).await;
        tracing::info!("stopping: requests in flight may end");
        tokio::select! {
            () = self.stop() => {}
            () = heard(&mut terminate, &mut interrupt) => tracing::warn!("stopped at once"),
        }
        Ok(())
    }

    /// Takes nothing new, and lets what runs end.
    pub async fn stop(self) {
        let deadline = Instant::now() + self.control.config.load().gateway.drain;
        self.control.ready.store(false, Ordering::Release);
        self.stop.cancel();
        self.tasks.close();
        let workers = std::mem::take(&mut *self.workers.lock().await);
        // Deliveries that do not end in time are made again after the next start.
        let ended = async { tokio::join!(self.tasks.wait(), stop_all(workers.into_values())) };
        let _ = tokio::time::timeout_at(deadline, ended).await;
    }
}

async fn heard(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// The configuration file, and every component and certificate file that it names.
fn watched(config: &Config) -> Vec<PathBuf> {
    let components = config.services.values().filter_map(|service| match &service.source {
        Source::Component { file, .. } => file.clone(),
        Source::Upstreams(_) => None,
    });
    components.chain(certificates(config)).chain([config.file.clone()]).collect()
}

/// The files of certificates, and the link by which Kubernetes replaces all files of a folder at once.
fn certificates(config: &Config) -> impl Iterator<Item = PathBuf> {
    config.gateway.listener.files().flat_map(|file| [file.clone(), file.with_file_name("..data")])
}

/// Deploys components that change, and reloads the configuration when it changes or somebody asks.
async fn follow_files(
    control: Arc<Control>,
    workers: SharedWorkers,
    mut watch: FileWatch,
    mut reloads: mpsc::Receiver<ReloadRequest>,
    stop: CancellationToken,
) {
    // What changed before this watch began was seen by nobody; what has not changed is not deployed again.
    let all = watched(&control.config.load());
    deploy_changed(&control, &all).await;
    renew_certificates(&control, &all);
    loop {
        let (mut changed, asked) = tokio::select! {
            changed = watch.changed() => (changed, None),
            Some(asked) = reloads.recv() => (Vec::new(), Some(asked)),
            () = stop.cancelled() => return,
        };
        let config = control.config.load_full();
        if asked.is_some() || changed.contains(&config.file) {
            reload(&control, &workers, asked).await;
            match FileWatch::new(watched(&control.config.load())) {
                Ok(fresh) => {
                    watch = fresh;
                    changed = watched(&control.config.load());
                }
                Err(error) => {
                    tracing::error!(%error, "files that were added to the configuration are not watched")
                }
            }
        }
        deploy_changed(&control, &changed).await;
        renew_certificates(&control, &changed);
    }
}

async fn reload(
    control: &Control,
    workers: &SharedWorkers,
    asked: Option<oneshot::Sender<Result<(), String>>>,
) {
    let result = super::reload::reload(control, workers).await;
    if let Err(reason) = &result {
        tracing::error!("the configuration stays as it was:\n{reason}");
    }
    if let Some(asked) = asked {
        // Who asked may have gone away.
        let _ = asked.send(result);
    }
}

async fn deploy_changed(control: &Control, changed: &[PathBuf]) {
    let config = control.config.load_full();
    for service in config.services.values() {
        let Source::Component { file: Some(file), .. } = &service.source else { continue };
        if changed.contains(file) && file.exists() {
            // What was refused stands in the journal, with the reason.
            let _ = control.deployer.restore(service).await;
        }
    }
}

fn renew_certificates(control: &Control, changed: &[PathBuf]) {
    let config = control.config.load();
    if !certificates(&config).any(|file| changed.contains(&file)) {
        return;
    }
    match control.gateway.set_entry(&config.gateway) {
        Ok(()) => tracing::info!("the certificates were read again"),
        Err(error) => tracing::error!(%error, "the certificates stay as they were"),
    }
}

async fn look_after(control: Arc<Control>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(LOOK_AFTER);
    let mut probe = tokio::time::interval(PROBE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => control.balancer.look_after(),
            _ = probe.tick() => control.balancer.probe().await,
            () = stop.cancelled() => return,
        }
    }
}

async fn sweep(control: Arc<Control>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        let mut failures: BTreeMap<String, String> = BTreeMap::new();
        for (domain, broker) in control.environment.brokers().await {
            if let Err(error) = broker.sweep().await {
                failures.insert(domain.to_string(), error.to_string());
            }
        }
        for database in control.environment.databases().await {
            if let Err(error) = database.sweep().await {
                failures.insert("database".into(), error.to_string());
            }
        }
        if let Err(error) = control.sessions.sweep().await {
            failures.insert("sessions".into(), error.to_string());
        }
        if let Err(error) = control.deployer.sweep().await {
            failures.insert("components".into(), error.to_string());
        }
        for (place, error) in failures {
            tracing::warn!(%place, %error, "what is too old could not be removed");
        }
    }
}
