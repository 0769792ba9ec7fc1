//! OAuth 2 and OpenID Connect, apart from pages: what is asked, what was granted, what is issued.
//!
//! `failure` and `parameters` are the forms of requests and refusals; `scope`, `authorization` and `client_proof` say who
//! asks for what; `grant` keeps it; `claims` and `minter` make tokens of it.

mod failure;
mod parameters;
mod scope;
mod authorization;
mod client_proof;
mod grant;
mod claims;
mod minter;

pub use authorization::{AuthorizationRequest, Fault, Prompt};
pub use claims::{AccessClaims, IdClaims, Profile};
pub use client_proof::authenticate;
pub use failure::{Failure, OauthError, settle, uncached};
pub use grant::{CodeClaim, Grant, Renewed};
pub use minter::{Holder, Minter};
pub use parameters::Parameters;
pub use scope::Scope;
