//! Behind other proxies: the PROXY protocol, and whose word about clients counts.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gateway::external;
use crate::support::host::Host;

/// Long enough for a slow machine, short enough for a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The begin of a header of version 2.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A request that ends its connection.
const REQUEST: &str = "GET / HTTP/1.1\r\nhost: shop.test\r\nconnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_names_the_client_in_both_versions_of_the_proxy_protocol() {
    let host = start("proxy-protocol = true\ntrusted-proxies = [\"127.0.0.0/8\"]\n").await;
    let v2 = |bytes: &[u8]| [SIGNATURE, bytes].concat();
    let address = [192, 0, 2, 7, 127, 0, 0, 1, 0x12, 0x67, 0, 80];
    let mut six = vec![0x21, 0x21, 0, 36];
    six.extend("2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets());
    six.extend([0; 16]);
    six.extend([0x12, 0x67, 0, 80]);
    // Four bytes of an extension that nobody knows follow the addresses.
    let extended = [&[0x21, 0x11, 0, 16][..], &address, &[0xe0, 0, 1, b'x']].concat();
    for (header, client) in [
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\n".to_vec(), "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 4711 80\r\n".to_vec(), "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (v2(&[&[0x21, 0x11, 0, 12][..], &address].concat()), "192.0.2.7"),
        (v2(&extended), "192.0.2.7"),
        (v2(&six), "2001:db8::7"),
        // LOCAL: the balancer asks for itself.
        (v2(&[0x20, 0, 0, 0]), "127.0.0.1"),
        (v2(&[&[0x20, 0x11, 0, 12][..], &address].concat()), "127.0.0.1"),
    ] {
        let seen = seen(&host, &header).await;
        assert_eq!(seen["headers"]["x-forwarded-for"], json!(client), "{header:?}: {seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_valid_header_or_from_elsewhere_is_closed() {
    let trusting =
        start("header-timeout = \"2s\"\nproxy-protocol = true\ntrusted-proxies = [\"127.0.0.1\"]\n").await;
    let long = format!("PROXY TCP4 {}\r\n", "1".repeat(200));
    let huge = [SIGNATURE, &[0x21, 0x11, 0xff, 0xff]].concat();
    for header in [
        b"".as_slice(),
        b"PROXY TCP4 192.0.2.7\r\n",
        b"PROXY TCP4 192.0.2.999 127.0.0.1 1 80\r\n",
        long.as_bytes(),
        b"proxy TCP4 192.0.2.7 127.0.0.1 1 80\r\n",
        &huge,
        &[SIGNATURE, &[0x31, 0x11, 0, 0]].concat(),
    ] {
        let answer = exchange(&trusting, &[header, REQUEST.as_bytes()].concat()).await;
        assert_eq!(answer, "", "{header:?}");
    }
    // One that does not end in time.
    assert_eq!(exchange(&trusting, b"PROXY TCP4 192.0.2.7").await, "");
    let strict = start("proxy-protocol = true\ntrusted-proxies = [\"192.0.2.1\"]\n").await;
    let header = format!("PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\n{REQUEST}");
    assert_eq!(exchange(&strict, header.as_bytes()).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_counted_for_the_client_that_the_proxy_names() {
    let limit = "connections-per-address-max = 1\n";
    let host = start(&format!("{limit}proxy-protocol = true\ntrusted-proxies = [\"127.0.0.1\"]\n")).await;
    let request = |client: &str| format!("PROXY TCP4 {client} 127.0.0.1 4711 80\r\n{REQUEST}");
    let mut held = TcpStream::connect(host.gateway_address()).await.unwrap();
    // An answer shows that it was let in; then it stays open.
    let kept = request("192.0.2.7").replace("connection: close\r\n", "");
    held.write_all(kept.as_bytes()).await.unwrap();
    assert!(held.read(&mut [0; 1024]).await.unwrap() > 0);
    assert!(exchange(&host, request("192.0.2.7").as_bytes()).await.starts_with("HTTP/1.1 429 "));
    assert!(exchange(&host, request("192.0.2.8").as_bytes()).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_trusted_proxies_may_say_who_the_client_is() {
    let claims = "x-forwarded-for: 1.1.1.1, 192.0.2.7, 10.0.0.2\r\nx-forwarded-proto: https\r\n\
                  x-forwarded-host: public.test:8443\r\nx-real-ip: 1.1.1.1\r\n";
    let request = REQUEST.replace("connection", &format!("{claims}connection"));
    let expected = |rows: [(&'static str, Value); 6]| rows;
    for (trusted, fields) in [
        (
            "trusted-proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\n",
            expected([
                ("x-forwarded-for", json!("192.0.2.7")),
                ("x-forwarded-proto", json!("https")),
                ("x-forwarded-host", json!("public.test:8443")),
                ("x-forwarded-port", json!("8443")),
                ("forwarded", json!("for=192.0.2.7;proto=https;host=\"public.test:8443\"")),
                ("x-real-ip", Value::Null),
            ]),
        ),
        (
            "trusted-proxies = [\"10.0.0.0/8\"]\n",
            expected([
                ("x-forwarded-for", json!("127.0.0.1")),
                ("x-forwarded-proto", json!("http")),
                ("x-forwarded-host", json!("shop.test")),
                ("x-forwarded-port", json!("80")),
                ("forwarded", json!("for=127.0.0.1;proto=http;host=\"shop.test\"")),
                ("x-real-ip", Value::Null),
            ]),
        ),
    ] {
        let host = start(trusted).await;
        let answer = exchange(&host, request.as_bytes()).await;
        let seen = body(&answer);
        for (name, value) in fields {
            assert_eq!(seen["headers"][name], value, "{trusted}{name}: {seen}");
        }
    }
}

/// A host that passes everything to a service that tells what it got, with these keys of `[gateway]`.
async fn start(gateway: &str) -> Host {
    // The server lives as long as the runtime of the test.
    let (address, _) = external().await;
    let config = format!(
        "{gateway}[services.echo]\nupstreams = [\"http://{address}\"]\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"echo\"\n"
    );
    Host::start(&config).await
}

/// What the service got of a request behind this PROXY header.
async fn seen(host: &Host, header: &[u8]) -> Value {
    body(&exchange(host, &[header, REQUEST.as_bytes()].concat()).await)
}

fn body(answer: &str) -> Value {
    let body = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}")).1;
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// Everything that comes until the gateway closes the connection.
async fn exchange(host: &Host, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(host.gateway_address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    // A connection that is closed with bytes unread is reset.
    let _ = read.expect("the connection stays open");
    String::from_utf8_lossy(&answer).into_owned()
}
