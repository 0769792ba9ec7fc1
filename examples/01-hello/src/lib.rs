//! Hello: one route that answers JSON.

use hostel_sdk::{Request, Response, Result, Router, log};
use serde::Serialize;

hostel_sdk::service! { http: routes }

#[derive(Serialize)]
struct Greeting {
    greeting: String,
}

fn routes() -> Router {
    Router::new().get("/hello/{name}", greet)
}

fn greet(request: &Request) -> Result<Response> {
    let name = request.parameter("name")?;
    log::info!("{name} was greeted");
    Response::ok(&Greeting { greeting: format!("Hello, {name}!") })
}
