//! An external service that answers as a test says, and remembers what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::host::Host;

/// Long enough for a slow machine, short enough for a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes the response to a request; the number tells how many came before it.
type Script = dyn Fn(&http::Request<()>, usize) -> http::Response<String> + Send + Sync;

/// An external service that counts what it is asked.
pub struct CountingOrigin {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<http::Request<()>>>>,
    server: JoinHandle<()>,
}

impl CountingOrigin {
    /// A service that answers every request by this function.
    pub async fn start(
        script: impl Fn(&http::Request<()>, usize) -> http::Response<String> + Send + Sync + 'static,
    ) -> Self {
        Self::start_slow(Duration::ZERO, script).await
    }

    /// The same, after a delay.
    pub async fn start_slow(
        delay: Duration,
        script: impl Fn(&http::Request<()>, usize) -> http::Response<String> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<http::Request<()>>>> = Arc::default();
        let (seen, script): (_, Arc<Script>) = (asked.clone(), Arc::new(script));
        let server = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let stream = hyper_util::rt::TokioIo::new(listener.accept().await.unwrap().0);
                let (seen, script) = (seen.clone(), script.clone());
                let service =
                    hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                        let (seen, script) = (seen.clone(), script.clone());
                        async move {
                            let (head, body) = request.into_parts();
                            body.collect().await?;
                            let request = http::Request::from_parts(head, ());
                            let before = {
                                let mut seen = seen.lock().unwrap();
                                seen.push(request.clone());
                                seen.len() - 1
                            };
                            tokio::time::sleep(delay).await;
                            let response =
                                script(&request, before).map(|body| Full::new(bytes::Bytes::from(body)));
                            Ok::<_, hyper::Error>(response)
                        }
                    });
                let builder = hyper::server::conn::http1::Builder::new();
                connections.spawn(builder.serve_connection(stream, service));
            }
        });
        Self { address, asked, server }
    }

    /// Ends it: nobody answers any more.
    pub fn stop(&self) {
        self.server.abort();
    }

    /// How often it was asked.
    pub fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Waits until it was asked so often.
    pub async fn asked(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.count() < count {
            assert!(Instant::now() < deadline, "asked {} times, not {count}", self.count());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A field of the last request.
    pub fn last(&self, name: &str) -> Option<String> {
        let asked = self.asked.lock().unwrap();
        asked.last()?.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    /// A host in front of it, with this value of `cache` on its route.
    pub async fn behind(&self, cache: &str) -> Host {
        Host::start(&self.config(cache)).await
    }

    /// Its section in gateway.toml, and a route to it with this value of `cache` beside one without.
    pub fn config(&self, cache: &str) -> String {
        format!(
            "[services.shop]\nupstreams = [\"http://{}\"]\n[[routes]]\npath = \"/plain/{{*rest}}\"\nservice = \"shop\"\n\
             [[routes]]\npath = \"/{{*rest}}\"\nservice = \"shop\"\ncache = {cache}\n",
            self.address
        )
    }
}
