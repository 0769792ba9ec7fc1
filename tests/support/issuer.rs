//! An issuer of tokens for the tests: a server with a discovery document and keys, and what signs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

/// An issuer that runs until it is dropped.
pub struct Issuer {
    /// Its name, which is its address.
    pub name: String,
    state: Arc<State>,
    server: AbortHandle,
}

/// A private key with its name.
pub struct SigningKey {
    id: String,
    key: EncodingKey,
}

struct State {
    name: String,
    keys: arc_swap::ArcSwap<Vec<Value>>,
    fetches: AtomicU32,
    is_away: AtomicBool,
}

impl Issuer {
    /// An issuer that shows these keys.
    pub async fn start(keys: &[&SigningKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = format!("http://{}", listener.local_addr().unwrap());
        let state = State {
            name: name.clone(),
            keys: arc_swap::ArcSwap::default(),
            fetches: AtomicU32::new(0),
            is_away: AtomicBool::new(false),
        };
        let state = Arc::new(state);
        let server = tokio::spawn(serve(listener, state.clone())).abort_handle();
        let issuer = Self { name, state, server };
        issuer.show(keys);
        issuer
    }

    /// Shows other keys from now on.
    pub fn show(&self, keys: &[&SigningKey]) {
        self.state.keys.store(Arc::new(keys.iter().map(|key| key.shown()).collect()));
    }

    /// Whether it answers 503 to everything.
    pub fn set_away(&self, is_away: bool) {
        self.state.is_away.store(is_away, Ordering::SeqCst);
    }

    /// How often its keys were asked for.
    pub fn fetches(&self) -> u32 {
        self.state.fetches.load(Ordering::SeqCst)
    }

    /// The lines of gateway.toml for it, under the name `main`.
    pub fn config(&self) -> String {
        format!("[issuers.main]\nissuer = \"{}\"\naudience = [\"shop\"]\n", self.name)
    }

    /// A token of its for five minutes, with these claims beside the usual ones, or in their place.
    pub fn token(&self, key: &SigningKey, more: &Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims =
            json!({ "iss": self.name, "aud": "shop", "sub": "ada", "iat": now, "exp": now + 300 });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, &claims, &key.key).unwrap()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl SigningKey {
    /// A new key.
    pub fn new(id: &str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        Self { id: id.to_owned(), key: EncodingKey::from_ec_der(&pair.serialize_der()) }
    }

    fn shown(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(self.id.clone());
        serde_json::to_value(jwk).unwrap()
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let state = state.clone();
        let service = service_fn(move |request| answer(request, state.clone()));
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(
    request: http::Request<Incoming>,
    state: Arc<State>,
) -> http::Result<http::Response<Full<Bytes>>> {
    let document = match request.uri().path() {
        "/.well-known/openid-configuration" => {
            Some(json!({ "issuer": state.name, "jwks_uri": format!("{}/keys", state.name) }))
        }
        "/keys" => {
            state.fetches.fetch_add(1, Ordering::SeqCst);
            Some(json!({ "keys": **state.keys.load() }))
        }
        _ => None,
    };
    let status = match &document {
        _ if state.is_away.load(Ordering::SeqCst) => 503,
        Some(_) => 200,
        None => 404,
    };
    let text = document.filter(|_| status == 200).unwrap_or_default().to_string();
    http::Response::builder().status(status).body(Full::from(text))
}
