//! What is kept of a session.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A browser that has signed in.
#[derive(Clone, Serialize, Deserialize)]
pub struct Session {
    /// The provider with which it was begun.
    pub issuer: String,
    /// The client that began it.
    pub client: String,
    /// What the provider says of who signed in; `sub` is among them.
    pub claims: Map<String, Value>,
    /// What the session may.
    pub scopes: Vec<String>,
    /// What gets new tokens of the provider; none: there are no new ones.
    pub refresh_token: Option<String>,
    /// The provider's last statement of who signed in, by which it knows the session again at its end.
    pub id_token: String,
    /// From when on the provider is asked whether the session goes on.
    pub fresh_until: SystemTime,
    /// When it ends, whatever happens.
    pub ends: SystemTime,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("ends", &self.ends).finish_non_exhaustive()
    }
}
