//! Becoming a customer.

use hostel_sdk::database::{self, Transaction};
use hostel_sdk::{Caller, Error, Problem, Request, Response, Result, client, id, idempotency, params, time};
use serde::{Deserialize, Serialize};

use crate::OPERATORS;

/// Long enough for any name, short enough for any label.
const NAME_CHARS_MAX: usize = 200;

/// The longest e-mail address that can be delivered to (RFC 5321, 4.5.3.1.3).
const EMAIL_BYTES_MAX: usize = 254;

const FIND: &str = "SELECT id, name, email FROM customers WHERE id = $1";

/// A customer as clients see it.
#[derive(Debug, Serialize, Deserialize)]
struct Customer {
    id: String,
    name: String,
    email: String,
}

/// What is said of somebody who becomes one: by a request, or by the caller's token.
#[derive(Debug, Default, Deserialize)]
struct Details {
    name: Option<String>,
    email: Option<String>,
}

/// `POST /api/customers`; a service's client may send an Idempotency-Key.
pub fn register(request: &Request) -> Result<Response> {
    let once = idempotency::of(request, "customers")?;
    if let Some(answer) = once.answered()? {
        return Ok(answer);
    }
    let customer = read(&request.caller(), request.json()?)?;
    once.run(|transaction| match transaction.query_first::<Customer>(FIND, params![&customer.id])? {
        Some(known) => Response::ok(&known),
        None => add(transaction, &customer),
    })
}

/// `GET /api/customers/{id}`.
pub fn show(request: &Request) -> Result<Response> {
    let id = request.parameter("id")?;
    request.caller().require_owner(id, OPERATORS)?;
    let customer: Option<Customer> = database::query_first(FIND, params![id])?;
    Response::ok(&customer.ok_or_else(|| unknown(id))?)
}

/// The answer for an id that nobody has.
pub fn unknown(id: &str) -> Problem {
    Problem::not_found(format!("There is no customer {id}."))
}

/// Operators make others customers, under new ids. Everybody else becomes one under its own subject, and its
/// token says what the request leaves out.
fn read(caller: &Caller, said: Details) -> Result<Customer> {
    let (id, known) = if caller.has_scope(OPERATORS) {
        (id::new(), Details::default())
    } else {
        (caller.require_subject()?.to_owned(), caller.claims()?.unwrap_or_default())
    };
    let text = |said: Option<String>, known: Option<String>| {
        said.or(known).map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    let customer = Customer { id, name: text(said.name, known.name), email: text(said.email, known.email) };
    check(&customer.name, &customer.email)?;
    Ok(customer)
}

fn add(transaction: &Transaction, customer: &Customer) -> Result<Response> {
    let sql = "INSERT INTO customers (id, name, email, email_key, made_ms) VALUES ($1, $2, $3, $4, $5)";
    let key = customer.email.to_lowercase();
    let values = params![&customer.id, &customer.name, &customer.email, key, time::now_ms()];
    transaction.execute(sql, values).map_err(|error| {
        if error.is_duplicate() {
            return Problem::conflict(format!("{} is already registered.", customer.email)).into();
        }
        Error::from(error)
    })?;
    Response::created(&format!("/api/customers/{}", client::segment(&customer.id)), customer)
}

fn check(name: &str, email: &str) -> Result<(), Problem> {
    if !(1..=NAME_CHARS_MAX).contains(&name.chars().count()) || name.contains(char::is_control) {
        let detail = format!("A name has 1 to {NAME_CHARS_MAX} characters, and no control characters.");
        return Err(Problem::unprocessable(detail).with("field", "name"));
    }
    if !is_email(email) {
        let detail = "An e-mail address looks like ada@example.com.";
        return Err(Problem::unprocessable(detail).with("field", "email"));
    }
    Ok(())
}

/// Whether it may be an address; only a message that arrives can prove it.
fn is_email(text: &str) -> bool {
    let Some((mailbox, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let is_plain = |part: &str| !part.contains(|c: char| c.is_whitespace() || c.is_control() || c == '@');
    text.len() <= EMAIL_BYTES_MAX
        && !mailbox.is_empty()
        && is_plain(mailbox)
        && is_plain(domain)
        && domain.split('.').all(|label| !label.is_empty())
}

#[cfg(test)]
mod tests {
    use hostel_sdk::http::Headers;

    use super::*;

    fn request(subject: &str, scopes: &str, claims: &str) -> Request {
        let mut headers = Headers::new();
        headers.set("hostel-subject", subject);
        headers.set("hostel-scopes", scopes);
        headers.set("hostel-claims", claims);
        Request::new("POST", "/api/customers").with_headers(headers)
    }

    fn said(name: Option<&str>, email: Option<&str>) -> Details {
        Details { name: name.map(str::to_owned), email: email.map(str::to_owned) }
    }

    #[test]
    fn a_caller_becomes_a_customer_under_its_subject() {
        let request = request("u1", "openid", r#"{"name": "Ada", "email": "ada@example.com", "iat": 7}"#);
        let check = |said: Details, name: &str, email: &str| {
            let customer = read(&request.caller(), said).unwrap();
            assert_eq!((customer.id.as_str(), customer.name.as_str()), ("u1", name));
            assert_eq!(customer.email, email);
        };
        check(said(None, None), "Ada", "ada@example.com");
        check(said(Some(" Ada L. "), None), "Ada L.", "ada@example.com");
        check(said(None, Some("al@example.com")), "Ada", "al@example.com");
    }

    #[test]
    fn an_operator_makes_others_customers() {
        let request = request("operator", "shop", r#"{"name": "O", "email": "o@example.com"}"#);
        let customer = read(&request.caller(), said(Some("Ada"), Some("ada@example.com"))).unwrap();
        assert_ne!(customer.id, "operator");
        let status = |said| read(&request.caller(), said).unwrap_err().into_problem().status();
        assert_eq!(status(said(None, None)), 422);
    }

    #[test]
    fn nobody_becomes_a_customer_unknown_or_without_an_address() {
        let details = || said(Some("Ada"), Some("ada@example.com"));
        let unknown = Request::new("POST", "/api/customers");
        assert_eq!(read(&unknown.caller(), details()).unwrap_err().into_problem().status(), 401);
        let silent = request("u1", "", "{}");
        assert_eq!(read(&silent.caller(), said(Some("Ada"), None)).unwrap_err().into_problem().status(), 422);
    }

    #[test]
    fn addresses_have_a_mailbox_and_a_domain() {
        let check = |text: &str, expected: bool| assert_eq!(is_email(text), expected, "{text:?}");
        check("ada@example.com", true);
        check("ada+shop@mail.example.co.uk", true);
        check("ada@localhost", true);
        check("", false);
        check("ada", false);
        check("@example.com", false);
        check("ada@", false);
        check("ada@example..com", false);
        check("ada@.com", false);
        check("a da@example.com", false);
        check("a@da@example.com", false);
        check(&format!("{}@example.com", "a".repeat(250)), false);
    }

    #[test]
    fn a_name_is_neither_empty_nor_endless() {
        let check = |name: &str, expected: bool| {
            assert_eq!(super::check(name, "ada@example.com").is_ok(), expected, "{name:?}");
        };
        check("Ada Lovelace", true);
        check("Ж", true);
        check("", false);
        check("a\nb", false);
        check(&"x".repeat(201), false);
    }
}
