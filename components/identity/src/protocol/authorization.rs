//! The request for an authorization (RFC 6749, 4.1.1; OpenID Connect Core 1.0, 3.1.2.1), checked.

use hostel_sdk::Request;

use super::failure::OauthError;
use super::parameters::Parameters;
use super::scope::Scope;
use crate::config::{Client, Clients, GrantType, Issuer};

/// All that is read of a request; the rest is ignored (RFC 6749, 3.1).
const NAMES: [&str; 16] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "response_mode",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "max_age",
    "login_hint",
    "id_token_hint",
    "request",
    "request_uri",
    "registration",
];

/// The longest state and nonce: they come back in addresses and tokens.
const ECHO_BYTES_MAX: usize = 1_024;

/// A SHA-256 in base64url (RFC 7636, 4.2).
const CHALLENGE_CHARS: usize = 43;

/// A request that may be answered with a code, once the user is known.
#[derive(Debug)]
pub struct AuthorizationRequest {
    pub client: Client,
    pub destination: Destination,
    pub scope: Scope,
    pub nonce: Option<String>,
    pub challenge: String,
    pub prompt: Prompt,
    pub max_age_s: Option<i64>,
    pub login_hint: Option<String>,
    pub id_token_hint: Option<String>,
    query: String,
}

/// Where the answer goes: an address that the client has registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub redirect_uri: String,
    state: Option<String>,
}

/// Whether the user may be asked, or must be, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    WhenNeeded,
    Never,
    Always,
    /// To sign up (Initiating User Registration via OpenID Connect 1.0).
    Create,
}

/// Why a request is refused.
#[derive(Debug)]
pub enum Fault {
    /// It names no client or none of its addresses: nobody may be sent anywhere (RFC 6749, 4.1.2.1).
    Untrusted(&'static str),
    /// The client is told.
    Refused(Destination, OauthError),
}

impl AuthorizationRequest {
    /// Reads the query of a request.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn read(request: &Request, clients: &Clients) -> Result<Self, Fault> {
        let parameters = Parameters::of_query(request, &NAMES);
        let (client, destination) = check_destination(&parameters, clients).map_err(Fault::Untrusted)?;
        Self::check(&parameters, client, &destination).map_err(|error| Fault::Refused(destination, error))
    }

    /// The same request as a query, for forms and links that go on with it.
    pub fn query(&self) -> &str {
        &self.query
    }

    fn check(
        parameters: &Parameters,
        client: &Client,
        destination: &Destination,
    ) -> Result<Self, OauthError> {
        if parameters.repeated().is_some() {
            return Err(OauthError::invalid_request("A parameter stands there more than once."));
        }
        check_kind(parameters)?;
        if !client.may(GrantType::AuthorizationCode) {
            return Err(OauthError::new("unauthorized_client", "The client may not ask users."));
        }
        let text = |name: &str| parameters.get(name).map(str::to_owned);
        if [&destination.state, &text("nonce")].into_iter().flatten().any(|echo| echo.len() > ECHO_BYTES_MAX)
        {
            return Err(OauthError::invalid_request("The state or nonce is too long."));
        }
        let prompt = check_prompt(parameters.get("prompt").unwrap_or_default())?;
        // The wish to sign up is heard once: whoever then chooses to sign in is shown that form.
        let goes_on =
            if prompt == Prompt::Create { parameters.clone().without("prompt") } else { parameters.clone() };
        Ok(Self {
            client: client.clone(),
            destination: destination.clone(),
            scope: Scope::granted(parameters.get("scope"), &client.scopes)?,
            nonce: text("nonce"),
            challenge: check_challenge(parameters)?,
            prompt,
            max_age_s: check_max_age(parameters.get("max_age"))?,
            login_hint: text("login_hint"),
            id_token_hint: text("id_token_hint"),
            query: goes_on.to_query(),
        })
    }
}

impl Destination {
    /// The address with an answer in its query; who answers is said too (RFC 9207).
    pub fn with(&self, issuer: &Issuer, answer: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(answer);
        if let Some(state) = &self.state {
            query.append_pair("state", state);
        }
        query.append_pair("iss", issuer.as_str());
        let separator = if self.redirect_uri.contains('?') { '&' } else { '?' };
        format!("{}{separator}{}", self.redirect_uri, query.finish())
    }

    /// The address with a refusal.
    pub fn refusal(&self, issuer: &Issuer, error: &OauthError) -> String {
        self.with(issuer, &[("error", error.code()), ("error_description", error.description())])
    }
}

