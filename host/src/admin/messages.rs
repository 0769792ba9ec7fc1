//! JSON: topics, backlogs and dead letters of every domain; send dead letters again.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};

use crate::admin::control::Control;
use crate::admin::problem::Problem;
use crate::backends::messaging::{Broker, DeadLetter, MessagingError};

/// Dead letters of one page.
const PAGE_MAX: usize = 100;

/// The messages of one domain.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DomainMessages {
    /// The domain.
    pub domain: String,
    /// What was published, by topic.
    pub topics: Vec<TopicView>,
    /// Who subscribes, and how far each is behind.
    pub subscriptions: Vec<SubscriptionView>,
}

/// The messages of one topic.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TopicView {
    /// The topic.
    pub topic: String,
    /// Messages that are kept.
    pub messages: u64,
}

/// How far one subscriber is behind.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SubscriptionView {
    /// The service.
    pub service: String,
    /// What it subscribes to.
    pub patterns: Vec<String>,
    /// Deliveries that could be made now.
    pub ready: u64,
    /// Deliveries that wait for another try.
    pub delayed: u64,
    /// Deliveries being handled.
    pub in_flight: u64,
    /// Dead letters.
    pub dead: u64,
}

/// A message that was given up.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeadLetterView {
    /// The domain at whose broker it lies.
    pub domain: String,
    /// Its number there.
    pub sequence: i64,
    /// The service that could not handle it.
    pub service: String,
    /// Why it was given up.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was given up, in milliseconds since 1970.
    pub died_ms: u64,
    /// The message's id.
    pub id: String,
    /// Its topic.
    pub topic: String,
    /// The service that published it.
    pub source: String,
    /// Its key.
    pub key: Option<String>,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body as text; bytes that are no UTF-8 are replaced.
    pub body: String,
}

/// Which dead letters are wanted.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
pub struct DeadLetterQuery {
    /// Those of one service.
    pub service: Option<String>,
    /// Those of one domain.
    pub domain: Option<String>,
    /// Those after this number.
    pub after: Option<i64>,
}

/// Topics and backlogs of every domain.
#[utoipa::path(get, path = "/messages", responses((status = 200, body = [DomainMessages])), security(("token" = [])))]
pub async fn overview(State(control): State<Arc<Control>>) -> Result<Json<Vec<DomainMessages>>, Problem> {
    let mut domains = Vec::new();
    for (domain, broker) in control.environment.brokers().await {
        let topics = broker.topics().await?.into_iter();
        let subscriptions = broker.status().await?.into_iter().map(|status| SubscriptionView {
            service: status.service.to_string(),
            patterns: status.patterns.iter().map(ToString::to_string).collect(),
            ready: status.ready,
            delayed: status.delayed,
            in_flight: status.in_flight,
            dead: status.dead,
        });
        domains.push(DomainMessages {
            domain: domain.to_string(),
            topics: topics
                .map(|it| TopicView { topic: it.topic.to_string(), messages: it.messages })
                .collect(),
            subscriptions: subscriptions.collect(),
        });
    }
    Ok(Json(domains))
}

/// Messages that were given up, oldest first.
#[utoipa::path(get, path = "/messages/dead", params(DeadLetterQuery),
    responses((status = 200, body = [DeadLetterView])), security(("token" = [])))]
pub async fn dead_letters(
    State(control): State<Arc<Control>>,
    Query(query): Query<DeadLetterQuery>,
) -> Result<Json<Vec<DeadLetterView>>, Problem> {
    let service = match &query.service {
        Some(name) => Some(control.service(name)?.name.clone()),
        None => None,
    };
    let mut all = Vec::new();
    for (domain, broker) in control.environment.brokers().await {
        if query.domain.as_deref().is_some_and(|wanted| wanted != domain.as_str()) {
            continue;
        }
        let letters = broker.dead_letters(service.as_ref(), query.after.unwrap_or(0), PAGE_MAX).await?;
        all.extend(letters.into_iter().map(|letter| view(domain.as_str(), letter)));
    }
    Ok(Json(all))
}

/// One message that was given up.
#[utoipa::path(get, path = "/messages/dead/{domain}/{sequence}",
    params(("domain" = String, Path), ("sequence" = i64, Path)),
    responses((status = 200, body = DeadLetterView), (status = 404, body = Problem)), security(("token" = [])))]
pub async fn dead_letter(
    State(control): State<Arc<Control>>,
    Path((domain, sequence)): Path<(String, i64)>,
) -> Result<Json<DeadLetterView>, Problem> {
    let letter = broker(&control, &domain).await?.dead_letter(sequence).await?;
    let letter = letter.ok_or_else(|| no_letter(&domain, sequence))?;
    Ok(Json(view(&domain, letter)))
}

/// Sends a message that was given up to its service again, from its first attempt.
#[utoipa::path(post, path = "/messages/dead/{domain}/{sequence}/again",
    params(("domain" = String, Path), ("sequence" = i64, Path)),
    responses((status = 200, body = DeadLetterView), (status = 404, body = Problem)), security(("token" = [])))]
pub async fn send_again(
    State(control): State<Arc<Control>>,
    Path((domain, sequence)): Path<(String, i64)>,
) -> Result<Json<DeadLetterView>, Problem> {
    let broker = broker(&control, &domain).await?;
    let letter = broker.dead_letter(sequence).await?.ok_or_else(|| no_letter(&domain, sequence))?;
    broker.send_again(sequence).await?;
    Ok(Json(view(&domain, letter)))
}

async fn broker(control: &Control, domain: &str) -> Result<Broker, Problem> {
    let brokers = control.environment.brokers().await;
    let found = brokers.into_iter().find(|(name, _)| name.as_str() == domain);
    found
        .map(|(_, broker)| broker)
        .ok_or_else(|| Problem::not_found(format!("there is no domain {domain:?}")))
}

fn no_letter(domain: &str, sequence: i64) -> Problem {
    Problem::not_found(format!("there is no dead letter {sequence} in {domain}"))
}

fn view(domain: &str, letter: DeadLetter) -> DeadLetterView {
    DeadLetterView {
        domain: domain.into(),
        sequence: letter.sequence,
        service: letter.service.to_string(),
        reason: letter.reason,
        attempts: letter.attempts,
        died_ms: letter.died_ms,
        id: letter.id,
        topic: letter.topic.to_string(),
        source: letter.source.to_string(),
        key: letter.key,
        headers: letter.headers,
        body: String::from_utf8_lossy(&letter.body).into_owned(),
    }
}

impl From<MessagingError> for Problem {
    fn from(error: MessagingError) -> Self {
        let status = match &error {
            MessagingError::Denied(_) => 409,
            MessagingError::Limit(_) => 429,
            MessagingError::NoResponder(_) => 404,
            MessagingError::Timeout(_) => 504,
            MessagingError::Unavailable(_) => 503,
        };
        Self::new(status, error.to_string())
    }
}
