//! Greeter: knows how to greet in some languages.

use hostel_sdk::{Problem, Request, Response, Result, Router};
use serde::Serialize;

hostel_sdk::service! { http: routes }

#[derive(Serialize)]
struct Greeting {
    word: &'static str,
}

fn routes() -> Router {
    Router::new().get("/greetings/{language}", show)
}

fn show(request: &Request) -> Result<Response> {
    let word = match request.parameter("language")? {
        "en" => "Hello",
        "de" => "Guten Tag",
        "fr" => "Bonjour",
        other => return Err(Problem::not_found(format!("Nobody here speaks {other:?}.")).into()),
    };
    Response::ok(&Greeting { word })
}
