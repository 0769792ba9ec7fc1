//! An external service that answers as a test says.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// What it answers.
pub type Answer = http::Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Runs until it is dropped.
pub struct Origin {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Origin {
    /// A service that answers every request by this function.
    pub async fn start(answer: impl Fn(http::Request<Incoming>) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = answer.clone();
                let service = hyper::service::service_fn(move |request| {
                    let answer = answer(request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let server = hyper::server::conn::http1::Builder::new();
                connections.spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, task }
    }

    /// Its section in gateway.toml, under the name `origin`.
    pub fn section(&self) -> String {
        format!("[services.origin]\nupstreams = [\"http://{}\"]\n", self.address)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A route to it below a path, with these further lines.
pub fn route(path: &str, lines: &str) -> String {
    format!("[[routes]]\npath = \"{path}/{{*rest}}\"\nservice = \"origin\"\n{lines}\n")
}

/// An answer with these fields and this body.
pub fn answer(status: u16, fields: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let mut response = http::Response::builder().status(status);
    for (name, value) in fields {
        response = response.header(*name, *value);
    }
    response.body(Full::new(body.into()).boxed_unsync()).unwrap()
}
