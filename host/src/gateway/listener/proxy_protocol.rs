//! The header of the PROXY protocol, versions 1 and 2, in which a balancer names the client.

use std::io;
use std::net::IpAddr;

use ppp::{v1, v2};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The longest line of version 1 (PROXY protocol, 2.1).
const LINE_BYTES_MAX: usize = 107;

/// Both versions are told apart by as many bytes as the signature of version 2 has.
const SIGNATURE_BYTES: usize = v2::PROTOCOL_PREFIX.len();

/// Signature, version and command, family, length.
const FIXED_BYTES: usize = 16;

/// The longest rest of a header of version 2: addresses and a certificate's name fit easily.
const REST_BYTES_MAX: usize = 4096;

/// Reads the header, and not a byte more. Answers the client that it names; none where the balancer speaks
/// for itself (`LOCAL`, `UNKNOWN`), as in its health checks.
///
/// # Errors
///
/// When there is no valid header; the connection then cannot be served.
pub async fn read(stream: &mut TcpStream) -> io::Result<Option<IpAddr>> {
    // The shortest header is longer than this.
    let mut header = vec![0; SIGNATURE_BYTES];
    stream.read_exact(&mut header).await?;
    if header == v2::PROTOCOL_PREFIX {
        return read_binary(stream, header).await;
    }
    if !header.starts_with(b"PROXY ") {
        return Err(malformed("there is none"));
    }
    read_line(stream, &mut header).await?;
    match v1::Header::try_from(header.as_slice()).map_err(malformed)?.addresses {
        v1::Addresses::Tcp4(addresses) => Ok(Some(addresses.source_address.into())),
        v1::Addresses::Tcp6(addresses) => Ok(Some(addresses.source_address.into())),
        v1::Addresses::Unknown => Ok(None),
    }
}

/// Looks before it reads, since what follows the line belongs to somebody else.
async fn read_line(stream: &mut TcpStream, header: &mut Vec<u8>) -> io::Result<()> {
    while !header.ends_with(b"\n") {
        let mut bytes = [0; LINE_BYTES_MAX];
        let seen = stream.peek(&mut bytes).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let end = bytes[..seen].iter().position(|byte| *byte == b'\n').map_or(seen, |index| index + 1);
        if header.len() + end > LINE_BYTES_MAX {
            return Err(malformed("the line is too long"));
        }
        stream.read_exact(&mut bytes[..end]).await?;
        header.extend_from_slice(&bytes[..end]);
    }
    Ok(())
}

async fn read_binary(stream: &mut TcpStream, mut header: Vec<u8>) -> io::Result<Option<IpAddr>> {
    header.resize(FIXED_BYTES, 0);
    stream.read_exact(&mut header[SIGNATURE_BYTES..]).await?;
    let rest = usize::from(u16::from_be_bytes([header[FIXED_BYTES - 2], header[FIXED_BYTES - 1]]));
    if rest > REST_BYTES_MAX {
        return Err(malformed("it is too long"));
    }
    header.resize(FIXED_BYTES + rest, 0);
    stream.read_exact(&mut header[FIXED_BYTES..]).await?;
    let header = v2::Header::try_from(header.as_slice()).map_err(malformed)?;
    match (header.command, header.addresses) {
        (v2::Command::Local, _) => Ok(None),
        (v2::Command::Proxy, v2::Addresses::IPv4(addresses)) => Ok(Some(addresses.source_address.into())),
        (v2::Command::Proxy, v2::Addresses::IPv6(addresses)) => Ok(Some(addresses.source_address.into())),
        (v2::Command::Proxy, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => Ok(None),
    }
}

fn malformed(reason: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no valid PROXY header: {reason}"))
}
