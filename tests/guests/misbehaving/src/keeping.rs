//! Keeps what was seen, and looks for what others have left.

use std::sync::Mutex;

use crate::query::Query;

/// What the request before has left.
static LEFT: Mutex<String> = Mutex::new(String::new());

/// Bytes of a page of memory.
const PAGE_BYTES: usize = 64 * 1024;

/// Answers the `text` of the request before, and keeps its own.
pub fn remember(query: &Query) -> String {
    let Ok(mut left) = LEFT.lock() else { return String::new() };
    std::mem::replace(&mut left, query.text("text").to_owned())
}

/// Fills `pages` fresh pages of its memory, and leaves them so.
pub fn soil(query: &Query) -> String {
    let pages = query.number("pages", 0);
    grown(pages).map_or("no room".to_owned(), |memory| {
        memory.fill(b'S');
        pages.to_string()
    })
}

/// Answers how many bytes of `pages` fresh pages are not zero.
pub fn sift(query: &Query) -> String {
    let found = grown(query.number("pages", 0));
    found.map_or("no room".to_owned(), |memory| memory.iter().filter(|byte| **byte != 0).count().to_string())
}

#[cfg(target_arch = "wasm32")]
#[allow(
    unsafe_code,
    reason = "fresh pages are to be seen as the host gives them, not as an allocator cleans them"
)]
fn grown(pages: usize) -> Option<&'static mut [u8]> {
    let before = core::arch::wasm32::memory_grow(0, pages);
    // SAFETY: the pages have just been added, and nobody else knows of them.
    (before != usize::MAX).then(|| unsafe {
        std::slice::from_raw_parts_mut((before * PAGE_BYTES) as *mut u8, pages * PAGE_BYTES)
    })
}

#[cfg(not(target_arch = "wasm32"))]
fn grown(pages: usize) -> Option<&'static mut [u8]> {
    Some(vec![0; pages * PAGE_BYTES].leak())
}
