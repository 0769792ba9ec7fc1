//! `messages`: topics, backlogs and dead letters.

use reqwest::Method;

use crate::admin::messages::{DeadLetterView, DomainMessages};
use crate::cli::args::Messages;
use crate::cli::client::Client;
use crate::cli::output;

/// Shows what is asked about messages; topics and backlogs when nothing is.
pub async fn run(client: &Client, what: Option<Messages>, json: bool) -> anyhow::Result<()> {
    match what.unwrap_or(Messages::List) {
        Messages::List => list(client, json).await,
        Messages::Dead { service } => dead(client, service.as_deref(), json).await,
        Messages::Show { domain, number } => {
            show(&client.get(&format!("/messages/dead/{domain}/{number}")).await?, json)
        }
        Messages::Again { domain, number } => again(client, &domain, number, json).await,
    }
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let domains: Vec<DomainMessages> = client.get("/messages").await?;
    if json {
        return output::json(&domains);
    }
    let topics = domains.iter().flat_map(|domain| {
        domain
            .topics
            .iter()
            .map(|topic| [domain.domain.clone(), topic.topic.clone(), topic.messages.to_string()])
    });
    output::table(["DOMAIN", "TOPIC", "MESSAGES"], topics);
    output::line("");
    let subscriptions = domains.iter().flat_map(|domain| {
        domain.subscriptions.iter().map(|it| {
            [
                domain.domain.clone(),
                it.service.clone(),
                it.patterns.join(" "),
                it.ready.to_string(),
                it.delayed.to_string(),
                it.in_flight.to_string(),
                it.dead.to_string(),
            ]
        })
    });
    output::table(["DOMAIN", "SUBSCRIBER", "TO", "READY", "DELAYED", "IN FLIGHT", "DEAD"], subscriptions);
    Ok(())
}

async fn dead(client: &Client, service: Option<&str>, json: bool) -> anyhow::Result<()> {
    let mut request = client.request(Method::GET, "/messages/dead");
    if let Some(service) = service {
        request = request.query(&[("service", service)]);
    }
    let letters: Vec<DeadLetterView> = client.json(request).await?;
    if json {
        return output::json(&letters);
    }
    let rows = letters.into_iter().map(|letter| {
        let attempts = letter.attempts.to_string();
        [letter.domain, letter.sequence.to_string(), letter.service, letter.topic, attempts, letter.reason]
    });
    output::table(["DOMAIN", "NUMBER", "SERVICE", "TOPIC", "ATTEMPTS", "REASON"], rows);
    Ok(())
}

fn show(letter: &DeadLetterView, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(letter);
    }
    let key = letter.key.as_deref().unwrap_or("-");
    for (name, value) in [
        ("domain", letter.domain.as_str()),
        ("service", &letter.service),
        ("topic", &letter.topic),
        ("from", &letter.source),
        ("id", &letter.id),
        ("key", key),
        ("attempts", &letter.attempts.to_string()),
        ("reason", &letter.reason),
        ("body", &letter.body),
    ] {
        output::line(&format!("{name:9} {value}"));
    }
    Ok(())
}

async fn again(client: &Client, domain: &str, number: i64, json: bool) -> anyhow::Result<()> {
    let request = client.request(Method::POST, &format!("/messages/dead/{domain}/{number}/again"));
    let letter: DeadLetterView = client.json(request).await?;
    match json {
        true => output::json(&letter),
        false => {
            output::line(&format!("{} {number} is on its way to {} again", letter.topic, letter.service));
            Ok(())
        }
    }
}
