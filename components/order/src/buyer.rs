//! For whom a request is.

use hostel_sdk::{Caller, Problem};

use crate::OPERATORS;

/// The customer who is named, or the caller itself.
///
/// # Errors
/// 401 when nobody is named and the caller is unknown, 403 when another is named than the caller.
pub fn of<'a>(caller: &Caller<'a>, named: Option<&'a str>) -> Result<&'a str, Problem> {
    let Some(named) = named else { return caller.require_subject() };
    caller.require_owner(named, OPERATORS)?;
    Ok(named)
}

#[cfg(test)]
mod tests {
    use hostel_sdk::Request;
    use hostel_sdk::http::Headers;

    use super::*;

    #[test]
    fn a_caller_buys_for_oneself_and_an_operator_for_everybody() {
        let check = |scopes: &str, named: Option<&str>, expected: Result<&str, u16>| {
            let mut headers = Headers::new();
            headers.set("hostel-subject", "ada");
            headers.set("hostel-scopes", scopes);
            let request = Request::new("GET", "/api/orders").with_headers(headers);
            let found = of(&request.caller(), named).map_err(|problem| problem.status());
            assert_eq!(found, expected, "{scopes:?} {named:?}");
        };
        check("", None, Ok("ada"));
        check("", Some("ada"), Ok("ada"));
        check("openid", Some("eve"), Err(403));
        check("shop", Some("eve"), Ok("eve"));
        let unknown = Request::new("GET", "/api/orders");
        assert_eq!(of(&unknown.caller(), None).unwrap_err().status(), 401);
    }
}
