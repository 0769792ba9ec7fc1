//! What a route does to requests and responses beside answering them, and what is remembered of a request for
//! its response.
//!
//! Files in reading order: `rate_limit` with the counts of `limiter`; `cors`; `compress`, streamed by
//! `compressed_body`; `security_headers`; `vary` says on what a response depends.

pub mod rate_limit;
mod limiter;
pub mod cors;
mod compress;
mod compressed_body;
pub mod vary;
mod security_headers;

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, request};

use self::compress::Negotiated;
use self::cors::Cors;
use self::rate_limit::{Caller, RateLimiters, RateLimits, Standings};
use super::context::Context;
use super::reply::Refusal;
use crate::body::Response;
use crate::config::RouteConfig;

/// The policies of one route.
#[derive(Debug)]
pub struct Policies {
    rate_limits: Option<RateLimits>,
    /// Which pages of other origins may ask.
    pub cors: Option<Cors>,
    compress: bool,
    security_headers: bool,
}

/// What the policies need to know about a request when its response comes.
#[derive(Debug, Default)]
pub struct Remembered {
    standings: Standings,
    allow_origin: Option<HeaderValue>,
    compression: Negotiated,
}

impl Policies {
    /// The policies of a route as checked; limits that are in use already keep their state.
    pub fn new(route: &RouteConfig, limiters: &RateLimiters) -> Self {
        let checked = &route.policies;
        Self {
            rate_limits: RateLimits::new(route, limiters),
            cors: checked.cors.as_ref().map(Cors::new),
            compress: checked.compress,
            security_headers: checked.security_headers,
        }
    }

    /// What must be kept of a request, whose head goes on to the service.
    pub fn remember(&self, head: &request::Parts) -> Remembered {
        Remembered {
            standings: Standings::default(),
            allow_origin: self.cors.as_ref().and_then(|cors| cors.allow_origin(&head.headers)),
            compression: if self.compress {
                compress::negotiate(&head.headers)
            } else {
                Negotiated::default()
            },
        }
    }

    /// Asks the limits for which the address is enough.
    ///
    /// # Errors
    ///
    /// When one of them is exceeded.
    pub fn admit_address(&self, client: IpAddr, remembered: &mut Remembered) -> Result<(), Refusal> {
        let Some(limits) = &self.rate_limits else {
            return Ok(());
        };
        limits.admit_address(client, &mut remembered.standings)
    }

    /// Asks the limits that need to know the caller.
    ///
    /// # Errors
    ///
    /// When one of them is exceeded.
    pub fn admit_caller(
        &self,
        caller: Caller<'_>,
        client: IpAddr,
        headers: &HeaderMap,
        remembered: &mut Remembered,
    ) -> Result<(), Refusal> {
        let Some(limits) = &self.rate_limits else {
            return Ok(());
        };
        limits.admit_caller(caller, client, headers, &mut remembered.standings)
    }

    fn finish(&self, mut response: Response, remembered: &mut Remembered, over_tls: bool) -> Response {
        if let Some(limits) = &self.rate_limits {
            limits.tell(&remembered.standings, response.headers_mut());
        }
        if let Some(cors) = &self.cors {
            cors.answer(remembered.allow_origin.take(), response.headers_mut());
        }
        if self.compress {
            response = compress::compress(response, remembered.compression);
        }
        if self.security_headers {
            security_headers::add(response.headers_mut(), over_tls);
        }
        response
    }
}

/// What the policies of its route do to a response, also to a refusal, which a page must be able to read.
/// Nothing where no policy has seen the request.
pub fn finish(response: Response, context: &mut Context) -> Response {
    let over_tls = context.scheme == "https";
    match (&context.route, &mut context.remembered) {
        (Some(route), Some(remembered)) => route.policies.finish(response, remembered, over_tls),
        _ => response,
    }
}
