//! The preset of security headers as browsers meet it.

use reqwest::Method;

use crate::support::host::Host;
use crate::support::origin::{Origin, answer, route};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_leaves_out_is_added_and_what_it_says_stays() {
    let origin = Origin::start(|_| answer(200, &[("x-frame-options", "SAMEORIGIN")], "page")).await;
    let config = [origin.section(), route("/safe", "security-headers = true"), route("/plain", "")].concat()
        + "[[routes]]\npath = \"/gone\"\nservice = \"gone\"\nsecurity-headers = true\n\
               [services.gone]\nupstreams = [\"http://127.0.0.1:1\"]\n";
    let host = Host::start(&config).await;
    let get = async |path: &str| host.client().request(Method::GET, path).send().await.unwrap();
    let safe = get("/safe/x").await;
    for (name, value) in [
        ("x-frame-options", "SAMEORIGIN"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "strict-origin-when-cross-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(safe.headers()[name], value, "{name}");
    }
    assert!(safe.headers().contains_key("permissions-policy"));
    assert!(!safe.headers().contains_key("strict-transport-security"), "it says nothing without TLS");
    let refused = get("/gone").await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["x-frame-options"]),
        (502, &"DENY".parse().unwrap())
    );
    assert!(!get("/plain/x").await.headers().contains_key("referrer-policy"));
}
