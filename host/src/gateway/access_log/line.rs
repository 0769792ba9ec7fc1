//! What stands in a line of the access log.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use http::{Method, Uri, Version};
use jiff::fmt::temporal::DateTimePrinter;

use crate::gateway::auth::Identity;
use crate::names::VersionNumber;
use crate::telemetry::trace::TraceText;

/// The longest path in a line.
const PATH_BYTES_MAX: usize = 512;

/// The longest method in a line.
const METHOD_BYTES_MAX: usize = 32;

/// A line: in the file a JSON object with a member for each field that there is. Times are UTC, sizes bytes.
#[derive(Debug)]
pub struct Line<'l> {
    /// When the response had ended.
    pub time: jiff::Timestamp,
    /// The address of the client.
    pub client: Cow<'l, str>,
    /// The subject of its certificate.
    pub certificate: Option<&'l str>,
    /// The method; `-` where nothing of the head could be read, as for the next two.
    pub method: &'l str,
    /// The path, without the query, which may hold secrets.
    pub path: Cow<'l, str>,
    /// The version of HTTP.
    pub protocol: &'static str,
    /// The status sent.
    pub status: u16,
    /// Of the response body.
    pub bytes: u64,
    /// From the end of the request head to the end of the response; in the file `duration_ms`, to the microsecond.
    pub duration: Duration,
    /// The pattern of the route.
    pub route: Option<&'l str>,
    /// The service behind it.
    pub service: Option<&'l str>,
    /// The version that answered.
    pub version: Option<VersionNumber>,
    /// The id of the request.
    pub request: &'l str,
    /// Its trace.
    pub trace: TraceText,
    /// Who asked, as far as the route wanted to know.
    pub subject: Option<Cow<'l, str>>,
    /// The name of the refusal, when there was one.
    pub refusal: Option<&'static str>,
    /// Whether the whole response was handed over.
    pub complete: bool,
}

impl Line<'_> {
    /// Appends it as it stands in the file. Member by member, which takes half as long as by serde: that would look at
    /// each letter of the names, too.
    pub fn write_to(&self, text: &mut Vec<u8>) {
        let mut object = Object(text);
        object.plain("{\"time\":\"", "");
        // Writing to memory does not fail.
        let _ = DateTimePrinter::new().print_timestamp(&self.time, &mut *object.0);
        object.plain("\",\"client\":\"", &self.client);
        object.0.push(b'"');
        object.text_if(",\"certificate\":", self.certificate);
        object.text(",\"method\":", self.method);
        object.text(",\"path\":", &self.path);
        object.plain(",\"protocol\":\"", self.protocol);
        object.number("\",\"status\":", self.status.into());
        object.number(",\"bytes\":", self.bytes);
        let micros = u64::try_from(self.duration.as_micros()).unwrap_or(u64::MAX);
        object.number(",\"duration_ms\":", micros / 1000);
        object.0.extend([b'.', digit(micros / 100), digit(micros / 10), digit(micros)]);
        object.text_if(",\"route\":", self.route);
        object.text_if(",\"service\":", self.service);
        if let Some(version) = self.version {
            object.number(",\"version\":", version.0.into());
        }
        object.plain(",\"request\":\"", self.request);
        object.plain("\",\"trace\":\"", self.trace.as_str());
        object.0.push(b'"');
        object.text_if(",\"subject\":", self.subject.as_deref());
        object.text_if(",\"refusal\":", self.refusal);
        let end: &[u8] = if self.complete { b"true}\n" } else { b"false}\n" };
        object.plain(",\"complete\":", "");
        object.0.extend_from_slice(end);
    }
}

/// Members of a JSON object, each behind what stands before its value.
struct Object<'t>(&'t mut Vec<u8>);

impl Object<'_> {
    /// What holds nothing that would have to be escaped.
    fn plain(&mut self, before: &str, value: &str) {
        self.0.extend_from_slice(before.as_bytes());
        self.0.extend_from_slice(value.as_bytes());
    }

    fn number(&mut self, before: &str, value: u64) {
        self.plain(before, itoa::Buffer::new().format(value));
    }

    fn text(&mut self, before: &str, value: &str) {
        self.0.extend_from_slice(before.as_bytes());
        // Nor does this, of a text.
        let _ = serde_json::to_writer(&mut *self.0, value);
    }

    fn text_if(&mut self, before: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(before, value);
        }
    }
}

fn digit(number: u64) -> u8 {
    b'0' + (number % 10) as u8
}

/// An address as a line has it.
pub fn client_text(address: IpAddr) -> Cow<'static, str> {
    address.to_canonical().to_string().into()
}

/// A method as a line has it.
pub fn method_text(method: &Method) -> &str {
    // A method is a token: one byte a character.
    &method.as_str()[..method.as_str().len().min(METHOD_BYTES_MAX)]
}

/// The path of a target as a line has it.
pub fn path_text(target: &Uri) -> Cow<'_, str> {
    cut(target.path())
}

/// A version of HTTP as a line has it.
pub fn protocol_text(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        _ => "HTTP/2.0",
    }
}

/// Who asks as a line has it.
pub fn subject_text(identity: &Identity) -> Cow<'_, str> {
    cut(&identity.subject)
}

/// What a client sent, escaped and bounded.
fn cut(text: &str) -> Cow<'_, str> {
    let text = &text[..text.floor_char_boundary(PATH_BYTES_MAX)];
    // As most are: to escape one character by one takes longer than to write the rest of the line.
    let is_plain =
        text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\'' | b'\\'));
    if is_plain { text.into() } else { text.escape_default().to_string().into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::trace::TraceContext;

    #[test]
    fn a_line_is_an_object_whatever_stands_in_it() {
        let hostile = "a\"b\\c\n\u{1}\u{e9}";
        let mut line = Line {
            time: "2026-11-30T16:30:05.25Z".parse().unwrap(),
            client: client_text("::ffff:192.0.2.7".parse().unwrap()),
            certificate: Some(hostile),
            method: "GET",
            path: hostile.into(),
            protocol: "HTTP/1.1",
            status: 200,
            bytes: 7,
            duration: Duration::from_nanos(12_034_567),
            route: Some(hostile),
            service: Some("order"),
            version: Some(VersionNumber(3)),
            request: "0195",
            trace: TraceContext::new().trace_text(),
            subject: Some(hostile.into()),
            refusal: Some("none"),
            complete: true,
        };
        let read = |line: &Line<'_>| {
            let mut text = Vec::new();
            line.write_to(&mut text);
            assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), 1);
            serde_json::from_slice::<serde_json::Value>(&text).unwrap()
        };
        let expected = serde_json::json!({
            "time": "2026-11-30T16:30:05.25Z",
            "client": "192.0.2.7",
            "certificate": hostile,
            "method": "GET",
            "path": hostile,
            "protocol": "HTTP/1.1",
            "status": 200,
            "bytes": 7,
            "duration_ms": 12.034,
            "route": hostile,
            "service": "order",
            "version": 3,
            "request": "0195",
            "trace": line.trace.as_str(),
            "subject": hostile,
            "refusal": "none",
            "complete": true,
        });
        assert_eq!(read(&line), expected);
        (line.certificate, line.route, line.service) = (None, None, None);
        (line.version, line.subject, line.refusal, line.complete) = (None, None, None, false);
        let read = read(&line);
        for absent in ["certificate", "route", "service", "version", "subject", "refusal"] {
            assert!(read.get(absent).is_none(), "{absent}");
        }
        assert_eq!(read["complete"], false);
    }
}
