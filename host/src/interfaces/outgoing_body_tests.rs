//! Tests of the bodies that guests give.

use futures::future::FutureExt;

use super::*;

fn begin(length: Option<&'static str>, of: StreamContext) -> Option<(OutgoingBody, WasiBody)> {
    let headers = length.map(|length| (CONTENT_LENGTH, length.parse().unwrap()));
    let mut reader = None;
    let body = OutgoingBody::begin(&headers.into_iter().collect(), &mut reader, of, None)?;
    Some((body, reader.unwrap()))
}

fn response(length: Option<&'static str>) -> (OutgoingBody, DynOutputStream, WasiBody) {
    let (mut body, reader) = begin(length, StreamContext::Response).unwrap();
    let output = body.output.take().unwrap();
    (body, output, reader)
}

#[tokio::test]
async fn pieces_come_in_order_to_who_takes_them_one_by_one() {
    const PIECES: u8 = 100;
    let (body, mut output, mut reader) = response(None);
    let writing = tokio::spawn(async move {
        for piece in 0..PIECES {
            output.ready().await;
            assert!(output.check_write().unwrap() > 0);
            output.write(vec![piece; 3].into()).unwrap();
        }
        drop(output);
        let mut trailers = FieldMap::new_mutable(1024);
        trailers.append_raw(http::HeaderName::from_static("x-sum"), "7".parse().unwrap()).unwrap();
        body.finish(Some(trailers)).unwrap();
    });
    for piece in 0..PIECES {
        let frame = reader.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), vec![piece; 3]);
    }
    assert_eq!(reader.frame().await.unwrap().unwrap().into_trailers().unwrap()["x-sum"], "7");
    assert!(reader.frame().await.is_none());
    writing.await.unwrap();
}

#[tokio::test]
async fn who_writes_waits_for_room_and_learns_that_nobody_reads() {
    let (_body, mut output, reader) = response(None);
    (0..2).for_each(|_| output.write("x".into()).unwrap());
    assert_eq!(output.check_write().unwrap(), 0);
    assert!(matches!(output.write("x".into()), Err(StreamError::Trap(_))));
    assert!(output.ready().now_or_never().is_none());
    let waiting = tokio::spawn(async move {
        output.ready().await;
        output
    });
    tokio::task::yield_now().await;
    drop(reader);
    let mut output = waiting.await.unwrap();
    assert!(matches!(output.check_write(), Err(StreamError::Closed)));
    assert!(matches!(output.write("x".into()), Err(StreamError::Closed)));
}

#[tokio::test]
async fn a_body_has_the_length_that_was_announced_or_is_cut() {
    let (body, mut output, reader) = response(Some("3"));
    output.write("abc".into()).unwrap();
    body.finish(None).unwrap();
    assert_eq!(reader.collect().await.unwrap().to_bytes(), "abc");
    let (body, mut output, reader) = response(Some("3"));
    output.write("ab".into()).unwrap();
    assert!(matches!(output.write("cd".into()), Err(StreamError::LastOperationFailed(_))));
    assert!(matches!(body.finish(None), Err(ErrorCode::HttpResponseBodySize(Some(2)))));
    assert!(reader.collect().await.is_err());
    for wrong in ["", "+3", "three"] {
        assert!(begin(Some(wrong), StreamContext::Response).is_none(), "{wrong}");
    }
}

#[tokio::test]
async fn what_is_given_up_is_not_whole_and_a_request_neither_when_its_instance_is_gone() {
    let (body, _output, reader) = response(None);
    body.abort();
    assert!(reader.collect().await.is_err());
    let (body, _output, reader) = response(None);
    drop(body);
    assert_eq!(reader.collect().await.unwrap().to_bytes(), "", "the end of the call tells");
    let (body, reader) = begin(None, StreamContext::Request).unwrap();
    drop(body);
    assert!(reader.collect().await.is_err());
}

#[test]
fn a_message_has_one_body() {
    let (_, reader) = begin(None, StreamContext::Request).unwrap();
    let again = OutgoingBody::begin(&HeaderMap::new(), &mut Some(reader), StreamContext::Request, None);
    assert!(again.is_none());
}
