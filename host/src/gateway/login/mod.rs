//! Browser login: the gateway is a client of an OpenID provider, and a browser holds a cookie instead of a token.
//!
//! Authorization code with PKCE (RFC 7636), state and nonce, by OpenID Connect Core 1.0, 3.1, and RFC 9700. Knows
//! nothing of routes. Files in reading order: `origin` is where a request says that it comes from; `cookies` are what
//! a browser holds; `provider` is asked for tokens; `begin` sends a browser to it and `callback` takes it back;
//! `visits` are the sessions in use, which are renewed there; `fault` is why a login fails.

mod origin;
mod cookies;
mod provider;
mod begin;
mod callback;
mod visits;
mod fault;

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use self::cookies::Cookies;
use self::origin::{Origin, is_from_here, needs_proof};
use self::provider::Provider;
use super::auth::{Authenticator, Denial, Identity};
use super::context::Context;
use super::reply::Refusal;
use crate::body::{self, Response};
use crate::config::{IssuerConfig, LoginConfig};

pub use self::fault::LoginFault;
pub use self::visits::Visits;

/// Browser login by one configuration.
pub struct Login {
    config: Arc<LoginConfig>,
    cookies: Cookies,
    provider: Provider,
    authenticator: Arc<Authenticator>,
    visits: Arc<Visits>,
}

/// What the gateway answers itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Who is signed in.
    Show,
    /// Sends the browser to the provider.
    Begin,
    /// Takes it back.
    Callback,
    /// Signs out.
    End,
}

impl Login {
    /// Browser login by a checked configuration.
    pub fn new(config: &Arc<LoginConfig>, authenticator: &Arc<Authenticator>, visits: &Arc<Visits>) -> Self {
        Self {
            config: config.clone(),
            cookies: Cookies::new(visits.cookie_key()),
            provider: Provider::new(config.clone(), authenticator.fetcher().clone()),
            authenticator: authenticator.clone(),
            visits: visits.clone(),
        }
    }

    /// The provider with which browsers sign in.
    pub fn issuer(&self) -> &IssuerConfig {
        &self.config.issuer
    }

    /// The step that a request is for; none for a request that is for a route.
    pub fn step(&self, head: &Parts) -> Option<Step> {
        match head.uri.path().strip_prefix(&self.config.path)? {
            "" => Some(Step::Show),
            "/login" => Some(Step::Begin),
            "/callback" => Some(Step::Callback),
            "/logout" => Some(Step::End),
            _ => None,
        }
    }

    /// Answers a step.
    ///
    /// # Errors
    ///
    /// Another method, or why the login fails.
    pub async fn answer(&self, step: Step, head: &Parts, context: &Context) -> Result<Response, Refusal> {
        let (method, allow) = match step {
            Step::End => (&Method::POST, "POST"),
            _ => (&Method::GET, "GET"),
        };
        if head.method != *method {
            return Err(Refusal::Method { allow: HeaderValue::from_static(allow) });
        }
        let origin = Origin::of(head, context).ok_or(LoginFault::Host)?;
        let mut response = match step {
            Step::Show => self.show(head, &origin).await?,
            Step::Begin => self.begin(head, &origin).await?,
            Step::Callback => self.callback(head, &origin).await?,
            Step::End => self.end(head, &origin).await?,
        };
        // What is for one browser only, with what opens it.
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        Ok(response)
    }

    /// Who has signed in with the browser that asks; none when nobody has.
    ///
    /// # Errors
    ///
    /// When another site may have made the browser ask.
    pub async fn visitor(&self, head: &Parts, context: &Context) -> Result<Option<Arc<Identity>>, Denial> {
        let Some(origin) = Origin::of(head, context) else { return Ok(None) };
        let Some(id) = self.cookies.session(&head.headers, &origin) else { return Ok(None) };
        let Some(identity) = self.visits.find(&id, &self.provider).await else { return Ok(None) };
        if needs_proof(head) && !is_from_here(&head.headers, &origin) {
            return Err(Denial::CrossSite);
        }
        Ok(Some(identity))
    }

    /// Sends a browser that nobody has signed in with to the provider, when it is a person who looks at a page; none
    /// for every other request.
    pub fn invite(&self, head: &Parts, context: &Context) -> Option<Response> {
        let mode = head.headers.get("sec-fetch-mode").map(HeaderValue::as_bytes);
        let navigates = mode.map_or(context.prefers_html, |mode| mode == b"navigate");
        if head.method != Method::GET || !navigates || head.headers.contains_key(header::AUTHORIZATION) {
            return None;
        }
        let target = head.uri.path_and_query().map(|target| target.as_str());
        let target = target.filter(|target| begin::is_here(target)).unwrap_or("/");
        let to: String = form_urlencoded::byte_serialize(target.as_bytes()).collect();
        redirect(StatusCode::FOUND, &format!("{}/login?to={to}", self.config.path)).ok()
    }

    /// Takes out of a request what opens the session: a service could use it as its holder does.
    pub fn hide(&self, headers: &mut HeaderMap) {
        cookies::strip(headers);
    }

    async fn show(&self, head: &Parts, origin: &Origin) -> Result<Response, Refusal> {
        let id = self.cookies.session(&head.headers, origin);
        let identity = match id {
            Some(id) => self.visits.find(&id, &self.provider).await,
            None => None,
        };
        let told = identity.map_or_else(
            || json!({ "signed_in": false }),
            |identity| {
                let claim = |name: &str| identity.claims().get(name).cloned().unwrap_or(Value::Null);
                json!({
                    "signed_in": true,
                    "subject": identity.subject,
                    "name": claim("name"),
                    "email": claim("email"),
                })
            },
        );
        let mut response = Response::new(body::full(told.to_string()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    /// Ends the session here, and sends the browser to where the provider ends its own.
    async fn end(&self, head: &Parts, origin: &Origin) -> Result<Response, Refusal> {
        if !is_from_here(&head.headers, origin) {
            return Err(Denial::CrossSite.into());
        }
        let id = self.cookies.session(&head.headers, origin);
        let ended = match &id {
            Some(id) => self.visits.end(*id).await.map_err(|_| LoginFault::Store)?,
            None => None,
        };
        let home = format!("{origin}/");
        let place = match ended {
            Some(session) => self.provider.end_of_session(&session.id_token, &home).await.unwrap_or(home),
            None => home,
        };
        let mut response = redirect(StatusCode::SEE_OTHER, &place)?;
        self.cookies.forget_session(response.headers_mut(), origin);
        Ok(response)
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("config", &self.config).finish_non_exhaustive()
    }
}

fn redirect(status: StatusCode, place: &str) -> Result<Response, LoginFault> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = status;
    let place = HeaderValue::from_str(place).map_err(|_| LoginFault::Provider)?;
    response.headers_mut().insert(header::LOCATION, place);
    Ok(response)
}
