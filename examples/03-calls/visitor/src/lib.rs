//! Visitor: asks the greeter, a service of its own, and adds the name.

use hostel_sdk::{Problem, Request, Response, Result, Router, client};
use serde::{Deserialize, Serialize};

hostel_sdk::service! { http: routes }

/// As much of the greeter's answer as is needed here.
#[derive(Deserialize)]
struct Greeting {
    word: String,
}

#[derive(Serialize)]
struct Welcome {
    welcome: String,
}

fn routes() -> Router {
    Router::new().get("/welcome/{name}", welcome)
}

fn welcome(request: &Request) -> Result<Response> {
    let name = request.parameter("name")?;
    let language = request.query("language").unwrap_or("en");
    // The name of the service is its address; `calls` in gateway.toml grants the call.
    let url = format!("http://greeter.internal/greetings/{}", client::segment(language));
    // A 404 of the greeter is `None`; any other failure ends this request with a problem document.
    let greeting: Option<Greeting> = client::get(&url).send()?.found()?;
    let Greeting { word } = greeting
        .ok_or_else(|| Problem::unprocessable(format!("The greeter does not speak {language:?}.")))?;
    Response::ok(&Welcome { welcome: format!("{word}, {name}!") })
}
