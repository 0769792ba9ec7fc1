//! Responses.

use wasip3::clocks::monotonic_clock;
use wasip3::http::types::{ErrorCode, Fields, Response};
use wasip3::wit_bindgen::StreamWriter;
use wasip3::{wit_bindgen, wit_future, wit_stream};

use crate::misdeeds;

/// What is answered where nothing else is.
pub const TEXT: &str = "handled";

/// How long after its response who goes on computing begins: the client has all of it by then.
const AFTER_NS: u64 = 100 * crate::MS;

/// These bytes.
pub fn bytes(bytes: Vec<u8>) -> Result<Response, ErrorCode> {
    respond(None, async move |mut body| {
        body.write_all(bytes).await;
        None
    })
}

/// Of a length that it tells before, and with a trailer behind it.
pub fn trailing() -> Result<Response, ErrorCode> {
    respond(Some(TEXT.len()), async |mut body| {
        body.write_all(TEXT.as_bytes().to_vec()).await;
        Fields::from_list(&[("x-after".to_owned(), b"all".to_vec())]).ok()
    })
}

/// Of more than the length that it tells before.
pub fn exceeding() -> Result<Response, ErrorCode> {
    respond(Some(TEXT.len() - 2), async |mut body| {
        body.write_all(TEXT.as_bytes().to_vec()).await;
        None
    })
}

/// So many pieces, one every so many nanoseconds.
pub fn dripping(count: usize, wait_ns: u64) -> Result<Response, ErrorCode> {
    respond(None, async move |mut body| {
        for _ in 0..count {
            body.write_all(TEXT.as_bytes().to_vec()).await;
            monotonic_clock::wait_for(wait_ns).await;
        }
        None
    })
}

/// Begins well, and traps so many nanoseconds after all of it was written; of a `length` that it tells before, or not.
pub fn breaking(length: Option<usize>, wait_ns: u64) -> Result<Response, ErrorCode> {
    respond(length, async move |mut body| {
        body.write_all(TEXT.as_bytes().to_vec()).await;
        monotonic_clock::wait_for(wait_ns).await;
        assert!(wait_ns == u64::MAX, "the guest traps late, as it was asked to");
        None
    })
}

/// Answers well, and computes without end afterwards.
pub fn spinning() -> Result<Response, ErrorCode> {
    wit_bindgen::spawn_local(async {
        monotonic_clock::wait_for(AFTER_NS).await;
        misdeeds::spin()
    });
    bytes(TEXT.as_bytes().to_vec())
}

/// A response whose body is written by `write`, which answers the trailers; of a `length` that it tells before, or not.
fn respond(
    length: Option<usize>,
    write: impl AsyncFnOnce(StreamWriter<u8>) -> Option<Fields> + 'static,
) -> Result<Response, ErrorCode> {
    let (body, contents) = wit_stream::new();
    let (trailers, trailing) = wit_future::new(|| Ok(None));
    let length = length.map(|length| ("content-length".to_owned(), length.to_string().into_bytes()));
    let fields = Fields::from_list(length.as_slice()).map_err(|_| ErrorCode::InternalError(None))?;
    let (response, _sent) = Response::new(fields, Some(contents), trailing);
    wit_bindgen::spawn_local(async move {
        let fields = write(body).await;
        // A client that has left is no fault of the answer.
        let _ = trailers.write(Ok(fields)).await;
    });
    Ok(response)
}
