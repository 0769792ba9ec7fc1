//! What services see of heads and trailers, whatever version of HTTP the client speaks.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::gateway::{external, raw};
use crate::support::host::Host;

/// Long enough for a slow machine, short enough for a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service that answers once and keeps what it was sent, to the end of the chunked body.
async fn recorder() -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let section = format!("[services.up]\nupstreams = [\"http://{}\"]\n", listener.local_addr().unwrap());
    let recording = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut seen, mut bytes) = (String::new(), [0; 4096]);
        while !(seen.contains("\r\n0\r\n") && seen.ends_with("\r\n\r\n")) {
            let count = stream.read(&mut bytes).await.unwrap();
            assert_ne!(count, 0, "it broke off: {seen}");
            seen.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap();
        seen
    });
    (section, recording)
}

async fn echo(routes: &str) -> (Host, JoinHandle<()>) {
    let (address, server) = external().await;
    let service = format!("[services.echo]\nupstreams = [\"http://{address}\"]\n");
    (Host::start(&format!("{service}{routes}")).await, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_claims_an_identity_in_trailers() {
    let (section, recording) = recorder().await;
    let route = "[[routes]]\npath = \"/{*rest}\"\nservice = \"up\"\n";
    let host = Host::start(&format!("{section}{route}")).await;
    let request = "POST /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\
                   trailer: hostel-subject, x-sum, authorization\r\n\r\n3\r\nabc\r\n0\r\n\
                   hostel-subject: admin\r\nhostel_scopes: all\r\nauthorization: Bearer x\r\nx-sum: 7\r\n\r\n";
    let answer = raw(&host, request).await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    let seen = tokio::time::timeout(PATIENCE, recording).await.unwrap().unwrap();
    assert!(seen.contains("abc"), "{seen}");
    for claim in ["admin", "hostel_scopes", "Bearer"] {
        assert!(!seen.contains(claim), "{claim}: {seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_of_http_2_are_one_field() {
    let (host, _server) = echo("[[routes]]\npath = \"/{*rest}\"\nservice = \"echo\"\n").await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let request = client.get(format!("{}/x", host.gateway())).header("cookie", "a=1").header("cookie", "b=2");
    let seen: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(seen["headers"]["cookie"], "a=1; b=2", "{seen}");
    assert_eq!(seen["headers"]["via"], "2 hostel", "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_of_unknown_length_keeps_its_body() {
    let (host, _server) = echo("[[routes]]\npath = \"/{*rest}\"\nservice = \"echo\"\n").await;
    let request = "GET /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
                   6\r\na body\r\n0\r\n\r\n";
    let answer = raw(&host, request).await;
    assert!(answer.contains("\"body\":\"a body\""), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_whose_way_ends_here_is_answered_here() {
    let (host, _server) = echo("[[routes]]\npath = \"/x\"\nservice = \"echo\"\n").await;
    let ask = async |method: &str, left: &str| {
        let head =
            format!("{method} /x HTTP/1.1\r\nhost: a\r\nmax-forwards: {left}\r\nconnection: close\r\n\r\n");
        raw(&host, &head).await
    };
    assert!(ask("OPTIONS", "0").await.starts_with("HTTP/1.1 204 "));
    let passed = ask("OPTIONS", "2").await;
    assert!(passed.contains("\"max-forwards\":\"1\""), "{passed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_names_head_goes_before_one_for_get() {
    let routes = "[[routes]]\npath = \"/x\"\nservice = \"echo\"\nmethods = [\"GET\"]\n\
                  [[routes]]\npath = \"/x\"\nredirect = { to = \"/head\" }\nmethods = [\"HEAD\"]\n\
                  [[routes]]\npath = \"/y\"\nservice = \"echo\"\nmethods = [\"GET\"]\n";
    let (host, _server) = echo(routes).await;
    let head = async |path: &str| {
        raw(&host, &format!("HEAD {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await
    };
    assert!(head("/x").await.starts_with("HTTP/1.1 308 "), "{}", head("/x").await);
    assert!(head("/y").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_no_request_stands_in_the_access_log() {
    let (host, _server) = echo("[[routes]]\npath = \"/x\"\nservice = \"echo\"\n").await;
    let answer = raw(&host, "GET /x HTTP/1.1\nhost: a\r\n\r\n").await;
    let id = answer.split("x-request-id: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap();
    host.logged(id).await;
    let log = host.log();
    let line = log.lines().find(|line| line.contains(id)).unwrap();
    assert!(line.contains("status=400") && line.contains("client=127.0.0.1"), "{line}");
}
