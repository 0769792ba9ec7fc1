//! What Hostel is compared with, written natively: `bench-native hyper`, `axum`,
//! `front ADDRESS`, which calls an `axum` there, or `component FILE`, which runs one. Each prints its port.
//! `ask ADDRESS PATH...` is a client: it prints how many microseconds each answer took.

mod ask;
mod bare;
mod minimal;
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
        ["component", file] => minimal::serve(listen().await?, file.as_ref()).await.map_err(Error::other),
        ["ask", address, ref paths @ ..] => ask::each(address, paths),
        _ => {
            Err(Error::other("say hyper, axum, front and an address, component and a file, or ask and what"))
        }
    }
}

/// Any free port of loopback, told to whoever started this.
async fn listen() -> Result<TcpListener> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    println!("{}", listener.local_addr()?.port());
    Ok(listener)
}
