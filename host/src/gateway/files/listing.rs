//! The list of a folder as a page. Names of files are anybody's: each is escaped.

use std::fmt::Write;

use http::{HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::place::{ENTRIES_MAX, Folder};
use crate::body::{self, Response};

/// What is encoded in a link: all but what has no meaning anywhere in an address.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The answer with the list of a folder that was asked for at this path.
pub fn answer(folder: &Folder, path: &str) -> Response {
    let mut response = Response::new(body::full(page(folder, path)));
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn page(folder: &Folder, path: &str) -> String {
    let title = escape(&percent_decode_str(path).decode_utf8_lossy());
    let mut rows = String::new();
    if !folder.is_root {
        rows.push_str("<tr><td><a href=\"../\">../</a><td>\n");
    }
    for entry in &folder.entries {
        let (end, size) = match entry.bytes {
            None => ("/", String::new()),
            Some(bytes) => ("", bytes.to_string()),
        };
        let link = utf8_percent_encode(&entry.name, NAME);
        let name = escape(&entry.name);
        // Writing to a string cannot fail.
        let _ = writeln!(rows, "<tr><td><a href=\"{link}{end}\">{name}{end}</a><td align=right>{size}");
    }
    let cut =
        if folder.is_cut { format!("<p>Only {ENTRIES_MAX} entries are shown.</p>") } else { String::new() };
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{title}</title><h1>{title}</h1><table>\n{rows}</table>{cut}</html>\n"
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::files::place::Entry;

    #[test]
    fn names_are_escaped_in_text_and_link() {
        let name = "<img src=x onerror=\"alert('1')\">&:.txt";
        let entries =
            vec![Entry { bytes: None, name: "a b".into() }, Entry { bytes: Some(7), name: name.into() }];
        let page = page(&Folder { is_root: false, entries, is_cut: true }, "/x/%3Cscript%3E/");
        assert!(!page.contains("<img") && !page.contains("<script>") && !page.contains("alert('"), "{page}");
        assert!(page.contains("<h1>/x/&lt;script&gt;/</h1>"), "{page}");
        assert!(page.contains("<a href=\"a%20b/\">a b/</a>"), "{page}");
        assert!(page.contains("<a href=\"../\">") && page.contains("Only 1000"), "{page}");
        assert!(page.contains("%26%3A.txt\">&lt;img"), "{page}");
    }
}
