//! Responses, also such as no server should send.

use wasip2::http::types::{Fields, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasip2::io::streams::StreamError;

use crate::query::Query;

/// What one `blocking-write-and-flush` may hold, by the interface.
const CHUNK_BYTES: usize = 4096;

/// Tells which fields of a response the host did not take.
const REFUSED: &str = "x-refused";

/// A text.
pub fn text(text: &str, out: ResponseOutparam) {
    respond(200, Fields::new(), text.as_bytes(), None, out);
}

/// Says what it is told to: `status`, so many `bytes`, and each `field` and `trailer` as `name:value`, in the bytes
/// that were sent. With `trap` it traps after its body. Fields that the host refuses are named in `x-refused`.
pub fn say(query: &Query, out: ResponseOutparam) {
    let (fields, refused) = fields(query, "field");
    if !refused.is_empty() {
        let named = refused.join(" ").into_bytes();
        let named = named.into_iter().map(|byte| if byte.is_ascii_graphic() { byte } else { b'?' });
        let _ = fields.append(REFUSED, &named.collect::<Vec<_>>());
    }
    let trailers = query.all("trailer").next().is_some().then(|| fields_of(query, "trailer"));
    let body = vec![b'x'; query.number("bytes", 0)];
    let status = query.number("status", 200);
    respond(status, fields, &body, trailers, out);
    assert!(query.text("trap").is_empty(), "the guest traps late, as it was asked to");
}

fn respond(status: u16, fields: Fields, bytes: &[u8], trailers: Option<Fields>, out: ResponseOutparam) {
    let response = OutgoingResponse::new(fields);
    if response.set_status_code(status).is_err() {
        println!("the host refuses the status {status}");
    }
    let Ok(body) = response.body() else { return };
    ResponseOutparam::set(out, Ok(response));
    if let Err(error) = write(&body, bytes) {
        println!("the body broke off: {error:?}");
    }
    if let Err(error) = OutgoingBody::finish(body, trailers) {
        println!("the body could not be finished: {error:?}");
    }
}

fn write(body: &OutgoingBody, bytes: &[u8]) -> Result<(), StreamError> {
    let Ok(stream) = body.write() else { return Ok(()) };
    bytes.chunks(CHUNK_BYTES).try_for_each(|chunk| stream.blocking_write_and_flush(chunk))
}

fn fields_of(query: &Query, name: &str) -> Fields {
    fields(query, name).0
}

/// The fields that the host takes, and the names of the others.
fn fields(query: &Query, name: &str) -> (Fields, Vec<String>) {
    let asked: Vec<_> = query.all(name).filter_map(|field| field.split_once(':')).collect();
    let list: Vec<_> =
        asked.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    // First as one list, which is another way into the host than field by field.
    if let Ok(fields) = Fields::from_list(&list) {
        return (fields, Vec::new());
    }
    let fields = Fields::new();
    let refused = list.into_iter().filter(|(name, value)| fields.append(name, value).is_err());
    let refused = refused.map(|(name, _)| name).collect();
    (fields, refused)
}
