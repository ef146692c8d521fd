//! Gives back the pages that only a start or a reload needed. Reading arguments and configuration touches most of
//! the program's text, and what runs afterwards little of it; what is needed again comes from the page cache. And it
//! takes several times the memory that a configuration has in the end.
//!
//! The one file with unsafe code.

#![expect(unsafe_code, reason = "madvise(2) and malloc_trim(3) have no safe form")]

use nix::sys::mman::{MmapAdvise, madvise};
use std::ffi::c_void;
use std::fs;
use std::ptr::NonNull;

/// Where this program's code is.
pub(super) struct Code(Vec<(usize, usize)>);

impl Code {
    /// As `/proc` says.
    pub(super) fn find() -> Self {
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let program = fs::read_link("/proc/self/exe").unwrap_or_default();
        Code(maps.lines().filter_map(|line| code(line, &program.to_string_lossy())).collect())
    }

    /// Unmaps it, and allocates nothing. What is needed again comes back by the page, and not by the block of up to
    /// 2 MiB that the page cache may have made of a new file. With memory locked in place nothing happens.
    pub(super) fn give_back(&self) {
        for (start, length) in &self.0 {
            let Some(start) = NonNull::new(std::ptr::with_exposed_provenance_mut::<c_void>(*start)) else {
                continue;
            };
            // SAFETY: it only says how pages come in. A kernel without such blocks refuses, and has none.
            let _ = unsafe { madvise(start, *length, MmapAdvise::MADV_NOHUGEPAGE) };
            // SAFETY: these pages are a private, unwritable mapping of a file, as `/proc` says, and code stays
            // where it is. Whoever runs or reads there next, this very thread included, gets the same bytes from
            // the file again.
            let _ = unsafe { madvise(start, *length, MmapAdvise::MADV_DONTNEED) };
        }
    }
}

/// Gives back whatever nobody has allocated. An allocator that cannot is asked for nothing.
pub(super) fn heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: what is allocated stays as it is and where it is, and other threads wait meanwhile.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}

/// Where the code of `program` is, by a line of `/proc/self/maps`, and its length in bytes. Not its constants:
/// among those are pages that the loader has written to.
fn code(line: &str, program: &str) -> Option<(usize, usize)> {
    let mut words = line.split_whitespace();
    let (range, rights) = (words.next()?, words.next()?);
    let (start, end) = range.split_once('-')?;
    let [start, end] = [start, end].map(|at| usize::from_str_radix(at, 16).ok());
    let is_code = rights == "r-xp" && line.ends_with(program) && words.nth(3) == Some(program);
    is_code.then_some((start?, end?.checked_sub(start?)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn code_that_was_given_back_returns_in_small_pages() {
        Code::find().give_back();
        let program = fs::read_link("/proc/self/exe").unwrap();
        let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
        let mut flags = Vec::new();
        let mut ours = false;
        for line in smaps.lines() {
            if code(line, &program.to_string_lossy()).is_some() {
                ours = true;
            } else if let Some(told) = line.strip_prefix("VmFlags:").filter(|_| std::mem::take(&mut ours)) {
                flags.push(told.to_owned());
            }
        }
        assert!(!flags.is_empty());
        let has_large = Path::new("/sys/kernel/mm/transparent_hugepage").exists();
        assert!(flags.iter().all(|flags| flags.contains(" nh") == has_large), "{flags:?}");
    }

    #[test]
    fn code_is_what_can_be_run_and_not_written_of_this_program_alone() {
        let at = |rights, path| {
            code(&format!("55d0c000-55d0e000 {rights} 00001000 fe:00 77 {path}"), "/usr/bin/locum")
        };
        assert_eq!(at("r-xp", "/usr/bin/locum"), Some((0x55d0_c000, 0x2000)));
        for (rights, path) in [
            ("r--p", "/usr/bin/locum"),
            ("rw-p", "/usr/bin/locum"),
            ("rwxp", "/usr/bin/locum"),
            ("r-xp", "/usr/lib/libc.so.6"),
            ("r-xp", "/opt/usr/bin/locum"),
            ("r-xp", ""),
        ] {
            assert_eq!(at(rights, path), None, "{rights} {path}");
        }
        assert_eq!(code("", "/usr/bin/locum"), None);
    }
}
