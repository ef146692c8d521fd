//! Gives back the pages that only a start, a reload or something seldom needed. Reading arguments and configuration
//! touches most of the program, and what runs afterwards little of it; what is needed again comes from the page
//! cache, with its neighbours: a word between routers brings megabytes along. And a configuration is read in several
//! times the memory that it has in the end.
//!
//! The one file with unsafe code.

#![expect(unsafe_code, reason = "madvise(2) and malloc_trim(3) have no safe form")]

use crate::time::Time;
use nix::sys::mman::{MmapAdvise, madvise};
use nix::sys::resource::{UsageWho, getrusage};
use std::ffi::c_void;
use std::fs;
use std::ops::Range;
use std::ptr::NonNull;
use std::time::Duration;

/// So long after a start or a reload all is as it will be.
pub(super) const CALM: Duration = Duration::from_secs(10);
/// How long it takes until what every turn needs is there again.
const SETTLED: Duration = Duration::from_secs(3);
/// How long nothing is given back again.
const PAUSE: Duration = Duration::from_secs(25);
/// How often to look after that.
const LOOK: Duration = Duration::from_secs(5);
/// It takes some milliseconds, and what comes next finds its pages gone: nothing is due for so long,
const REST: Duration = Duration::from_millis(200);
/// or it has waited for so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many faults more than usual are worth it: each brings up to 64 KiB.
const MANY: i64 = 8;
/// Of a stack that grows down to here, what is left alone below the function that looks: what that calls is there.
const RESERVE: usize = 16 << 10;
const PAGE: usize = 4 << 10;

/// When something is given back. Nobody is woken for it.
pub(super) struct Spare {
    program: Program,
    look_at: Time,
    /// How many faults there were when what every turn needs was there; `None`: it is not yet.
    usual: Option<i64>,
}

impl Spare {
    /// That of a process which has just been started.
    pub(super) fn new(now: Time) -> Self {
        // It is found later: a start in the place of another program has no time for it.
        Spare { program: Program(Vec::new()), look_at: now + CALM, usual: Some(0) }
    }

    /// Much was needed that will not be needed any more.
    pub(super) fn much(&mut self, now: Time) {
        (self.look_at, self.usual) = (now + CALM, Some(0));
    }

    /// `next`: when something else is.
    pub(super) fn is_due(&self, now: Time, next: impl FnOnce() -> Option<Time>) -> bool {
        self.look_at <= now
            && (self.look_at + PATIENCE <= now || next().is_none_or(|next| next >= now + REST))
    }

    /// Gives back what has come in and is not in use every turn, if that is much.
    pub(super) fn look(&mut self, now: Time) {
        let faults = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.minor_page_faults());
        let much = self.usual.is_some_and(|usual| faults - usual >= MANY);
        let pause = match self.usual {
            None => PAUSE,
            Some(_) if much => SETTLED,
            Some(_) => LOOK,
        };
        if much {
            // Little of that comes back; and who gives back memory waits for whoever allocates.
            if self.usual == Some(0) {
                self.program = Program::find();
                stack();
                heap();
            }
            self.program.give_back();
            self.usual = None;
        } else {
            self.usual.get_or_insert(faults);
        }
        self.look_at = now + pause;
    }
}

/// Where this program's code and constants are.
pub(super) struct Program(Vec<Range<usize>>);

impl Program {
    /// As `/proc` says.
    pub(super) fn find() -> Self {
        let maps = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
        let program = fs::read_link("/proc/self/exe").unwrap_or_default();
        Program(unchanged(&maps, &program.to_string_lossy()))
    }

