//! Parameters of a query or a form, read strictly: each at most once (RFC 6749, 3.1).

use std::collections::HashSet;

use hostel_sdk::Request;

use super::failure::{Failure, OauthError};

/// The longest form: a token of 8 KiB and all that may stand beside it.
const FORM_BYTES_MAX: usize = 32 * 1024;

const FORM: &str = "application/x-www-form-urlencoded";

/// The parameters of one request.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    pairs: Vec<(String, String)>,
    /// One that stood there more than once.
    repeated: Option<String>,
}

impl Parameters {
    /// Those of the query that have these names.
    pub fn of_query(request: &Request, names: &[&str]) -> Self {
        let of_name = |name: &&str| {
            let name = (*name).to_owned();
            request.queries(&name).map(|value| (name.clone(), value.to_owned())).collect::<Vec<_>>()
        };
        Self::new(names.iter().flat_map(of_name))
    }

    /// Those of the body.
    ///
    /// # Errors
    /// When it is no form, too long, or repeats a parameter.
    pub fn of_form(request: &Request) -> Result<Self, Failure> {
        let kind = request.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case(FORM) {
            return Err(OauthError::invalid_request(format!("The body must be {FORM}.")).into());
        }
        let bytes = request.bytes()?;
        if bytes.len() > FORM_BYTES_MAX {
            return Err(OauthError::invalid_request("The form is too long.").into());
        }
        let parameters = Self::new(form_urlencoded::parse(bytes).into_owned());
        match parameters.repeated {
            Some(_) => Err(OauthError::invalid_request("A parameter stands there more than once.").into()),
            None => Ok(parameters),
        }
    }

    /// The value; an empty one counts as left out (RFC 6749, 3.1).
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(given, value)| given == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// The value of one that must be there.
    ///
    /// # Errors
    /// When it is not.
    pub fn require(&self, name: &'static str) -> Result<&str, OauthError> {
        self.get(name).ok_or_else(|| OauthError::invalid_request(format!("The parameter {name} is missing.")))
    }

    /// A parameter that stood there more than once.
    pub fn repeated(&self) -> Option<&str> {
        self.repeated.as_deref()
    }

    /// The others than this one.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.pairs.retain(|(given, _)| given != name);
        self
    }

    /// The same as a query.
    pub fn to_query(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.pairs).finish()
    }

    fn new(pairs: impl Iterator<Item = (String, String)>) -> Self {
        let pairs: Vec<_> = pairs.collect();
        let mut seen = HashSet::new();
        let repeated = pairs.iter().find(|(name, _)| !seen.insert(name.as_str()));
        let repeated = repeated.map(|(name, _)| name.clone());
        Self { pairs, repeated }
    }
}

#[cfg(test)]
mod tests {
    use hostel_sdk::http::{Body, Headers};

    use super::*;

    fn form(kind: &str, body: &str) -> Result<Parameters, Failure> {
        let mut headers = Headers::new();
        headers.set("content-type", kind);
        let body = Body::from_bytes(body.as_bytes());
        Parameters::of_form(&Request::new("POST", "/token").with_headers(headers).with_body(body))
    }

    #[test]
    fn a_form_is_read_strictly() {
        let good = form("Application/x-www-form-urlencoded; charset=UTF-8", "a=1+2&b=%C3%A4&c=").unwrap();
        assert_eq!((good.get("a"), good.get("b"), good.get("c")), (Some("1 2"), Some("ä"), None));
        assert!(good.require("c").is_err());
        assert!(form(FORM, "a=1&b=2&a=1").is_err());
        assert!(form("application/json", "{}").is_err());
        assert!(form(FORM, &format!("a={}", "x".repeat(FORM_BYTES_MAX))).is_err());
    }

    #[test]
    fn a_query_names_what_is_repeated() {
        let request = Request::new("GET", "/authorize?a=1&b=2&unknown=3&unknown=4&b=2");
        let read = Parameters::of_query(&request, &["a", "b"]);
        assert_eq!((read.get("a"), read.get("unknown"), read.repeated()), (Some("1"), None, Some("b")));
        assert_eq!(Parameters::of_query(&request, &["a"]).to_query(), "a=1");
        assert_eq!(read.without("b").to_query(), "a=1");
    }
}
