//! What Hostel is compared with, written natively: `bench-native hyper`, `axum`, or
//! `front ADDRESS`, which calls an `axum` there. Each prints its port.

mod bare;
mod routed;

use std::io::{Error, Result};
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;

/// What all hellos answer, components too.
const HELLO: &str = "Hello, world!\n";

#[tokio::main]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["hyper"] => bare::serve(listen().await?).await,
        ["axum"] => routed::serve(listen().await?, routed::hello()).await,
        ["front", back] => routed::serve(listen().await?, routed::front(back)).await,
        _ => Err(Error::other("say hyper, axum, or front and an address")),
    }
}

/// Any free port of loopback, told to whoever started this.
async fn listen() -> Result<TcpListener> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    println!("{}", listener.local_addr()?.port());
    Ok(listener)
}