    /// Unmaps it, and allocates nothing. What is needed again comes back by the page, and not by the block of up to
    /// 2 MiB that the page cache may have made of a new file. With memory locked in place nothing happens.
    pub(super) fn give_back(&self) {
        for Range { start, end } in &self.0 {
            let Some(at) = NonNull::new(std::ptr::with_exposed_provenance_mut::<c_void>(*start)) else {
                continue;
            };
            // SAFETY: it only says how pages come in. A kernel without such blocks refuses, and has none.
            let _ = unsafe { madvise(at, end - start, MmapAdvise::MADV_NOHUGEPAGE) };
            // SAFETY: these pages are a private, unwritable mapping of a file that nobody has written to, as `/proc`
            // says, and stay where they are. Whoever runs or reads there next, this very thread included, gets the
            // same bytes from the file again.
            let _ = unsafe { madvise(at, end - start, MmapAdvise::MADV_DONTNEED) };
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

/// Gives back what the calling thread's stack once grew to.
pub(super) fn stack() {
    let here = 0_u8;
    let here = std::ptr::from_ref(&here).expose_provenance();
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let Some(start) = maps.lines().filter_map(range).find(|range| range.contains(&here)).map(|all| all.start)
    else {
        return;
    };
    let unused = start..(here & !(PAGE - 1)).saturating_sub(RESERVE);
    if let Some(at) = NonNull::new(std::ptr::with_exposed_provenance_mut::<c_void>(start))
        && !unused.is_empty()
    {
        // SAFETY: stacks grow down here, this function has not called anything that reaches so far below it, and what
        // lies there belongs to calls that have returned.
        let _ = unsafe { madvise(at, unused.len(), MmapAdvise::MADV_DONTNEED) };
    }
}

/// The addresses in a line of `/proc/self/maps`.
fn range(line: &str) -> Option<Range<usize>> {
    let (start, end) = line.split_once(' ')?.0.split_once('-')?;
    let [start, end] = [start, end].map(|at| usize::from_str_radix(at, 16).ok());
    Some(start?..end?)
}

/// Where code and constants of `program` are, by the text of `/proc/self/smaps`. Not those that the loader has written
/// to.
fn unchanged(smaps: &str, program: &str) -> Vec<Range<usize>> {
    let (mut found, mut current) = (Vec::new(), None);
    for line in smaps.lines() {
        if let Some(range) = range(line) {
            let mut words = line.split_whitespace().skip(1);
            let is_fixed = matches!(words.next(), Some("r-xp" | "r--p"));
            let is_its = line.ends_with(program) && words.nth(3) == Some(program);
            current = Some(range).filter(|_| is_fixed && is_its);
        } else if let Some(written) = line.strip_prefix("Anonymous:") {
            found.extend(current.take().filter(|_| written.split_whitespace().next() == Some("0")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_was_given_back_returns_in_small_pages() {
        let program = Program::find();
        program.give_back();
        let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
        let (mut flags, mut ours) = (Vec::new(), false);
        for line in smaps.lines() {
            if let Some(range) = range(line) {
                ours = program.0.contains(&range);
            } else if let Some(told) = line.strip_prefix("VmFlags:").filter(|_| ours) {
                flags.push(told.to_owned());
            }
        }
        assert!(flags.len() >= 2, "code and constants: {flags:?}");
        let has_large = Path::new("/sys/kernel/mm/transparent_hugepage").exists();
        assert!(flags.iter().all(|flags| flags.contains(" nh") == has_large), "{flags:?}");
    }

    #[test]
    fn what_is_given_back_is_unwritable_unwritten_and_of_this_program_alone() {
        let at = |rights, path, written| {
            let head = format!("55d0c000-55d0e000 {rights} 00001000 fe:00 77 {path}");
            unchanged(
                &format!("{head}\nSize: 8 kB\nAnonymous:  {written} kB\nVmFlags: rd\n"),
                "/usr/bin/locum",
            )
        };
        for rights in ["r-xp", "r--p"] {
            let found: Vec<Range<usize>> = at(rights, "/usr/bin/locum", 0);
            assert_eq!(found, vec![0x55d0_c000_usize..0x55d0_e000], "{rights}");
        }
        for (rights, path, written) in [
            ("r--p", "/usr/bin/locum", 4),
            ("r-xp", "/usr/bin/locum", 8),
            ("rw-p", "/usr/bin/locum", 0),
            ("rwxp", "/usr/bin/locum", 0),
            ("r-xp", "/usr/lib/libc.so.6", 0),
            ("r-xp", "/opt/usr/bin/locum", 0),
            ("r-xp", "", 0),
        ] {
            assert!(at(rights, path, written).is_empty(), "{rights} {path} {written}");
        }
        assert!(unchanged("", "/usr/bin/locum").is_empty());
    }

    #[test]
    fn a_stack_that_was_deep_goes_on_after_what_it_grew_to_is_given_back() {
        fn deep(levels: usize) -> usize {
            let filled = std::hint::black_box([levels; 512]);
            if levels == 0 { 0 } else { deep(levels - 1) + filled.len() }
        }
        let resident = || {
            let here = 0_u8;
            let here = std::ptr::from_ref(&here).addr();
            let smaps = fs::read_to_string("/proc/thread-self/smaps").unwrap();
            let mut lines =
                smaps.lines().skip_while(|line| !range(line).is_some_and(|all| all.contains(&here)));
            let told = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
            told.split_whitespace().next().unwrap().parse::<usize>().unwrap()
        };
        assert_eq!(deep(100), 51_200);
        let before = resident();
        stack();
        let after = resident();
        assert!(before > 400 && after < before - 300, "{before} KiB before, {after} KiB after");
        assert_eq!(deep(100), 51_200);
    }

    #[test]
    fn whoever_is_due_soon_is_not_kept_waiting_and_finds_his_pages_and_yet_it_is_done_some_time() {
        let at = |millis: u64| Time::ZERO + Duration::from_millis(millis);
        let spare = Spare { program: Program(Vec::new()), look_at: at(10_000), usual: None };
        let is_due = |now, next| spare.is_due(at(now), || Some(at(next)));
        assert!(!is_due(10_000, 10_199) && is_due(10_000, 10_200));
        assert!(!is_due(14_999, 15_000) && is_due(15_000, 15_001));
    }

    #[test]
    fn only_what_is_much_more_than_usual_is_given_back_and_not_at_once_again() {
        let at = |seconds: u64| Time::ZERO + Duration::from_secs(seconds);
        let mut spare = Spare { program: Program(Vec::new()), look_at: at(10), usual: Some(0) };
        assert!(!spare.is_due(at(9), || None) && spare.is_due(at(10), || None));
        spare.look(at(10));
        assert_eq!((spare.look_at, spare.usual), (at(13), None), "all that the start has needed");
        spare.look(at(13));
        assert_eq!(spare.look_at, at(38));
        let usual = spare.usual.unwrap();
        // Faults of other tests count as well.
        spare.usual = Some(i64::MAX);
        spare.look(at(38));
        assert_eq!((spare.look_at, spare.usual), (at(43), Some(i64::MAX)));
        spare.usual = Some(usual - MANY);
        spare.look(at(43));
        assert_eq!((spare.look_at, spare.usual), (at(46), None));
    }
}
