//! What becomes of a kept response once the service has answered: one rule for answers of every kind.

use http::{HeaderMap, Method, StatusCode};

use super::kept::{Kept, Scope};
use super::policy::{self, Exchange};
use crate::config::CacheRules;

/// What becomes of it.
#[derive(Debug)]
pub enum Fate {
    /// The answer says nothing about it.
    Stays,
    /// The service has another one now, or one that is not for others.
    Goes,
    /// It is right once more.
    Renewed(Kept),
}

/// An answer that is not kept itself.
pub struct Answered<'a> {
    /// What is kept for the request.
    pub kept: Option<&'a Kept>,
    /// The method.
    pub method: &'a Method,
    /// The heads.
    pub exchange: Exchange<'a>,
    /// Why the answer is not kept.
    pub unkept: &'static str,
    /// Whether it was asked with the validators of what is kept.
    pub is_validating: bool,
}

/// The fate, and why it is no better.
pub struct Decision {
    /// The fate.
    pub fate: Fate,
    /// The fields of what is kept with the news, when the service still has the same: what its asker gets.
    pub fields: Option<HeaderMap>,
    /// The reason, as the `detail` of Cache-Status.
    pub detail: Option<&'static str>,
}

/// Decides.
pub fn decide(answered: &Answered<'_>, scope: &Scope, rules: &CacheRules) -> Decision {
    let Answered { kept, exchange, unkept, .. } = *answered;
    let same = kept.filter(|kept| answered.confirms(kept));
    let Some(kept) = same else {
        let fate = if answered.replaces() { Fate::Goes } else { Fate::Stays };
        return Decision { fate, fields: None, detail: Some(unkept) };
    };
    let fields = kept.with_news(exchange.response, exchange.received);
    let renewed = kept.renewed(&Exchange { response: &fields, ..exchange }, scope, rules);
    let (fate, detail) = match renewed {
        Ok(fresh) => (Fate::Renewed(fresh), None),
        Err(detail) if policy::is_about_request(kept.head.status, detail) => (Fate::Stays, Some(detail)),
        Err(detail) => (Fate::Goes, Some(detail)),
    };
    Decision { fate, fields: Some(fields), detail }
}

impl Answered<'_> {
    /// Whether the service has said that it still has what is kept.
    fn confirms(&self, kept: &Kept) -> bool {
        match self.exchange.status {
            StatusCode::NOT_MODIFIED => self.is_validating && kept.is_meant_by(self.exchange.response),
            // RFC 9111, 4.3.5.
            StatusCode::OK => *self.method == Method::HEAD && kept.is_confirmed_by(self.exchange.response),
            _ => false,
        }
    }

    /// Whether it shows what others get now, instead of what is kept. Errors and refusals do not, nor what a known
    /// caller gets.
    fn replaces(&self) -> bool {
        let Exchange { status, is_identified, response, .. } = self.exchange;
        if *self.method == Method::HEAD {
            return status == StatusCode::OK && self.kept.is_some_and(|kept| kept.differs_from(response));
        }
        if status == StatusCode::NOT_MODIFIED {
            return self.is_validating;
        }
        let is_gone = status == StatusCode::NOT_FOUND || status == StatusCode::GONE;
        let is_about_response = !policy::is_about_request(status, self.unkept);
        is_about_response && !is_identified && (status.is_success() || status.is_redirection() || is_gone)
    }
}

#[cfg(test)]
#[path = "fate_tests.rs"]
mod tests;
