//! Fills logs.

use wasip2::cli::stdout;
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

use crate::calling;
use crate::query::Query;

/// Does `count` times what makes a line in a log: `what` is `lines`, `fetches` or `sockets`.
pub fn flood(query: &Query) -> String {
    let count: u64 = query.number("count", u64::MAX);
    for number in 0..count {
        match query.text("what") {
            "fetches" => drop(calling::reach(query)),
            "sockets" => socket(),
            _ => println!("flooded {number} with a line that is neither long nor short"),
        }
    }
    count.to_string()
}

/// Prints `text` as it stands, and ends the line.
pub fn print(query: &Query) -> String {
    let stream = stdout::get_stdout();
    let _ = stream.blocking_write_and_flush(query.text("text").as_bytes());
    let _ = stream.blocking_write_and_flush(b"\n");
    "printed".to_owned()
}

/// Tries to bind a socket.
fn socket() {
    let Ok(socket) = create_tcp_socket(IpAddressFamily::Ipv4) else { return };
    let address = Ipv4SocketAddress { port: 1, address: (127, 0, 0, 1) };
    let _ = socket.start_bind(&instance_network(), IpSocketAddress::Ipv4(address));
    let _ = socket.finish_bind();
}
