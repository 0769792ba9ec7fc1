//! Identity: an OpenID provider. Who signs in, and the tokens that say so.
//!
//! Lowest first, each knows only what stands before it: `opaque` and `sweep` are tools; `config` is what the operator
//! says; `keys` signs; `accounts` knows users; `protocol` is OAuth apart from HTTP pages; `web` is forms, cookies and
//! pages; `endpoints` answers, one file an endpoint.

mod opaque;
mod sweep;
mod config;
mod keys;
mod accounts;
mod protocol;
mod web;
mod endpoints;

use hostel_sdk::{Result, Router, database, params};

use config::{Clients, Issuer, lifetimes};
use keys::Vault;

hostel_sdk::service! {
    http: routes,
    migrations: [include_str!("../migrations/001_identity.sql")],
    health: health,
}

/// Every endpoint lies below the path of the issuer.
fn routes() -> Router {
    // Without an issuer `health` refuses the deploy and says why; nothing would be found below any path.
    let base = Issuer::read().map(|issuer| issuer.path().to_owned()).unwrap_or_default();
    endpoints::routes(&base)
}

/// A configuration that cannot work is refused at the deploy, not at the first sign-in.
fn health() -> Result<()> {
    Issuer::read()?;
    Vault::read()?;
    lifetimes::access_token_s()?;
    lifetimes::key_period_ms()?;
    Clients::read()?.check_secrets()?;
    for table in ["users", "sessions", "grants", "signing_keys", "throttles"] {
        let sql = format!("SELECT count(*) FROM (SELECT * FROM {table} LIMIT 1) AS first");
        database::query_first::<i64>(&sql, params![])?;
    }
    Ok(())
}