fn check_destination<'c>(
    parameters: &Parameters,
    clients: &'c Clients,
) -> Result<(&'c Client, Destination), &'static str> {
    if matches!(parameters.repeated(), Some("client_id" | "redirect_uri")) {
        return Err("The link names the application or its address more than once.");
    }
    let client = parameters.get("client_id").and_then(|id| clients.find(id));
    let client = client.ok_or("The link names no application that is known here.")?;
    let given =
        parameters.get("redirect_uri").filter(|given| client.redirect_uris.iter().any(|own| own == given));
    let redirect_uri =
        given.ok_or("The link leads back to an address that the application has not registered.")?;
    let state = parameters.get("state").map(str::to_owned);
    Ok((client, Destination { redirect_uri: redirect_uri.to_owned(), state }))
}

fn check_kind(parameters: &Parameters) -> Result<(), OauthError> {
    for (name, code) in [
        ("request", "request_not_supported"),
        ("request_uri", "request_uri_not_supported"),
        ("registration", "registration_not_supported"),
    ] {
        if parameters.get(name).is_some() {
            return Err(OauthError::new(code, format!("The parameter {name} is not supported.")));
        }
    }
    if parameters.require("response_type")? != "code" {
        return Err(OauthError::new("unsupported_response_type", "The response_type must be code."));
    }
    match parameters.get("response_mode") {
        None | Some("query") => Ok(()),
        Some(_) => Err(OauthError::invalid_request("The response_mode must be query.")),
    }
}

/// Without PKCE a code that leaks could be used by anybody, and `plain` leaks with it (RFC 7636, 7.2).
fn check_challenge(parameters: &Parameters) -> Result<String, OauthError> {
    let challenge = parameters.get("code_challenge");
    let challenge =
        challenge.ok_or_else(|| OauthError::invalid_request("PKCE is needed: code_challenge is missing."))?;
    if parameters.get("code_challenge_method") != Some("S256") {
        return Err(OauthError::invalid_request("The code_challenge_method must be S256."));
    }
    let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if challenge.len() != CHALLENGE_CHARS || !challenge.bytes().all(is_base64url) {
        return Err(OauthError::invalid_request("The code_challenge must be a SHA-256 in base64url."));
    }
    Ok(challenge.to_owned())
}

/// There is no consent and no choice of accounts to ask for: clients are the operator's own.
fn check_prompt(text: &str) -> Result<Prompt, OauthError> {
    let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
    match words[..] {
        ["none"] => Ok(Prompt::Never),
        _ if words.contains(&"none") => {
            Err(OauthError::invalid_request("The prompt none goes with no other."))
        }
        _ if words.contains(&"create") => Ok(Prompt::Create),
        _ if words.contains(&"login") || words.contains(&"select_account") => Ok(Prompt::Always),
        _ => Ok(Prompt::WhenNeeded),
    }
}

fn check_max_age(text: Option<&str>) -> Result<Option<i64>, OauthError> {
    let Some(text) = text else { return Ok(None) };
    match text.parse::<u32>() {
        Ok(seconds) => Ok(Some(seconds.into())),
        Err(_) => Err(OauthError::invalid_request("The max_age must be a number of seconds.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "client_id=shop&redirect_uri=https%3A%2F%2Fshop.example%2Fback%3Fa%3Db&response_type=code\
        &scope=openid&state=s1&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";

    fn read(query: &str) -> Result<AuthorizationRequest, Fault> {
        let text = r#"[{"id": "shop", "name": "Shop", "redirect_uris": ["https://shop.example/back?a=b"]}]"#;
        let clients = Clients::parse(text, "shop").unwrap();
        AuthorizationRequest::read(&Request::new("GET", &format!("/authorize?{query}")), &clients)
    }

    #[test]
    fn a_good_request_is_read() {
        let asked = read(&format!("{GOOD}&nonce=n1&max_age=60&prompt=login")).unwrap();
        assert_eq!((asked.client.id.as_str(), asked.nonce.as_deref()), ("shop", Some("n1")));
        assert_eq!((asked.max_age_s, asked.prompt), (Some(60), Prompt::Always));
        let again = read(asked.query()).unwrap();
        assert_eq!((again.destination, again.challenge), (asked.destination, asked.challenge));
    }

    #[test]
    fn a_wish_to_sign_up_is_heard_once() {
        let asked = read(&format!("{GOOD}&prompt=create")).unwrap();
        assert_eq!(asked.prompt, Prompt::Create);
        assert_eq!(read(asked.query()).unwrap().prompt, Prompt::WhenNeeded);
    }

    #[test]
    fn nobody_is_sent_to_a_strange_address() {
        for query in [
            String::new(),
            GOOD.replace("client_id=shop", "client_id=other"),
            GOOD.replace("client_id=shop", "client_id="),
            GOOD.replace("shop.example", "evil.example"),
            GOOD.replace("%2Fback", "%2Fback%2F"),
            GOOD.replace("https%3A", "HTTPS%3A"),
            GOOD.replace("a%3Db", "a%3Dc"),
            format!("{GOOD}&redirect_uri=https%3A%2F%2Fevil.example"),
            format!("{GOOD}&client_id=shop"),
        ] {
            assert!(matches!(read(&query), Err(Fault::Untrusted(_))), "{query}");
        }
    }

    #[test]
    fn the_client_is_told_what_is_wrong() {
        let check = |query: String, expected: &str| match read(&query) {
            Err(Fault::Refused(destination, error)) => {
                assert_eq!(error.code(), expected, "{query}");
                let issuer = Issuer::for_tests();
                let place = destination.refusal(&issuer, &error);
                let start = format!("https://shop.example/back?a=b&error={expected}&");
                assert!(place.starts_with(&start) && place.contains("&state=s1&iss="), "{place}");
            }
            other => panic!("{query}: {other:?}"),
        };
        check(GOOD.replace("response_type=code", "response_type=token"), "unsupported_response_type");
        check(GOOD.replace("&response_type=code", ""), "invalid_request");
        check(GOOD.replace("S256", "plain"), "invalid_request");
        check(GOOD.replace("&code_challenge_method=S256", ""), "invalid_request");
        check(GOOD.replace("E9Mel", "E9Me"), "invalid_request");
        check(GOOD.replace("E9Mel", "E9Me%2B"), "invalid_request");
        check(GOOD.replace("scope=openid", "scope=openid+admin"), "invalid_scope");
        check(format!("{GOOD}&scope=openid"), "invalid_request");
        check(format!("{GOOD}&prompt=none+login"), "invalid_request");
        check(format!("{GOOD}&prompt=create+none"), "invalid_request");
        check(format!("{GOOD}&max_age=-1"), "invalid_request");
        check(format!("{GOOD}&response_mode=fragment"), "invalid_request");
        check(format!("{GOOD}&request=x"), "request_not_supported");
        check(format!("{GOOD}&request_uri=x"), "request_uri_not_supported");
        check(format!("{GOOD}&nonce={}", "n".repeat(2_000)), "invalid_request");
    }
}
