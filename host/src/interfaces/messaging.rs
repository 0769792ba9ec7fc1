//! Guest publish and request -> `backends::messaging`, behind the grants of topics.

use std::sync::Arc;
use std::time::Duration;

use crate::backends::messaging::{Message, MessagingError};
use crate::interfaces::bindings::hostel::service::messaging::{self, Error};
use crate::interfaces::bindings::hostel::service::types::{self, Message as GuestMessage};
use crate::interfaces::call::HostCall;
use crate::interfaces::guest::{GuestState, InstanceContext};
use crate::names::Topic;

/// The longest a request may wait for its reply.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);

impl types::Host for GuestState {}

impl messaging::Host for GuestState {
    async fn publish(
        &mut self,
        topic: String,
        message: GuestMessage,
    ) -> wasmtime::Result<Result<String, Error>> {
        let topic = match self.may_send(&topic) {
            Ok(topic) => topic,
            Err(error) => return Ok(Err(error)),
        };
        let service = self.service();
        let published = service.broker.publish(&service.config.name, &topic, Message::from(message)).await;
        if published.is_ok() {
            service.host.metrics.published(&service.config.name, service.version);
        }
        Ok(published.map_err(Error::from))
    }

    async fn request(
        &mut self,
        topic: String,
        message: GuestMessage,
        timeout_ms: u32,
    ) -> wasmtime::Result<Result<GuestMessage, Error>> {
        let topic = match self.may_send(&topic) {
            Ok(topic) => topic,
            Err(error) => return Ok(Err(error)),
        };
        if self.this.call().is_some_and(|call| call.is_writing()) {
            let rule =
                "`request` is not possible while a read-write transaction is open: commit or roll back first";
            return Ok(Err(Error::Denied(rule.into())));
        }
        let service = self.service();
        let timeout = Duration::from_millis(timeout_ms.into()).min(REQUEST_TIME_MAX);
        let reply =
            service.broker.request(&service.config.name, &topic, Message::from(message), timeout).await;
        Ok(reply.map_err(Error::from).map(|reply| GuestMessage {
            id: None,
            key: None,
            headers: reply.headers,
            body: reply.body.to_vec(),
        }))
    }
}

impl GuestState {
    fn may_send(&self, topic: &str) -> Result<Topic, Error> {
        self.this.note(HostCall::Message(topic.to_owned()));
        let call = self.this.call();
        if call.as_ref().is_none_or(|call| call.rehearsal) {
            let rule = "messages can be sent only while a request or message is handled";
            return Err(Error::Denied(rule.into()));
        }
        granted_topic(&self.this, topic).map_err(Error::Denied)
    }
}

/// The topic, if it is well-formed and granted; otherwise the reason, which is logged.
pub fn granted_topic(this: &Arc<InstanceContext>, topic: &str) -> Result<Topic, String> {
    let topic: Topic = topic.parse().map_err(|error: crate::names::InvalidName| error.to_string())?;
    let config = &this.service.config;
    if config.grants.publishes.iter().any(|pattern| pattern.matches(&topic)) {
        return Ok(topic);
    }
    let reason = format!(
        "publishing on {topic} was refused: [services.{}] would need publishes = [\"{topic}\"]",
        config.name
    );
    this.denied("publishes", &reason);
    Err(reason)
}

impl From<GuestMessage> for Message {
    fn from(message: GuestMessage) -> Self {
        let GuestMessage { id, key, headers, body } = message;
        Self { id, key, headers, body: body.into() }
    }
}

impl From<MessagingError> for Error {
    fn from(error: MessagingError) -> Self {
        match error {
            MessagingError::Denied(reason) => Error::Denied(reason),
            MessagingError::Limit(reason) => Error::Limit(reason),
            MessagingError::NoResponder(reason) => Error::NoResponder(reason),
            MessagingError::Timeout(reason) => Error::Timeout(reason),
            MessagingError::Unavailable(reason) => Error::Unavailable(reason),
        }
    }
}
