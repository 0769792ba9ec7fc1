//! As written -> checked; reports every problem at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::Config;
use super::auth::{self, AuthDefaults};
use super::directory::Directory;
use super::file::File;
use super::grants::Surroundings;
use super::issuer::{self, Issuers};
use super::key::Key;
use super::login;
use super::report::Report;
use super::secret::Secrets;
use super::{RouteConfig, ServiceConfig, route, section, service};
use crate::names::ServiceName;

/// Checks the whole file; the result counts only when nothing was reported.
pub fn check(written: &File, file: &Path, folder: &Path, report: &mut Report<'_>) -> Config {
    let mut directory = Directory::of(written);
    // A misspelt `publishes` or `domain` would look like a grant to nobody.
    directory.is_unclear |= report.refused_within(&Key::root().field("services"));
    if written.services.is_empty() && written.routes.is_empty() && report.is_empty() {
        report.refuse_found(
            &Key::root(),
            "no service and no route",
            "add a service as `[services.NAME]` or a route as `[[routes]]`",
        );
    }
    let mut gateway = section::gateway(&written.gateway, folder, &directory, report);
    let storage = section::storage(&written.storage, folder, report);
    let secrets = Secrets::new(folder, &storage.path);
    let issuers = issuer::check_all(&written.issuers, &directory, report);
    gateway.login = login::check(&written.issuers, &issuers, &secrets, report);
    let auth = auth_defaults(written, issuers, report);
    let around = Surroundings {
        folder,
        secrets: &secrets,
        directory: &directory,
        policies: &gateway.policies,
        auth: &auth,
        cache: &gateway.cache_rules,
    };
    let admin = section::admin(&written.admin, &gateway, report);
    let telemetry = section::telemetry(&written.telemetry, report);
    let messaging = section::messaging(&written.messaging, report);
    let deploys = section::deploys(&written.deploys, report);
    let services = written.services.iter().filter_map(|(name, written)| {
        let service = service::check(name, written, around, report)?;
        Some((service.name.clone(), Arc::new(service)))
    });
    let services: BTreeMap<_, _> = services.collect();
    let mut routes = route::check_all(&written.routes, around, report);
    for route in &mut routes {
        inherit_limits(route, &services);
    }
    let (file, folder) = (file.to_owned(), folder.to_owned());
    let made_secrets = secrets.into_made();
    Config {
        file,
        folder,
        gateway,
        admin,
        storage,
        telemetry,
        messaging,
        deploys,
        issuers: auth.issuers,
        services,
        routes,
        made_secrets,
    }
}

/// The issuers, and who may use a route that does not say.
fn auth_defaults(written: &File, issuers: Issuers, report: &mut Report<'_>) -> AuthDefaults {
    let mut defaults = AuthDefaults {
        issuers,
        names: written.issuers.keys().cloned().collect(),
        has_login: written.issuers.values().any(|issuer| issuer.login.is_some()),
        auth: None,
    };
    let key = Key::root().field("gateway").field("auth");
    defaults.auth = auth::check(written.gateway.auth.as_ref(), &defaults, &key, report);
    defaults
}

/// A route without a limit for bodies has the smallest of its services.
fn inherit_limits(route: &mut RouteConfig, services: &BTreeMap<ServiceName, Arc<ServiceConfig>>) {
    let limits = route.target.services().into_iter().filter_map(|name| services.get(name)?.limits.body);
    route.body_bytes_max = route.body_bytes_max.or(limits.min());
}
