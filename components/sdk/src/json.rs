//! JSON text to types, with errors that a client can act on.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::error::{Error, Result};
use crate::problem::Problem;

/// Reads a document: 400 when it is no JSON, 422 when it is JSON of another shape.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    serde_json::from_slice(text).map_err(|error| {
        let problem = match error.classify() {
            Category::Data => Problem::unprocessable(format!("The JSON does not fit: {error}.")),
            _ if text.is_empty() => Problem::bad_request("The body is empty; it should be JSON."),
            _ => Problem::bad_request(format!("The body is no JSON: {error}.")),
        };
        problem.into()
    })
}

/// Writes a value; fails only for what JSON can not say, such as a map whose keys are no text.
pub fn write<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::internal(format!("the answer is no JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_is_400_and_misshapen_is_422() {
        let check = |text: &str, status: u16| {
            let error = parse::<Vec<i64>>(text.as_bytes()).unwrap_err();
            assert_eq!(error.into_problem().status(), status, "{text}");
        };
        check("", 400);
        check("[1, 2", 400);
        check("[1, 2] 3", 400);
        check("{\"a\": 1}", 422);
        check("[1.5]", 422);
        check("[99999999999999999999]", 422);
    }
}
