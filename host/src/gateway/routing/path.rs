//! The normal form of a request's path, on which the route is decided.
//!
//! Two spellings of one path must never reach two routes, since a policy hangs on the route. Spellings
//! that RFC 3986 calls equal get one form (`%61` is `a`, hexadecimal digits are upper case). Spellings
//! that programs read differently are refused: dot segments, encoded slashes, backslashes, control
//! characters. Empty segments and `;` parameters are common and harmless, so they are let through where
//! every way to read them ([`other_readings`]) reaches the same route.

use std::borrow::Cow;

/// Why a path has no normal form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// It does not begin with one slash.
    #[error("the path must begin with one slash")]
    Start,
    /// A percent sign without two hexadecimal digits.
    #[error("the path has a percent sign without two hexadecimal digits")]
    Percent,
    /// A slash, backslash or control character that a service may decode.
    #[error("the path has an encoded slash, a backslash or a control character")]
    Separator,
    /// A segment `.` or `..`.
    #[error("the path has a segment `.` or `..`; resolve it before sending")]
    Dots,
}

/// The normal form of a path as sent, without its query; borrowed when it is normal already.
pub fn normal_form(raw: &str) -> Result<Cow<'_, str>, PathFault> {
    if !raw.starts_with('/') || raw.starts_with("//") {
        return Err(PathFault::Start);
    }
    let form = if raw.bytes().all(is_plain) { Cow::Borrowed(raw) } else { Cow::Owned(encode(raw)?) };
    if form.split('/').any(|segment| matches!(without_parameters(segment), "." | "..")) {
        return Err(PathFault::Dots);
    }
    Ok(form)
}

/// The other paths as which a program may read this normal form: with empty segments left out, with
/// parameters (`;x`) left out, with both. Empty for a path that can be read in one way only.
pub fn other_readings(normal: &str) -> Vec<String> {
    let empty = normal.contains("//");
    let parameters = normal.contains(';') || normal.contains("%3B");
    let mut readings = Vec::new();
    if empty {
        readings.push(read(normal, true, false));
    }
    if parameters {
        readings.push(read(normal, false, true));
        // Leaving a parameter out may leave an empty segment behind.
        readings.push(read(normal, true, true));
    }
    readings
}

fn encode(raw: &str) -> Result<String, PathFault> {
    let mut form = String::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if is_plain(byte) {
            form.push(char::from(byte));
            continue;
        }
        let decoded = match byte {
            b'%' => percent(bytes.next(), bytes.next()).ok_or(PathFault::Percent)?,
            other => other,
        };
        match decoded {
            b'/' | b'\\' | 0..=0x1f | 0x7f => return Err(PathFault::Separator),
            decoded if is_unreserved(decoded) => form.push(char::from(decoded)),
            decoded => push_percent(&mut form, decoded),
        }
    }
    Ok(form)
}

fn read(normal: &str, without_empty: bool, without_parameter: bool) -> String {
    let mut segments: Vec<&str> = normal
        .split('/')
        .map(|segment| if without_parameter { without_parameters(segment) } else { segment })
        .collect();
    if without_empty {
        let last = segments.len() - 1;
        let mut index = 0;
        segments.retain(|segment| {
            // The first is empty in every path; an empty last one is a slash at the end.
            let keep = index == 0 || index == last || !segment.is_empty();
            index += 1;
            keep
        });
    }
    segments.join("/")
}

fn without_parameters(segment: &str) -> &str {
    // Most have none: to search for a text takes longer than for two characters.
    if !segment.bytes().any(|byte| matches!(byte, b';' | b'%')) {
        return segment;
    }
    let end = [segment.find(';'), segment.find("%3B")].into_iter().flatten().min();
    end.map_or(segment, |end| &segment[..end])
}

fn percent(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high?)? * 16 + digit(low?)?).ok()
}

fn push_percent(form: &mut String, byte: u8) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    form.push('%');
    form.push(DIGITS[usize::from(byte >> 4)]);
    form.push(DIGITS[usize::from(byte & 15)]);
}

/// What stands in a path unencoded (RFC 3986, 3.3).
fn is_plain(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
        || matches!(byte, b':' | b'@' | b'/')
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_spellings_have_one_form() {
        let check = |raw: &str, expected: &str| {
            assert_eq!(normal_form(raw).unwrap(), expected, "{raw}");
        };
        check("/", "/");
        check("/api/orders/7", "/api/orders/7");
        check("/%61pi", "/api");
        check("/a%2db%7e", "/a-b~");
        check("/caf%c3%a9", "/caf%C3%A9");
        check("/café", "/caf%C3%A9");
        check("/a%20b", "/a%20b");
        check("/a%252fb", "/a%252fb");
        check("/{x}|y", "/%7Bx%7D%7Cy");
        check("/a%3bx", "/a%3Bx");
        check("/...", "/...");
        check("/.hidden", "/.hidden");
        check("/a//b/", "/a//b/");
    }

    #[test]
    fn ambiguous_spellings_are_refused() {
        let check = |raw: &str, expected: PathFault| {
            assert_eq!(normal_form(raw), Err(expected), "{raw}");
        };
        for raw in ["", "*", "a", "//", "//admin", "//host/path"] {
            check(raw, PathFault::Start);
        }
        for raw in ["/%", "/%4", "/%zz", "/a%+1", "/a%é1"] {
            check(raw, PathFault::Percent);
        }
        for raw in ["/a%2fb", "/a%2Fb", "/a%5cb", "/a\\b", "/a%00", "/a%0d%0a", "/a%7f"] {
            check(raw, PathFault::Separator);
        }
        for raw in ["/.", "/..", "/a/../b", "/a/./b", "/%2e%2e/b", "/.%2E", "/a/..;x/b", "/..%3b/", "/a/.."] {
            check(raw, PathFault::Dots);
        }
    }

    #[test]
    fn other_readings_leave_out_what_programs_leave_out() {
        let check =
            |normal: &str, expected: &[&str]| assert_eq!(other_readings(normal), expected, "{normal}");
        check("/a/b/", &[]);
        check("/a//b", &["/a/b"]);
        check("/a/b//", &["/a/b/"]);
        check("/a;x/b", &["/a/b", "/a/b"]);
        check("/a%3Bx", &["/a", "/a"]);
        check("/;x/b", &["//b", "/b"]);
        check("/a//b;c", &["/a/b;c", "/a//b", "/a/b"]);
    }
}
