//! Pages of other origins, as browsers ask for them.

use reqwest::{Method, Response};

use crate::support::host::Host;
use crate::support::origin::{Origin, answer, route};

const PAGE: &str = "https://app.example.com";

const RULES: &str = "cors = { origins = [\"https://app.example.com\", \"https://*.example.org\"], \
                     headers = [\"content-type\"], expose = [\"etag\"], credentials = true }";

/// A service that would let everybody in, and answers OPTIONS itself.
async fn start() -> (Host, Origin) {
    let origin = Origin::start(|request| {
        let fields = [
            ("access-control-allow-origin", "*"),
            ("access-control-allow-private-network", "true"),
            ("vary", "accept"),
            ("x-method", request.method().as_str()),
        ];
        answer(200, &fields, "here")
    })
    .await;
    let config = [
        origin.section(),
        route("/api", &format!("methods = [\"GET\", \"PUT\"]\n{RULES}")),
        route("/held", &format!("headers = {{ x-version = \"2\" }}\n{RULES}")),
        route("/once", &format!("rate-limit = {{ requests = 1, per = \"1h\" }}\n{RULES}")),
        route("/any", "cors = { origins = [\"*\"] }"),
        route("/own", ""),
        format!("[[routes]]\npath = \"/gone\"\nservice = \"gone\"\n{RULES}\n"),
        "[services.gone]\nupstreams = [\"http://127.0.0.1:1\"]\n".to_owned(),
    ];
    (Host::start(&config.concat()).await, origin)
}

async fn get(host: &Host, path: &str, page: &str) -> Response {
    host.client().request(Method::GET, path).header("origin", page).send().await.unwrap()
}

async fn preflight(host: &Host, path: &str, page: &str, method: &str) -> Response {
    let request = host.client().request(Method::OPTIONS, path).header("origin", page);
    request.header("access-control-request-method", method).send().await.unwrap()
}

fn field<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_is_answered_by_the_route_of_the_method_that_it_asks_about() {
    let (host, _origin) = start().await;
    let allowed = preflight(&host, "/api/x", PAGE, "PUT").await;
    assert_eq!(allowed.status(), 204);
    assert_eq!(field(&allowed, "access-control-allow-origin"), Some(PAGE));
    assert_eq!(field(&allowed, "access-control-allow-methods"), Some("PUT"));
    assert_eq!(field(&allowed, "access-control-allow-headers"), Some("content-type"));
    assert_eq!(field(&allowed, "access-control-allow-credentials"), Some("true"));
    assert_eq!(field(&allowed, "access-control-max-age"), Some("600"));
    assert_eq!(field(&allowed, "x-method"), None, "the service was not asked");
    assert_eq!(preflight(&host, "/api/x", PAGE, "DELETE").await.status(), 405);
    let held = host.client().request(Method::OPTIONS, "/held/x").header("origin", PAGE);
    let held = held.header("access-control-request-method", "PUT");
    let named = held.try_clone().unwrap().header("access-control-request-headers", "content-type, x-version");
    assert_eq!(named.send().await.unwrap().status(), 204, "the request will have the header of its route");
    assert_eq!(held.send().await.unwrap().status(), 404);
    let refused = preflight(&host, "/api/x", "https://evil.example", "PUT").await;
    assert_eq!(field(&refused, "access-control-allow-origin"), None);
    let own = preflight(&host, "/own/x", PAGE, "PUT").await;
    assert_eq!(
        (own.status().as_u16(), field(&own, "x-method")),
        (200, Some("OPTIONS")),
        "the service decides"
    );
    let plain = host.client().request(Method::OPTIONS, "/any/x").send().await.unwrap();
    assert_eq!(field(&plain, "x-method"), Some("OPTIONS"), "no preflight");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_listed_pages_may_read_an_answer() {
    let (host, _origin) = start().await;
    for page in [PAGE, "https://a.example.org"] {
        let read = get(&host, "/api/x", page).await;
        assert_eq!(field(&read, "access-control-allow-origin"), Some(page));
        assert_eq!(field(&read, "access-control-allow-credentials"), Some("true"));
        assert_eq!(field(&read, "access-control-expose-headers"), Some("etag"));
        assert_eq!(field(&read, "access-control-allow-private-network"), None, "the word of the service");
    }
    for page in
        ["null", "https://app.example.com.evil.example", "https://evilexample.org", "http://app.example.com"]
    {
        let refused = get(&host, "/api/x", page).await;
        assert_eq!(refused.status(), 200);
        assert_eq!(field(&refused, "access-control-allow-origin"), None, "{page}");
        let vary: Vec<_> = refused.headers().get_all("vary").iter().collect();
        assert_eq!(vary, ["accept", "origin"], "{page}");
    }
    let any = get(&host, "/any/x", "null").await;
    assert_eq!(field(&any, "access-control-allow-origin"), Some("*"));
    assert_eq!(field(&any, "access-control-allow-credentials"), None);
    let own = get(&host, "/own/x", PAGE).await;
    assert_eq!(field(&own, "access-control-allow-private-network"), Some("true"), "the service decides");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_can_read_why_it_is_refused() {
    let (host, _origin) = start().await;
    assert_eq!(
        preflight(&host, "/once/x", PAGE, "PUT").await.status(),
        204,
        "a preflight counts for no limit"
    );
    assert_eq!(get(&host, "/once/x", PAGE).await.status(), 200);
    for (path, status) in [("/once/x", 429), ("/gone", 502)] {
        let refused = get(&host, path, PAGE).await;
        assert_eq!(refused.status(), status, "{path}");
        assert_eq!(field(&refused, "access-control-allow-origin"), Some(PAGE), "{path}");
        assert_eq!(refused.json::<serde_json::Value>().await.unwrap()["status"], status, "{path}");
    }
}

#[test]
fn credentials_for_everybody_are_a_fault_of_the_configuration() {
    let rules = "cors = { origins = [\"*\"], credentials = true }";
    let config =
        "[services.origin]\nupstreams = [\"http://127.0.0.1:1\"]\n".to_owned() + &route("/api", rules);
    let (code, output, errors) = Host::prepare(&config).run(&["check"]);
    assert_eq!(code, Some(1));
    assert!((output.clone() + &errors).contains("routes[0].cors.credentials"), "{output}{errors}");
}
