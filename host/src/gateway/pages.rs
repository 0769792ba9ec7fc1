//! Long bytes that are sent to many clients, in pages of the system, which sends them from there.
//!
//! Whatever else is sent is copied for each client first; of 64 KiB that takes a tenth of all the computing for a
//! response, and pushes other things out of the processor's caches. nginx sends files in the same way. HTTP passes
//! nothing on but bytes: who writes them to a socket finds by their address where they lie.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use bytes::Bytes;
use memmap2::{Mmap, MmapOptions};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::process::{Resource, getrlimit};

/// Shorter ones are copied faster than the system is called once more.
pub const BYTES_MIN: usize = 32 * 1024;

/// Longer ones would be copied into their pages for too long on a thread that has other things to do.
const BYTES_MAX: usize = 1 << 20;

/// How many are kept so, as each takes a descriptor and a mapping of the process.
const COUNT_MAX: u64 = 256;

/// The part of the descriptors of the process that is left to them: the most are for connections.
const DESCRIPTORS_PART: u64 = 16;

/// By the address of their first byte.
static ALL: RwLock<BTreeMap<usize, Pages>> = RwLock::new(BTreeMap::new());

/// How many may be kept.
static COUNT_ALLOWED: LazyLock<u64> = LazyLock::new(|| {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    COUNT_MAX.min(descriptors / DESCRIPTORS_PART)
});

/// Pages that hold some bytes.
#[derive(Debug, Clone)]
pub struct Pages {
    /// A file in memory that never changes.
    pub file: Arc<File>,
    /// Where the bytes begin in it.
    pub offset: u64,
    /// How many they are.
    pub length: usize,
}

/// The bytes of pages; who holds them keeps the pages.
struct Mapped(Mmap);

/// The same bytes, in pages where that is of use and possible.
pub fn keep(bytes: Bytes) -> Bytes {
    if !(BYTES_MIN..=BYTES_MAX).contains(&bytes.len()) || count() >= *COUNT_ALLOWED {
        return bytes;
    }
    // They are sent from where they are, only slower.
    map(&bytes).map_or(bytes, Bytes::from_owner)
}

/// The pages in which these bytes lie, if they do.
pub fn find(bytes: &[u8]) -> Option<Pages> {
    let address = bytes.as_ptr().addr();
    let all = ALL.read().unwrap_or_else(PoisonError::into_inner);
    let (start, pages) = all.range(..=address).next_back()?;
    let offset = address - start;
    let is_within = offset + bytes.len() <= pages.length;
    is_within.then(|| Pages { file: pages.file.clone(), offset: offset as u64, length: bytes.len() })
}

fn count() -> u64 {
    ALL.read().unwrap_or_else(PoisonError::into_inner).len() as u64
}

fn map(bytes: &[u8]) -> io::Result<Mapped> {
    let mut file: File = memfd_create("kept", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?.into();
    file.write_all(bytes)?;
    // Nobody has mapped it to write, so that future writes are all; to look for others would take longer.
    let seals = SealFlags::FUTURE_WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&file, seals)?;
    #[allow(unsafe_code, reason = "the file is sealed: nobody can change its bytes or its length any more")]
    let map = unsafe { MmapOptions::new().map_copy_read_only(&file) }?;
    let pages = Pages { file: Arc::new(file), offset: 0, length: bytes.len() };
    ALL.write().unwrap_or_else(PoisonError::into_inner).insert(map.as_ptr().addr(), pages);
    Ok(Mapped(map))
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // Before the address can be another's.
        ALL.write().unwrap_or_else(PoisonError::into_inner).remove(&self.0.as_ptr().addr());
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn long_bytes_are_found_in_their_pages_as_long_as_they_are_kept() {
        let bytes: Vec<u8> = (0..BYTES_MAX).map(|index| (index % 251) as u8).collect();
        let kept = keep(bytes.clone().into());
        assert_eq!(kept, bytes);
        let part = kept.slice(1_000..BYTES_MAX - 1_000);
        drop(kept);
        let pages = find(&part).unwrap();
        let mut read = vec![0; pages.length];
        pages.file.read_exact_at(&mut read, pages.offset).unwrap();
        assert_eq!(read, part);
        assert!(pages.file.write_all_at(b"other", 0).is_err() && pages.file.set_len(0).is_err());
        assert!(find(&bytes).is_none(), "the same bytes elsewhere");
        let address = part.as_ptr().addr() - 1_000;
        drop(part);
        // Another may have taken the address since.
        let all = ALL.read().unwrap();
        assert!(all.get(&address).is_none_or(|other| !Arc::ptr_eq(&other.file, &pages.file)));
    }

    #[test]
    fn what_is_short_or_too_long_stays_where_it_is() {
        for length in [0, BYTES_MIN - 1, BYTES_MAX + 1] {
            let bytes = Bytes::from(vec![b'x'; length]);
            let kept = keep(bytes.clone());
            assert_eq!(kept.as_ptr(), bytes.as_ptr());
            assert!(length == 0 || find(&kept).is_none());
        }
    }
}
