//! How a client proves who it is (RFC 6749, 2.3): by its secret in the header or in the form, or not at all when it can
//! keep none.

use base64ct::{Base64, Encoding};
use hostel_sdk::Request;
use percent_encoding::percent_decode_str;

use super::failure::{Failure, OauthError};
use super::parameters::Parameters;
use crate::config::{Client, Clients};

/// What a request says of its client.
#[derive(Debug, PartialEq, Eq)]
struct Claim {
    id: String,
    secret: Option<String>,
}

/// The client that sends this request.
///
/// # Errors
/// When it does not prove that it is the one that it names.
pub fn authenticate<'c>(
    request: &Request,
    form: &Parameters,
    clients: &'c Clients,
) -> Result<&'c Client, Failure> {
    let claim = claim(request.header("authorization"), form)?;
    let refused = || OauthError::invalid_client("The client is unknown or its secret is wrong.");
    let client = clients.find(&claim.id).ok_or_else(refused)?;
    let is_proven = match &claim.secret {
        Some(secret) => client.has_secret(secret)?,
        None => !client.is_confidential(),
    };
    if is_proven { Ok(client) } else { Err(refused().into()) }
}

fn claim(header: Option<&str>, form: &Parameters) -> Result<Claim, OauthError> {
    let in_form = form.get("client_id").map(str::to_owned);
    let secret = form.get("client_secret").map(str::to_owned);
    let Some(header) = header else {
        let id = in_form.ok_or_else(|| OauthError::invalid_client("The client does not say who it is."))?;
        return Ok(Claim { id, secret });
    };
    if secret.is_some() {
        return Err(OauthError::invalid_request("The client proves itself in two ways at once."));
    }
    let claim =
        basic(header).ok_or_else(|| OauthError::invalid_client("The Authorization header is malformed."))?;
    if in_form.is_some_and(|id| id != claim.id) {
        return Err(OauthError::invalid_request("The form names another client than the header."));
    }
    Ok(claim)
}

/// Id and secret are encoded as in a form, then joined, then encoded again.
fn basic(header: &str) -> Option<Claim> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(Base64::decode_vec(credentials.trim()).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    Some(Claim { id: decode(id)?, secret: Some(decode(secret)?) })
}

fn decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_names_itself_in_one_way() {
        let check = |header: Option<&str>, form: &str, expected: Result<(&str, Option<&str>), &str>| {
            let request = Request::new("GET", &format!("/?{form}"));
            let form = Parameters::of_query(&request, &["client_id", "client_secret"]);
            let found = claim(header, &form);
            let found = found.as_ref().map(|claim| (claim.id.as_str(), claim.secret.as_deref()));
            assert_eq!(found.map_err(OauthError::code), expected, "{header:?} {form:?}");
        };
        let header = |pair: &str| format!("Basic {}", Base64::encode_string(pair.as_bytes()));
        check(None, "client_id=a&client_secret=b", Ok(("a", Some("b"))));
        check(None, "client_id=a", Ok(("a", None)));
        check(None, "", Err("invalid_client"));
        check(Some(&header("a:b")), "", Ok(("a", Some("b"))));
        check(Some(&header("a:b")), "client_id=a", Ok(("a", Some("b"))));
        check(Some(&header("a%3Ab:c+d%2B")), "", Ok(("a:b", Some("c d+"))));
        check(Some(&header("a:b:c")), "", Ok(("a", Some("b:c"))));
        check(Some(&header("a:b")), "client_id=x", Err("invalid_request"));
        check(Some(&header("a:b")), "client_id=a&client_secret=b", Err("invalid_request"));
        check(Some(&header("a")), "", Err("invalid_client"));
        check(Some("Basic !"), "", Err("invalid_client"));
        check(Some("Bearer abc"), "client_id=a", Err("invalid_client"));
    }
}
