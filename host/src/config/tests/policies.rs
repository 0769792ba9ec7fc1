//! The policies of routes: what is written, what is inherited, what is off.

use http::Method;

use super::Folder;
use crate::config::*;

fn policies(folder: &Folder, gateway: &str, route: &str) -> Policies {
    let text = format!(
        "[gateway]\nlisten = \"[::1]:0\"\n{gateway}\n[admin]\nlisten = \"[::1]:0\"\n[services.a]\n\
         [[routes]]\npath = \"/\"\nservice = \"a\"\n{route}\n"
    );
    folder.parse(&text).unwrap().routes[0].policies.clone()
}

#[test]
fn limits_are_one_or_several_and_have_defaults() {
    let folder = Folder::new();
    let seconds = std::time::Duration::from_secs;
    let address = RateLimit { requests: 5, per: seconds(1), burst: 5, by: By::Address };
    assert_eq!(
        policies(&folder, "", "rate-limit = { requests = 5 }").rate_limits,
        std::slice::from_ref(&address)
    );
    let several = "rate-limit = [{ requests = 5 }, { requests = 60, per = \"1m\", burst = 9, by = \"header:X-Tenant\" }]";
    let tenant = By::Header("x-tenant".parse().unwrap());
    let header = RateLimit { requests: 60, per: seconds(60), burst: 9, by: tenant };
    assert_eq!(policies(&folder, "", several).rate_limits, [address, header]);
    for (text, by) in [("subject", By::Subject), ("key", By::Key), ("route", By::Route)] {
        let route = format!("rate-limit = {{ requests = 1, by = {text:?} }}");
        let limits = policies(&folder, "", &route).rate_limits;
        assert_eq!((limits[0].by.clone(), limits[0].by.to_string()), (by, text.to_owned()));
    }
}

#[test]
fn a_limit_never_allows_more_than_is_written() {
    let limit = |requests, per| RateLimit { requests, per, burst: 1, by: By::Route };
    for (requests, ms) in [(3, 1), (7, 1_000), (999_999, 1), (1_000_000, 1), (1, 86_400_000)] {
        let per = std::time::Duration::from_millis(ms);
        let interval = limit(requests, per).interval();
        assert!(!interval.is_zero() && interval * requests >= per, "{requests} in {per:?}: {interval:?}");
    }
}

#[test]
fn a_route_replaces_or_switches_off_what_the_gateway_says() {
    let folder = Folder::new();
    let gateway = "rate-limit = { requests = 5 }\ncors = { origins = [\"*\"] }\ncompress = true\nsecurity-headers = true";
    let inherited = policies(&folder, gateway, "");
    assert_eq!((inherited.rate_limits.len(), inherited.rate_limits[0].requests), (1, 5));
    assert_eq!(inherited.cors.as_ref().unwrap().origins, Origins::Any);
    assert!(inherited.compress && inherited.security_headers);
    let off = "rate-limit = false\ncors = false\ncompress = false\nsecurity-headers = false";
    assert_eq!(policies(&folder, gateway, off), Policies::default());
    let own = "rate-limit = { requests = 6 }\ncors = { origins = [\"https://A.example\"] }";
    let own = policies(&folder, gateway, own);
    assert_eq!((own.rate_limits.len(), own.rate_limits[0].requests), (1, 6));
    assert_eq!(own.cors.unwrap().origins, Origins::Listed(vec![Origin::parse("https://a.example").unwrap()]));
    assert_eq!(policies(&folder, "", ""), Policies::default());
}

#[test]
fn cors_rules_are_read_as_they_are_written() {
    let rules = "cors = { origins = [\"https://*.example.com:8443\"], methods = [\"PUT\"], headers = [\"Authorization\"], \
                 expose = [\"etag\"], credentials = true, max-age = \"1h\", private-network = true }";
    let cors = policies(&Folder::new(), "", rules).cors.unwrap();
    assert_eq!(
        cors,
        Cors {
            origins: Origins::Listed(vec![Origin::parse("https://*.example.com:8443").unwrap()]),
            methods: vec![Method::PUT],
            headers: vec!["authorization".parse().unwrap()],
            expose: vec!["etag".parse().unwrap()],
            credentials: true,
            max_age: std::time::Duration::from_secs(3600),
            private_network: true,
        }
    );
    let any =
        policies(&Folder::new(), "", "cors = { origins = [\"*\"], headers = [\"*\"], expose = [\"*\"] }");
    let any = any.cors.unwrap();
    assert_eq!((any.headers[0].as_str(), any.expose[0].as_str(), any.credentials), ("*", "*", false));
    assert_eq!((any.methods.len(), any.max_age.as_secs(), any.private_network), (0, 600, false));
}
