//! What a client asks for: words (RFC 6749, 3.3).

use std::fmt;

use super::failure::OauthError;

/// More words than any client needs; each of them stands in every token.
const WORDS_MAX: usize = 50;

/// What asks for an ID token.
const OPENID: &str = "openid";

/// The words that only make sense with a user.
const OF_USERS: [&str; 4] = [OPENID, "profile", "email", "offline_access"];

/// A set of words, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope(Vec<String>);

impl Scope {
    /// The words of a text.
    pub fn new(text: &str) -> Self {
        let mut words: Vec<String> = Vec::new();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            if !words.iter().any(|known| known == word) {
                words.push(word.to_owned());
            }
        }
        Self(words)
    }

    /// What a client may have of what it asks for: all of it, or it is refused. All that it may have, when it asks for
    /// nothing in particular.
    ///
    /// # Errors
    /// When it asks for more than it may have.
    pub fn granted(asked: Option<&str>, allowed: &[String]) -> Result<Self, OauthError> {
        let Some(asked) = asked.map(Self::new) else {
            return Ok(Self(allowed.to_vec()));
        };
        if asked.0.len() > WORDS_MAX || !asked.0.iter().all(|word| allowed.contains(word)) {
            return Err(OauthError::new("invalid_scope", "The client may not ask for all of this scope."));
        }
        Ok(asked)
    }

    /// Those that a client may ask for in its own name.
    pub fn without_user(allowed: &[String]) -> Vec<String> {
        allowed.iter().filter(|word| !OF_USERS.contains(&word.as_str())).cloned().collect()
    }

    /// The words.
    pub fn words(&self) -> &[String] {
        &self.0
    }

    /// Whether it has this word.
    pub fn has(&self, word: &str) -> bool {
        self.0.iter().any(|own| own == word)
    }

    /// Whether it asks for an ID token.
    pub fn is_openid(&self) -> bool {
        self.has(OPENID)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_all_that_it_asks_for_or_nothing() {
        let allowed = ["openid", "email", "orders"].map(str::to_owned);
        let check = |asked: Option<&str>, expected: Option<&str>| {
            let granted = Scope::granted(asked, &allowed).ok().map(|scope| scope.to_string());
            assert_eq!(granted.as_deref(), expected, "{asked:?}");
        };
        check(None, Some("openid email orders"));
        check(Some("orders openid orders"), Some("orders openid"));
        check(Some("openid  email"), Some("openid email"));
        check(Some("openid admin"), None);
        check(Some("OpenID"), None);
        assert_eq!(Scope::without_user(&allowed), ["orders"]);
        assert!(Scope::new("openid").is_openid() && !Scope::new("orders").is_openid());
    }
}
