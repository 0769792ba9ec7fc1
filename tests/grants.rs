//! A service tries what it was not granted: it is refused, and the attempt is logged with the line that would grant it.

use std::fs;
use std::io::ErrorKind;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::limits::probe;
use crate::support::client::Client;
use crate::support::host::Host;

#[tokio::test(flavor = "multi_thread")]
async fn files_and_environment_are_not_there() {
    let host = Host::start(&probe("probe", "")).await;
    let client = host.client();
    for path in [host.path("gateway.toml"), host.path("data/admin-token"), "/etc/passwd".into()] {
        assert!(path.exists(), "{}", path.display());
        let answer = client.get(&format!("/probe/file?path={}", path.display())).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.body["read"].is_string(), "it could be read: {answer:?}");
        assert!(answer.body["written"].is_string(), "it could be written: {answer:?}");
        assert!(!fs::exists(format!("{}.probe", path.display())).unwrap());
    }
    let answer = client.get("/probe/environment").await;
    assert_eq!(answer.body, json!({ "variables": [], "arguments": [] }));
    refused(&host, "access to files was refused").await;
    refused(&host, "access to environment variables was refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_socket_is_opened() {
    let listener = unvisited();
    let address = listener.local_addr().unwrap();
    let host = Host::start(&probe("probe", "")).await;
    let client = host.client();
    for target in [address.to_string(), admin_address(&host), "localhost:80".to_owned()] {
        let body = client.get(&format!("/probe/socket?address={target}")).await.body;
        assert!(body["error"].is_string(), "{target}: {body}");
    }
    // The C library binds before it connects, and the bind is refused already.
    refused(&host, "a socket was refused: Tcp").await;
    assert_eq!(
        listener.accept().unwrap_err().kind(),
        ErrorKind::WouldBlock,
        "the guest reached the listener"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_granted_hosts_are_fetched() {
    let (granted, other) = (answering().await, unvisited());
    let host = Host::start(&probe("probe", &format!("fetches = [\"{granted}\"]"))).await;
    let client = host.client();
    assert_eq!(fetch(&client, &format!("{granted}/here")).await, json!({ "done": 204 }), "the control");
    let other_url = format!("http://{}", other.local_addr().unwrap());
    let admin = admin_address(&host);
    let cases = [
        (format!("{other_url}/"), format!("fetches = [{other_url:?}]")),
        ("https://example.com/".to_owned(), "fetches = [\"https://example.com\"]".to_owned()),
        (format!("{}/", granted.replace("http:", "https:")), "the request to https://127.0.0.1".to_owned()),
        (
            "http://169.254.169.254/latest".to_owned(),
            "the request to 169.254.169.254:80 was refused".to_owned(),
        ),
        (format!("http://{admin}/services"), format!("the request to {admin} was refused")),
    ];
    for (url, logged) in cases {
        let body = fetch(&client, &url).await;
        assert_eq!(body["error"], "denied", "{url}: {body}");
        refused(&host, &logged).await;
    }
    assert_eq!(other.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "the guest reached the other host");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_granted_services_topics_and_buckets_are_reached() {
    let config = probe("probe", "calls = [\"friend\"]") + &probe("friend", "") + &probe("stranger", "");
    let host = Host::start(&config).await;
    let client = host.client();
    let cases = [
        ("sibling?name=friend", None),
        ("publish?topic=probe.work", None),
        ("bucket?name=granted", None),
        ("sibling?name=stranger", Some("calls = [\"stranger\"]")),
        ("sibling?name=nobody", Some("calls = [\"nobody\"]")),
        ("publish?topic=order.placed", Some("publishes = [\"order.placed\"]")),
        ("publish?topic=probe.a.b", Some("publishes = [\"probe.a.b\"]")),
        ("bucket?name=other", Some("buckets = [\"other\"]")),
    ];
    for (path, grant) in cases {
        let answer = client.get(&format!("/probe/{path}")).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        match grant {
            None => assert!(!answer.body["done"].is_null(), "{path} is granted: {answer:?}"),
            Some(grant) => {
                assert_eq!(answer.body["error"], "denied", "{path}: {answer:?}");
                refused(&host, grant).await;
            }
        }
    }
    // Each service has its own buckets and rows, also under the same names.
    assert_eq!(client.get("/friend/bucket?name=granted").await.body["done"], "here");
    assert_eq!(client.get("/probe/ok").await.status, 200);
}

/// Waits until the refusal stands in the host's log, and looks for it in that of the service.
async fn refused(host: &Host, text: &str) {
    host.logged("was refused").await;
    let (code, lines, errors) = host.run(&["logs", "probe"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(lines.contains(text), "{text:?} is not in the log of the service:\n{lines}");
}

async fn fetch(client: &Client, url: &str) -> Value {
    client.get(&format!("/probe/fetch?url={url}")).await.body
}

fn admin_address(host: &Host) -> String {
    fs::read_to_string(host.path("data/admin-address")).unwrap().trim().to_owned()
}

/// A listener that tells at once whether anybody has come.
fn unvisited() -> std::net::TcpListener {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

/// The URL of a server that answers 204 to everything.
async fn answering() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            // The request of the test fits into the first bytes.
            let mut request = [0; 4096];
            if connection.read(&mut request).await.is_ok() {
                let _ = connection.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
            }
        }
    });
    url
}
