//! `POST /operator-token`: a token for the operator of this host, who asks through the host itself.

use hostel_sdk::{Problem, Request, Response, Result, time};
use serde::Deserialize;

use crate::config::{self, Issuer};
use crate::protocol::{Holder, Minter, Scope, uncached};

/// How the host names itself as a caller. No service can have this name, and the gateway lets no client say it.
const HOST: &str = "hostel";

/// Whom the token stands for when nothing is said.
const SUBJECT: &str = "operator";

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Asked {
    subject: Option<String>,
    scope: Option<String>,
}

/// `POST /operator-token` `{subject?, scope?}`.
pub fn answer(request: &Request) -> Result<Response> {
    if request.caller().service() != Some(HOST) {
        // To everybody else there is nothing here.
        return Err(Problem::not_found(format!("There is nothing at {}.", request.path())).into());
    }
    let asked: Asked = if request.bytes()?.is_empty() { Asked::default() } else { request.json()? };
    let issuer = Issuer::read()?;
    let minter = Minter::new(&issuer, time::now_ms())?;
    let holder = Holder::Operator(asked.subject.as_deref().unwrap_or(SUBJECT));
    let scope = Scope::new(&asked.scope.unwrap_or_default());
    Ok(uncached(Response::ok(&minter.access(holder, &config::audience()?, &scope)?)?))
}
