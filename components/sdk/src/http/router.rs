//! Which handler answers which request.

use super::pattern::Pattern;
use super::{Request, Response};
use crate::error::{Error, Result};
use crate::problem::Problem;

type Handler = Box<dyn Fn(&Request) -> Result<Response> + Send + Sync>;

/// The routes of a service.
///
/// The most specific pattern wins: segment by segment an exact one before `{name}` before `{*rest}`.
/// HEAD is answered by the handler of GET.
///
/// ```
/// # use hostel_sdk::{Request, Response, Result, Router};
/// fn show(request: &Request) -> Result<Response> {
///     Response::ok(&format!("order {}", request.parameter("id")?))
/// }
///
/// let router = Router::new().get("/api/orders/{id}", show);
/// assert_eq!(router.answer(Request::new("GET", "/api/orders/7")).status(), 200);
/// assert_eq!(router.answer(Request::new("PUT", "/api/orders/7")).status(), 405);
/// assert_eq!(router.answer(Request::new("GET", "/api/other")).status(), 404);
/// ```
#[derive(Default)]
pub struct Router {
    routes: Vec<Route>,
}

struct Route {
    method: String,
    pattern: Pattern,
    handler: Handler,
}

impl Router {
    /// No routes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A route of any method, in capitals.
    #[must_use]
    pub fn route<H>(mut self, method: &str, pattern: &str, handler: H) -> Self
    where
        H: Fn(&Request) -> Result<Response> + Send + Sync + 'static,
    {
        let pattern = Pattern::new(pattern);
        self.routes.push(Route { method: method.to_owned(), pattern, handler: Box::new(handler) });
        // Stable: of two equal patterns the first stays first.
        self.routes.sort_by_key(|route| route.pattern.rank());
        self
    }

    /// A route of GET, and of HEAD.
    #[must_use]
    pub fn get<H>(self, pattern: &str, handler: H) -> Self
    where
        H: Fn(&Request) -> Result<Response> + Send + Sync + 'static,
    {
        self.route("GET", pattern, handler)
    }

    /// A route of POST.
    #[must_use]
    pub fn post<H>(self, pattern: &str, handler: H) -> Self
    where
        H: Fn(&Request) -> Result<Response> + Send + Sync + 'static,
    {
        self.route("POST", pattern, handler)
    }

    /// A route of PUT.
    #[must_use]
    pub fn put<H>(self, pattern: &str, handler: H) -> Self
    where
        H: Fn(&Request) -> Result<Response> + Send + Sync + 'static,
    {
        self.route("PUT", pattern, handler)
    }

    /// A route of PATCH.
    #[must_use]
    pub fn patch<H>(self, pattern: &str, handler: H) -> Self
    where
        H: Fn(&Request) -> Result<Response> + Send + Sync + 'static,
    {
        self.route("PATCH", pattern, handler)
    }

    /// A route of DELETE.
    #[must_use]
    pub fn delete<H>(self, pattern: &str, handler: H) -> Self
    where
        H: Fn(&Request) -> Result<Response> + Send + Sync + 'static,
    {
        self.route("DELETE", pattern, handler)
    }

    /// Runs the handler of the request; an error becomes a problem document and, unless the client is
    /// at fault, a line in the log.
    pub fn answer(&self, request: Request) -> Response {
        let is_head = request.method() == "HEAD";
        let line = format!("{} {}", request.method(), request.path());
        let response = self.run(request).unwrap_or_else(|error| refuse(&line, error));
        if is_head { response.without_body() } else { response }
    }

    fn run(&self, request: Request) -> Result<Response> {
        let method = if request.method() == "HEAD" { "GET" } else { request.method() };
        let mut allowed = Vec::new();
        for route in &self.routes {
            let Some(parameters) = route.pattern.matches(request.path()) else {
                continue;
            };
            if route.method == method {
                return (route.handler)(&request.with_parameters(parameters));
            }
            allowed.push(route.method.as_str());
        }
        if allowed.is_empty() {
            return Err(Problem::not_found(format!("There is nothing at {}.", request.path())).into());
        }
        if allowed.contains(&"GET") {
            allowed.push("HEAD");
        }
        Err(Problem::method_not_allowed(&allowed).into())
    }
}

fn refuse(line: &str, error: Error) -> Response {
    if !matches!(error, Error::Problem(_)) {
        log::error!("{line}: {error}");
    }
    Response::from(&error.into_problem())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::ResponseBody;

    fn name(name: &'static str) -> impl Fn(&Request) -> Result<Response> + Send + Sync + 'static {
        move |_| Ok(Response::text(200, name))
    }

    #[test]
    fn the_most_specific_route_answers() {
        let router = Router::new()
            .get("/a/{*rest}", name("rest"))
            .get("/a/{id}", name("one"))
            .get("/a/new", name("exact"))
            .post("/a/{id}", name("post"));
        let check = |method: &str, path: &str, expected: &str| {
            let response = router.answer(Request::new(method, path));
            let ResponseBody::Bytes(bytes) = response.body() else { panic!("{path} streams") };
            assert_eq!(String::from_utf8_lossy(bytes), expected, "{method} {path}");
        };
        check("GET", "/a/new", "exact");
        check("GET", "/a/7", "one");
        check("GET", "/a/7/8", "rest");
        check("GET", "/a", "rest");
        check("POST", "/a/new", "post");
        check("HEAD", "/a/new", "");
    }

    #[test]
    fn a_wrong_method_names_the_right_ones() {
        let router = Router::new().get("/a", name("a")).put("/a", name("b"));
        let response = router.answer(Request::new("DELETE", "/a"));
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers().get("allow"), Some("GET, PUT, HEAD"));
        assert_eq!(response.headers().get("content-type"), Some("application/problem+json"));
    }
}
