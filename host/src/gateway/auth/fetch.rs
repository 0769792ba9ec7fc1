//! Fetches small documents of identity providers: TLS verified, no redirects, bounded in bytes and time.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// The longest document: a hundred keys with their certificates fit.
const BYTES_MAX: usize = 1024 * 1024;

/// How long one document may take.
const TIME_MAX: Duration = Duration::from_secs(5);

/// Fetches documents; cheap to clone.
#[derive(Debug, Clone)]
pub struct Fetcher {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// A document.
#[derive(Debug)]
pub struct Document {
    /// Its bytes.
    pub body: Bytes,
    /// How long its server says that it stays as it is.
    pub max_age: Option<Duration>,
}

/// Why a document cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Its server cannot be reached, or breaks the protocol.
    #[error("it cannot be reached: {0}")]
    Unreachable(hyper_util::client::legacy::Error),
    /// Its server answers something else.
    #[error("its server answered {0}")]
    Status(StatusCode),
    /// It broke off or is too long.
    #[error("it broke off or is longer than 1 MiB: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// It did not come in time.
    #[error("it did not come within 5 s")]
    Late,
}

impl Default for Fetcher {
    fn default() -> Self {
        let https = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_all_versions();
        // No connection is kept: there is one request in minutes.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(https.build());
        Self { client }
    }
}

impl Fetcher {
    /// Fetches a document.
    ///
    /// # Errors
    ///
    /// Why it cannot be had.
    pub async fn fetch(&self, uri: &Uri) -> Result<Document, FetchError> {
        tokio::time::timeout(TIME_MAX, self.ask(uri)).await.unwrap_or(Err(FetchError::Late))
    }

    /// Sends a form, with the proof of who sends it; answers the status and the bytes of what comes.
    ///
    /// # Errors
    ///
    /// Why nothing comes.
    pub async fn post(
        &self,
        uri: &Uri,
        form: String,
        authorization: Option<HeaderValue>,
    ) -> Result<(StatusCode, Bytes), FetchError> {
        let mut request = http::Request::new(Full::from(form));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = uri.clone();
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(authorization) = authorization {
            headers.insert(header::AUTHORIZATION, authorization);
        }
        let answer = async {
            let response = self.client.request(request).await.map_err(FetchError::Unreachable)?;
            let status = response.status();
            let body =
                Limited::new(response.into_body(), BYTES_MAX).collect().await.map_err(FetchError::Body)?;
            Ok((status, body.to_bytes()))
        };
        tokio::time::timeout(TIME_MAX, answer).await.unwrap_or(Err(FetchError::Late))
    }

    async fn ask(&self, uri: &Uri) -> Result<Document, FetchError> {
        let mut request = http::Request::new(Full::default());
        *request.uri_mut() = uri.clone();
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let response = self.client.request(request).await.map_err(FetchError::Unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let max_age = max_age(response.headers());
        let body = Limited::new(response.into_body(), BYTES_MAX).collect().await.map_err(FetchError::Body)?;
        Ok(Document { body: body.to_bytes(), max_age })
    }
}

/// What Cache-Control says (RFC 9111, 5.2.2.1).
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut directives = values.flat_map(|value| value.split(',')).map(str::trim);
    directives.find_map(|directive| {
        let (name, seconds) = directive.split_once('=')?;
        let seconds = seconds.trim_matches('"').parse().ok()?;
        name.eq_ignore_ascii_case("max-age").then_some(Duration::from_secs(seconds))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_how_long_its_keys_stay() {
        let check = |value: &'static str, expected: Option<u64>| {
            let headers =
                HeaderMap::from_iter([(header::CACHE_CONTROL, http::HeaderValue::from_static(value))]);
            assert_eq!(max_age(&headers), expected.map(Duration::from_secs), "{value}");
        };
        check("public, max-age=19801, must-revalidate", Some(19801));
        check("Max-Age=\"60\"", Some(60));
        check("max-age=x, s-maxage=5", None);
        check("no-store", None);
    }
}
