//! Makes connections to the addresses of one external service, through TLS where an address says so, within a time.

use std::error::Error;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use http::Uri;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

use crate::config::{HttpVersion, Upstreams};

/// Makes connections; cheap to clone.
#[derive(Clone)]
pub struct Connector {
    https: HttpsConnector<HttpConnector>,
    time: Duration,
}

impl Connector {
    /// Connections of this version of HTTP; none for 1.1 in clear text, and what the address offers through TLS.
    pub fn new(config: &Upstreams, version: Option<HttpVersion>) -> Self {
        let mut http = HttpConnector::new();
        // So that a name with several addresses gives each of them a part of the time.
        http.set_connect_timeout(Some(config.connect_timeout));
        http.set_nodelay(true);
        http.enforce_http(false);
        let https = HttpsConnectorBuilder::new().with_tls_config(tls(config)).https_or_http();
        let https = match version {
            None => https.enable_http1().enable_http2().wrap_connector(http),
            Some(HttpVersion::Http1) => https.enable_http1().wrap_connector(http),
            Some(HttpVersion::Http2) => https.enable_http2().wrap_connector(http),
        };
        Self { https, time: config.connect_timeout }
    }
}

impl Service<Uri> for Connector {
    type Response = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.time, self.https.call(uri));
        let late = || io::Error::new(io::ErrorKind::TimedOut, "no connection within `connect-timeout`");
        async move { connecting.await.unwrap_or_else(|_| Err(late().into())) }.boxed()
    }
}

fn tls(config: &Upstreams) -> ClientConfig {
    let builder = ClientConfig::builder();
    if config.authorities.is_empty() {
        return builder.with_webpki_roots().with_no_client_auth();
    }
    let mut roots = RootCertStore::empty();
    // The configuration has tried each of them.
    roots.add_parsable_certificates(config.authorities.iter().cloned());
    builder.with_root_certificates(roots).with_no_client_auth()
}
