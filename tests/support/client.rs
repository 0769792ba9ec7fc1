//! An HTTP client with short calls.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

/// How long a connection is kept for the next request: less than any host keeps it, which would close it under a
/// request that has just been sent.
const IDLE_TIME_MAX: Duration = Duration::from_secs(1);

/// Speaks to one address.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<Arc<dyn Fn() -> String + Send + Sync>>,
}

/// A status and a body, which is JSON where it can be.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body as JSON; a JSON string of it otherwise.
    pub body: Value,
}

impl Client {
    /// A client of this address.
    pub fn new(base: &str) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .pool_idle_timeout(IDLE_TIME_MAX)
            .build()
            .unwrap();
        Self { http, base: base.to_owned(), token: None }
    }

    /// The same with a bearer token.
    pub fn with_token(self, token: &str) -> Self {
        let token = token.to_owned();
        self.with_tokens(move || token.clone())
    }

    /// The same with bearer tokens that do not last: each request asks for one.
    pub fn with_tokens(self, token: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self { token: Some(Arc::new(token)), ..self }
    }

    /// A request, to be changed before it is sent.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token()),
            None => request,
        }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// POST with JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// Sends a request that must be answered.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).await.unwrap()
    }

    /// Sends a request that may break off.
    pub async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, body })
    }
}
