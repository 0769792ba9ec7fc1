//! What Hostel is compared with, written natively: `bench-native hyper|axum|pair`. Prints its port.

mod bare;
mod routed;

use std::io::Result;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;

/// What all hellos answer, components too.
const HELLO: &str = "Hello, world!\n";

#[tokio::main]
async fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("hyper") => bare::serve(listen().await?).await,
        Some("axum") => axum::serve(listen().await?, routed::hello()).await,
        Some("pair") => pair().await,
        _ => Err(std::io::Error::other("say hyper, axum or pair")),
    }
}

/// Two services in one process, which talk over loopback: that is kinder to them than two processes.
async fn pair() -> Result<()> {
    let back = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let front = routed::front(back.local_addr()?);
    tokio::spawn(async move { axum::serve(back, routed::hello()).await });
    axum::serve(listen().await?, front).await
}

/// Any free port of loopback, told to whoever started this.
async fn listen() -> Result<TcpListener> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    println!("{}", listener.local_addr()?.port());
    Ok(listener)
}
