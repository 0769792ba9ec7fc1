//! One connection that has to last: a client that connected again would hide what broke the one before.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// A connection in one version of HTTP.
pub struct Lasting {
    sender: Sender,
    address: SocketAddr,
    /// Answers how the connection ended.
    driver: JoinHandle<hyper::Result<()>>,
    is_closing: bool,
}

enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

/// An answer, and when its head was there.
#[derive(Debug)]
pub struct Heard {
    /// The status.
    pub status: u16,
    /// The id that the host gave the request.
    pub request_id: String,
    /// When the head was there.
    pub begun: Instant,
    /// The body.
    pub text: String,
    /// What followed it.
    pub trailers: HeaderMap,
}

impl Lasting {
    /// A connection of HTTP/1.1.
    pub async fn one(address: SocketAddr) -> Self {
        let (sender, connection) = http1::handshake(connect(address).await).await.unwrap();
        Self { sender: Sender::One(sender), address, driver: tokio::spawn(connection), is_closing: false }
    }

    /// A connection of HTTP/2.
    pub async fn two(address: SocketAddr) -> Self {
        let handshake = http2::handshake(TokioExecutor::new(), connect(address).await);
        let (sender, connection) = handshake.await.unwrap();
        Self { sender: Sender::Two(sender), address, driver: tokio::spawn(connection), is_closing: false }
    }

    /// GET, or POST where there is a body.
    ///
    /// # Errors
    ///
    /// What broke it, in words.
    pub async fn ask(&mut self, path: &str, body: Option<String>) -> Result<Heard, String> {
        let method = if body.is_some() { "POST" } else { "GET" };
        let address = self.address;
        let request = Request::builder().method(method).header("host", address.to_string());
        let body = Full::from(body.unwrap_or_default());
        let response = match &mut self.sender {
            Sender::One(sender) => {
                sender.ready().await.map_err(told)?;
                sender.send_request(request.uri(path).body(body).unwrap()).await.map_err(told)?
            }
            Sender::Two(sender) => {
                sender.ready().await.map_err(told)?;
                let uri = format!("http://{address}{path}");
                sender.send_request(request.uri(uri).body(body).unwrap()).await.map_err(told)?
            }
        };
        self.is_closing = response.headers().get("connection").is_some_and(|value| value == "close");
        hear(response).await
    }

    /// Whether the host has announced that it closes the connection, as it does behind a body that it did not read.
    pub fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Ends it; there must be nothing on it but what was asked for.
    ///
    /// # Errors
    ///
    /// What was wrong with the connection.
    pub async fn end(self) -> Result<(), String> {
        drop(self.sender);
        self.driver.await.map_err(|error| error.to_string())?.map_err(told)
    }
}

async fn connect(address: SocketAddr) -> TokioIo<TcpStream> {
    TokioIo::new(TcpStream::connect(address).await.unwrap())
}

async fn hear(response: Response<Incoming>) -> Result<Heard, String> {
    let (status, begun) = (response.status().as_u16(), Instant::now());
    let request_id =
        response.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let request_id = request_id.to_owned();
    let body = response.into_body().collect().await.map_err(told)?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    Ok(Heard { status, request_id, begun, text, trailers })
}

fn told(error: hyper::Error) -> String {
    format!("{error:?}")
}
