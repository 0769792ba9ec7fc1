//! Responses.

use wasip3::clocks::monotonic_clock;
use wasip3::http::types::{ErrorCode, Fields, Response};
use wasip3::{wit_bindgen, wit_future, wit_stream};

use crate::misdeeds;

/// What is answered where nothing else is.
pub const TEXT: &str = "handled";

/// These bytes.
pub fn bytes(bytes: Vec<u8>) -> Result<Response, ErrorCode> {
    let (mut body, contents) = wit_stream::new();
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(Fields::new(), Some(contents), no_trailers);
    wit_bindgen::spawn_local(async move {
        body.write_all(bytes).await;
        drop(body);
        // A client that has left is no fault of the answer.
        let _ = trailers.write(Ok(None)).await;
    });
    Ok(response)
}

/// Of more than the length that it tells before.
pub fn exceeding() -> Result<Response, ErrorCode> {
    let (mut body, contents) = wit_stream::new();
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(of_length(Some(5))?, Some(contents), no_trailers);
    wit_bindgen::spawn_local(async move {
        body.write_all(TEXT.as_bytes().to_vec()).await;
        drop(body);
        // The host may have stopped to read.
        let _ = trailers.write(Ok(None)).await;
    });
    Ok(response)
}

/// Of a length that it tells before, and with a trailer behind it.
pub fn trailing() -> Result<Response, ErrorCode> {
    let (mut body, contents) = wit_stream::new();
    let (trailers, trailing) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(of_length(Some(TEXT.len()))?, Some(contents), trailing);
    wit_bindgen::spawn_local(async move {
        body.write_all(TEXT.as_bytes().to_vec()).await;
        drop(body);
        let fields = Fields::from_list(&[("x-after".to_owned(), b"all".to_vec())]);
        // A client that has left is no fault of the answer.
        let _ = trailers.write(fields.map(Some).map_err(|_| ErrorCode::InternalError(None))).await;
    });
    Ok(response)
}

/// So many pieces, one every so many nanoseconds.
pub fn dripping(count: usize, wait_ns: u64) -> Result<Response, ErrorCode> {
    let (mut body, contents) = wit_stream::new();
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(Fields::new(), Some(contents), no_trailers);
    wit_bindgen::spawn_local(async move {
        for _ in 0..count {
            body.write_all(TEXT.as_bytes().to_vec()).await;
            monotonic_clock::wait_for(wait_ns).await;
        }
        drop(body);
        // A client that has left is no fault of the answer.
        let _ = trailers.write(Ok(None)).await;
    });
    Ok(response)
}

/// Answers well, and computes without end afterwards.
pub fn spinning() -> Result<Response, ErrorCode> {
    let (mut body, contents) = wit_stream::new();
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(Fields::new(), Some(contents), no_trailers);
    wit_bindgen::spawn_local(async move {
        body.write_all(TEXT.as_bytes().to_vec()).await;
        drop(body);
        let _ = trailers.write(Ok(None)).await;
        // The client has all of it by then.
        monotonic_clock::wait_for(100 * crate::MS).await;
        misdeeds::spin();
    });
    Ok(response)
}

/// Begins well, and traps so many nanoseconds after all of it was written; of a `length` that it tells before, or not.
pub fn breaking(length: Option<usize>, wait_ns: u64) -> Result<Response, ErrorCode> {
    let (mut body, contents) = wit_stream::new();
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(of_length(length)?, Some(contents), no_trailers);
    wit_bindgen::spawn_local(async move {
        body.write_all(TEXT.as_bytes().to_vec()).await;
        monotonic_clock::wait_for(wait_ns).await;
        assert!(wait_ns == u64::MAX, "the guest traps late, as it was asked to");
        drop((body, trailers));
    });
    Ok(response)
}

/// The fields of a response that tells its length, or not.
fn of_length(length: Option<usize>) -> Result<Fields, ErrorCode> {
    let field = length.map(|length| ("content-length".to_owned(), length.to_string().into_bytes()));
    Fields::from_list(field.as_slice()).map_err(|_| ErrorCode::InternalError(None))
}
