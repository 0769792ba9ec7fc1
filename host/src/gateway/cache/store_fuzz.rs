//! Fuzzing of look-ups: whatever was kept, a response answers only requests that agree with its own in every field that
//! its Vary names, and a caller who is known only when it is for all.
//!
//! A short random run is part of the unit tests; `cargo bolero test gateway::cache::store::fuzz::NAME` goes on guided by
//! coverage.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::time::SystemTime;

use super::*;
use crate::config::CacheRules;
use crate::gateway::cache::kept::{Head, Scope};
use crate::gateway::cache::policy::Exchange;

/// Fields by which responses vary.
const FIELDS: [&str; 3] = ["x-tenant", "accept-language", "cookie"];

/// What they hold; the first stands for no field.
const VALUES: [&str; 4] = ["", "a", "b", "a, b"];

/// A request, from bytes.
#[derive(Debug, Clone, Copy, bolero::TypeGenerator)]
struct Asked {
    values: [u8; FIELDS.len()],
    is_known: bool,
}

/// A request and its response.
#[derive(Debug, bolero::TypeGenerator)]
struct Answered {
    asked: Asked,
    varies: [bool; FIELDS.len()],
    is_public: bool,
}

impl Asked {
    fn value(&self, field: usize) -> &'static str {
        VALUES[usize::from(self.values[field]) % VALUES.len()]
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (field, name) in
            FIELDS.into_iter().enumerate().filter(|(field, _)| !self.value(*field).is_empty())
        {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(self.value(field)));
        }
        headers
    }
}

impl Answered {
    fn headers(&self) -> HeaderMap {
        let control = if self.is_public { "max-age=60, public" } else { "max-age=60" };
        let mut headers = HeaderMap::new();
        headers.insert("cache-control", HeaderValue::from_static(control));
        for (_, name) in FIELDS.into_iter().enumerate().filter(|(field, _)| self.varies[*field]) {
            headers.append("vary", HeaderValue::from_static(name));
        }
        headers
    }
}

#[test]
fn a_kept_response_never_answers_another_vary_or_identity() {
    let scope = Scope { route: 1, service: "shop".parse().unwrap() };
    let now = SystemTime::now();
    bolero::check!().with_iterations(20_000).with_type().for_each(
        |(answers, asked): &(Vec<Answered>, Vec<Asked>)| {
            let store = Store::new(1 << 20);
            let mut host = HeaderMap::new();
            host.insert("host", HeaderValue::from_static("shop.example"));
            let key = Key::new(Origin::new("http", &host, None, None).unwrap(), "/x", None);
            let answers: Vec<&Answered> = answers.iter().take(6).collect();
            for (number, answer) in answers.iter().enumerate() {
                let (request, response) = (answer.asked.headers(), answer.headers());
                let is_identified = answer.asked.is_known;
                let (status, sent) = (StatusCode::OK, now);
                let exchange = Exchange {
                    request: &request,
                    is_identified,
                    status,
                    response: &response,
                    sent,
                    received: now,
                };
                if let Ok(head) = Head::new(&exchange, &scope, &CacheRules::default()) {
                    let body = vec![u8::try_from(number).unwrap()];
                    store.keep(&key, Kept::new(Arc::new(head), body.into()), store.epoch(&key));
                }
            }
            for asked in asked.iter().take(6) {
                let request = asked.headers();
                let asking = Asking { scope: &scope, request: &request, is_known: asked.is_known };
                let shelf = store.find(&key);
                let Some(kept) = shelf.as_ref().and_then(|shelf| shelf.find(asking)) else { continue };
                let answer = answers[usize::from(kept.body[0])];
                for field in (0..FIELDS.len()).filter(|field| answer.varies[*field]) {
                    assert_eq!(asked.value(field), answer.asked.value(field), "{answer:?} answers {asked:?}");
                }
                let is_another = asked.is_known || answer.asked.is_known;
                assert!(answer.is_public || !is_another, "{answer:?} answers {asked:?}");
            }
        },
    );
}
