//! A user.

use hostel_sdk::database::{self, Transaction};
use hostel_sdk::{Error, Result, id, params};
use serde::Deserialize;

use super::password::Hash;

/// More would not fit this provider's database; whoever has them wants another one.
const USERS_MAX: i64 = 1_000_000;

/// Long enough for any name, short enough for any label.
const NAME_CHARS_MAX: usize = 200;

/// The longest e-mail address that can be delivered to (RFC 5321, 4.5.3.1.3).
const EMAIL_BYTES_MAX: usize = 254;

/// A user as clients may know it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct User {
    pub id: String,
    pub email: String,
    pub name: String,
}

/// Somebody who wants to be one, checked.
#[derive(Debug)]
pub struct Registration {
    email: String,
    name: String,
}

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    user: User,
    password: String,
}

impl User {
    /// The user of this id.
    ///
    /// # Errors
    /// Those of the database.
    pub fn find(id: &str) -> Result<Option<Self>> {
        Ok(database::query_first("SELECT id, email, name FROM users WHERE id = $1", params![id])?)
    }

    /// The user of this address, and the hash of the password.
    ///
    /// # Errors
    /// Those of the database.
    pub fn with_password(email: &str) -> Result<Option<(Self, Hash)>> {
        let sql = "SELECT id, email, name, password FROM users WHERE email_key = $1";
        let row: Option<Row> = database::query_first(sql, params![email_key(email)])?;
        Ok(row.map(|row| (row.user, Hash(row.password))))
    }

    /// Adds a user; none when the address is taken.
    ///
    /// # Errors
    /// Those of the database, and when there are too many users.
    pub fn add(
        transaction: &Transaction,
        registration: Registration,
        password: &Hash,
        now_ms: i64,
    ) -> Result<Option<Self>> {
        let count: Option<i64> = transaction.query_first("SELECT count(*) FROM users", params![])?;
        if count.is_some_and(|count| count >= USERS_MAX) {
            return Err(Error::internal(format!("there are {USERS_MAX} users, as many as may be")));
        }
        let user = Self { id: id::new(), email: registration.email, name: registration.name };
        let sql = "INSERT INTO users (id, email, email_key, name, password, made_ms)
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let key = email_key(&user.email);
        let values = params![&user.id, &user.email, key, &user.name, &password.0, now_ms];
        match transaction.execute(sql, values) {
            Ok(_) => Ok(Some(user)),
            Err(error) if error.is_duplicate() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Registration {
    /// Checks what somebody wrote; the fault is for them to read.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(email: &str, name: &str) -> Result<Self, String> {
        let (email, name) = (email.trim(), name.trim());
        if !is_email(email) {
            return Err("An e-mail address looks like ada@example.com.".to_owned());
        }
        if !(1..=NAME_CHARS_MAX).contains(&name.chars().count()) || name.contains(char::is_control) {
            return Err(format!("A name has 1 to {NAME_CHARS_MAX} characters."));
        }
        Ok(Self { email: email.to_owned(), name: name.to_owned() })
    }
}

/// Capitals make no difference in an address.
pub(super) fn email_key(email: &str) -> String {
    email.trim().to_lowercase()
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
    fn a_registration_has_an_address_and_a_name() {
        let check = |email: &str, name: &str, expected: bool| {
            assert_eq!(Registration::new(email, name).is_ok(), expected, "{email:?} {name:?}");
        };
        check("ada@example.com", "Ada Lovelace", true);
        check(" ada+shop@mail.example.co.uk ", "Ж", true);
        check("ada@localhost", "Ada", true);
        check("ada", "Ada", false);
        check("@example.com", "Ada", false);
        check("ada@", "Ada", false);
        check("ada@example..com", "Ada", false);
        check("a da@example.com", "Ada", false);
        check("a@da@example.com", "Ada", false);
        check(&format!("{}@example.com", "a".repeat(250)), "Ada", false);
        check("ada@example.com", " ", false);
        check("ada@example.com", "a\nb", false);
        check("ada@example.com", &"x".repeat(201), false);
    }

    #[test]
    fn capitals_and_blanks_make_no_difference() {
        assert_eq!(email_key(" Ada@Example.com"), email_key("ada@example.com"));
    }
}
