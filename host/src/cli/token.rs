//! `token`: a short-lived token for an operator's calls, and nothing else, so that a shell can take it.

use reqwest::Method;

use crate::admin::issued::{IssuedToken, WantedToken};
use crate::cli::client::Client;
use crate::cli::output;

/// Prints a token for this subject and these scopes.
pub async fn run(
    client: &Client,
    subject: Option<String>,
    scopes: Vec<String>,
    json: bool,
) -> anyhow::Result<()> {
    let scope = (!scopes.is_empty()).then(|| scopes.join(" "));
    let request = client.request(Method::POST, "/token").json(&WantedToken { subject, scope });
    let issued: IssuedToken = client.json(request).await?;
    if json {
        return output::json(&issued);
    }
    output::line(&issued.access_token);
    Ok(())
}
