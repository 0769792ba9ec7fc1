//! Memory from mimalloc, asked for the short way: the crate of that name asks for each piece as one of special alignment,
//! which takes three calls and, above a kilobyte, a search.
#![allow(unsafe_code, reason = "an allocator hands out raw memory")]

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_realloc_aligned, mi_zalloc, mi_zalloc_aligned,
};

/// Every piece of mimalloc is aligned to this, where addresses have 64 bits.
const ALIGN: usize = 8;
const _: () = assert!(size_of::<usize>() == ALIGN);

/// Every piece of at least so many bytes is aligned to that (`MI_MAX_ALIGN_SIZE`).
const LARGE_ALIGN: usize = 16;

/// The allocator of the host.
pub struct Allocator;

/// Whether a piece is aligned as it is to be without asking for it.
fn is_plain(size: usize, align: usize) -> bool {
    align <= ALIGN || (align <= LARGE_ALIGN && size >= LARGE_ALIGN)
}

// SAFETY: mimalloc keeps the contract; `is_plain` holds for what it aligns by itself.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: see above.
        unsafe { if is_plain(size, align) { mi_malloc(size) } else { mi_malloc_aligned(size, align) } }.cast()
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: see above.
        unsafe { if is_plain(size, align) { mi_zalloc(size) } else { mi_zalloc_aligned(size, align) } }.cast()
    }

    #[inline]
    unsafe fn dealloc(&self, piece: *mut u8, _: Layout) {
        // SAFETY: it came from mimalloc.
        unsafe { mi_free(piece.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let (piece, align) = (piece.cast(), layout.align());
        // SAFETY: it came from mimalloc, and keeps its alignment.
        unsafe {
            if is_plain(size, align) {
                mi_realloc(piece, size)
            } else {
                mi_realloc_aligned(piece, size, align)
            }
        }
        .cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_aligned_and_keeps_its_bytes_as_it_grows() {
        for align in (0..8).map(|power| 1 << power) {
            for size in (1..70).chain([500, 1025, 9000, 70_000]) {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: each piece is written within its size and given back once, as what it is by then.
                unsafe {
                    let zeroed = Allocator.alloc_zeroed(layout);
                    let piece = Allocator.alloc(layout);
                    assert!(
                        [zeroed, piece].iter().all(|piece| piece.addr().is_multiple_of(align)),
                        "{layout:?}"
                    );
                    assert!((0..size).all(|at| zeroed.add(at).read() == 0), "{layout:?}");
                    piece.write_bytes(7, size);
                    let grown = Allocator.realloc(piece, layout, 3 * size);
                    assert!(grown.addr().is_multiple_of(align), "{layout:?}");
                    assert!((0..size).all(|at| grown.add(at).read() == 7), "{layout:?}");
                    Allocator.dealloc(grown, Layout::from_size_align(3 * size, align).unwrap());
                    Allocator.dealloc(zeroed, layout);
                }
            }
        }
    }
}
