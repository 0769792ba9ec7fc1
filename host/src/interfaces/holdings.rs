//! What the host holds for a guest beside its memory: resources, header fields, buffers of bodies.

use std::any::Any;

use http::HeaderMap;
use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::p2::bindings::http::types::{Method, Scheme};
use wasmtime_wasi_http::p2::types::{
    HostFutureIncomingResponse, HostIncomingResponse, HostOutgoingRequest, HostOutgoingResponse,
};
use wasmtime_wasi_http::{FieldMap, p3};

use crate::interfaces::outgoing_body::OutgoingBody;

/// What a guest may write into one body before somebody takes it out; the buffer holds two such pieces.
pub const BODY_PIECE_BYTES: usize = 64 * 1024;

/// What each resource costs with its place in the table.
const RESOURCE_BYTES: u64 = 256;

/// What a header field costs beside its text.
const FIELD_BYTES: usize = 64;

/// What the resources of a guest cost the host, about; dear kinds are counted by what they contain.
pub fn bytes(table: &mut ResourceTable) -> u64 {
    table.iter_mut().map(|resource| RESOURCE_BYTES + content(resource) as u64).sum()
}

fn content(resource: &dyn Any) -> usize {
    if let Some(fields) = resource.downcast_ref::<FieldMap>() {
        return text(fields);
    }
    if let Some(request) = resource.downcast_ref::<HostOutgoingRequest>() {
        return text(&request.headers) + target(request) + body(request.body.is_some());
    }
    if let Some(response) = resource.downcast_ref::<HostOutgoingResponse>() {
        return text(&response.headers) + body(response.body.is_some());
    }
    if let Some(response) = resource.downcast_ref::<HostIncomingResponse>() {
        return text(&response.headers) + body(response.body.is_some());
    }
    if let Some(request) = resource.downcast_ref::<p3::Request>() {
        return text(&request.headers) + target_p3(request);
    }
    if let Some(response) = resource.downcast_ref::<p3::Response>() {
        return text(&response.headers);
    }
    body(resource.is::<OutgoingBody>() || resource.is::<HostFutureIncomingResponse>())
}

fn text(fields: &HeaderMap) -> usize {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES).sum()
}

/// What a request asks, and where: each part as long as the guest likes.
fn target(request: &HostOutgoingRequest) -> usize {
    let method = if let Method::Other(name) = &request.method { name.len() } else { 0 };
    let scheme = if let Some(Scheme::Other(name)) = &request.scheme { name.len() } else { 0 };
    let length = |part: &Option<String>| part.as_ref().map_or(0, String::len);
    method + scheme + length(&request.authority) + length(&request.path_with_query)
}

fn target_p3(request: &p3::Request) -> usize {
    let scheme = request.scheme.as_ref().map_or(0, |scheme| scheme.as_str().len());
    let authority = request.authority.as_ref().map_or(0, |authority| authority.as_str().len());
    let path = request.path_with_query.as_ref().map_or(0, |path| path.as_str().len());
    request.method.as_str().len() + scheme + authority + path
}

fn body(is_there: bool) -> usize {
    if is_there { BODY_PIECE_BYTES } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields_count_by_their_text() {
        let mut table = ResourceTable::new();
        assert_eq!(bytes(&mut table), 0);
        let mut fields = FieldMap::new_mutable(1024 * 1024);
        let name = http::HeaderName::from_static("x-large");
        fields.append_raw(name, "a".repeat(10_000).parse().unwrap()).unwrap();
        table.push(fields).unwrap();
        let held = bytes(&mut table);
        assert!((10_000..11_000).contains(&held), "{held}");
        table.push("something small").unwrap();
        assert_eq!(bytes(&mut table), held + RESOURCE_BYTES);
    }
}
