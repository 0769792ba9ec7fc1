//! Becoming a customer.

use hostel_sdk::database::{self, Transaction};
use hostel_sdk::{Error, Problem, Request, Response, Result, id, idempotency, params, time};
use serde::{Deserialize, Serialize};

/// Long enough for any name, short enough for any label.
const NAME_CHARS_MAX: usize = 200;

/// The longest e-mail address that can be delivered to (RFC 5321, 4.5.3.1.3).
const EMAIL_BYTES_MAX: usize = 254;

/// A customer as clients see it.
#[derive(Debug, Serialize, Deserialize)]
struct Customer {
    id: String,
    name: String,
    email: String,
}

/// What somebody says who wants to become one.
#[derive(Debug, Deserialize)]
struct Registration {
    name: String,
    email: String,
}

/// `POST /api/customers`; a service's client may send an Idempotency-Key.
pub fn register(request: &Request) -> Result<Response> {
    let once = idempotency::of(request, "customers")?;
    if let Some(answer) = once.answered()? {
        return Ok(answer);
    }
    let Registration { name, email } = request.json()?;
    let (name, email) = (name.trim().to_owned(), email.trim().to_owned());
    check(&name, &email)?;
    let customer = Customer { id: id::new(), name, email };
    once.run(|transaction| add(transaction, &customer))
}

/// `GET /api/customers/{id}`.
pub fn show(request: &Request) -> Result<Response> {
    let id = request.parameter("id")?;
    let sql = "SELECT id, name, email FROM customers WHERE id = $1";
    let customer: Option<Customer> = database::query_first(sql, params![id])?;
    Response::ok(&customer.ok_or_else(|| unknown(id))?)
}

/// The answer for an id that nobody has.
pub fn unknown(id: &str) -> Problem {
    Problem::not_found(format!("There is no customer {id}."))
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
    Response::created(&format!("/api/customers/{}", customer.id), customer)
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
    use super::*;

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
