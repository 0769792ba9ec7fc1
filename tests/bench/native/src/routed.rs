//! Services written with axum: one that answers itself, and one that asks it over the network.

use std::io::Result;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use bytes::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;

/// The longest body that is sent: more is a mistake of the caller.
const LENGTH_MAX: usize = 1 << 30;

/// Answers on every connection.
pub async fn serve(listener: TcpListener, routes: Router) -> Result<()> {
    // As bare hyper and as Hostel: nothing waits for more to send.
    axum::serve(listener.tap_io(|stream| drop(stream.set_nodelay(true))), routes).await
}

/// A service that answers with two words, at `/bytes/LENGTH` with so many bytes.
pub fn hello() -> Router {
    Router::new().route("/bytes/{length}", get(bytes)).fallback(|| async { crate::HELLO })
}

/// A service that passes on at `/call` what `back` answers, and answers itself otherwise.
pub fn front(back: &str) -> Router {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    Router::new()
        .route("/call", get(call))
        .fallback(|| async { crate::HELLO })
        .with_state(Back { client, uri: format!("http://{back}/") })
}

#[derive(Clone)]
struct Back {
    client: Client<HttpConnector, Body>,
    uri: String,
}

async fn bytes(Path(length): Path<usize>) -> Bytes {
    Bytes::from(vec![b'x'; length.min(LENGTH_MAX)])
}

async fn call(State(back): State<Back>) -> Response {
    let Ok(uri) = Uri::try_from(&back.uri) else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    match back.client.get(uri).await {
        Ok(response) => response.map(Body::new).into_response(),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}
