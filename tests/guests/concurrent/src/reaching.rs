//! Reaches for what was never granted, by the interfaces of WASI 0.3.

use wasip3::cli::environment;
use wasip3::filesystem::preopens;
use wasip3::sockets::types::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket};

/// How much of each kind there is.
pub async fn all() -> String {
    let directories = preopens::get_directories().len();
    let variables = environment::get_environment().len() + environment::get_arguments().len();
    let local = IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 0, address: (127, 0, 0, 1) });
    let (bound, connected) = match TcpSocket::create(IpAddressFamily::Ipv4) {
        Ok(socket) => (socket.bind(local).is_ok(), socket.connect(local).await.is_ok()),
        Err(_) => (false, false),
    };
    format!("{directories} folders, {variables} variables, bound {bound}, connected {connected}")
}
