//! Changed seeds, one after the other, against one target: nothing panics, nothing hangs, and one input
//! costs no more memory than is allowed.
//!
//! A second each; `LOCUM_FUZZ_SECONDS` says otherwise, `LOCUM_FUZZ_SEED` where the changes begin. A
//! hang is an input that has not ended long after any other would: a watch, not a measure.

use crate::PEAK;
use locum::sim::Rng;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Far longer than any input takes.
const HANG: Duration = Duration::from_secs(60);
/// Far more than any input needs at once, and far less than a machine has.
const MEMORY: usize = 256 << 20;
/// The longest input, but for seeds that are longer.
const LONGEST: usize = 16 << 10;

/// What is changed, and what it is changed with.
pub struct Fuzz {
    pub seeds: Vec<Vec<u8>>,
    pub words: &'static [&'static str],
    pub span: Duration,
    pub hang: Duration,
    pub memory: usize,
}

impl Fuzz {
    pub fn new(seeds: Vec<Vec<u8>>, words: &'static [&'static str]) -> Fuzz {
        let seconds = number("LOCUM_FUZZ_SECONDS").unwrap_or(1);
        Fuzz { seeds, words, span: Duration::from_secs(seconds), hang: HANG, memory: MEMORY }
    }

    /// Runs it; panics with the input that did not hold.
    pub fn run(self, name: &str, target: impl FnMut(&[u8]) + Send + 'static) {
        match self.attempt(target) {
            Ok(count) => println!("{name}: {count} inputs"),
            Err(found) => panic!("{name}: {found}"),
        }
    }

    /// How many inputs held, or the one that did not.
    pub fn attempt(self, target: impl FnMut(&[u8]) + Send + 'static) -> Result<u64, String> {
        // One at a time: memory is counted for all threads together.
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        count_panics();
        let hang = self.hang;
        let at: Arc<Mutex<(u64, Vec<u8>)>> = Arc::default();
        let told = Arc::clone(&at);
        let work = thread::spawn(move || self.work(&told, target));
        let (mut last, mut since) = (0, Instant::now());
        while !work.is_finished() {
            thread::sleep(Duration::from_millis(10));
            let (count, input) = &*at.lock().unwrap_or_else(PoisonError::into_inner);
            if *count != last {
                (last, since) = (*count, Instant::now());
            }
            if since.elapsed() > hang {
                return Err(format!("hangs on {}", shown(input)));
            }
        }
        work.join().map_err(|_| "the harness itself broke".to_owned())?
    }

    fn work(self, at: &Mutex<(u64, Vec<u8>)>, mut target: impl FnMut(&[u8])) -> Result<u64, String> {
        let mut rng = Rng::new(number("LOCUM_FUZZ_SEED").unwrap_or(1));
        let (end, mut count) = (Instant::now() + self.span, 0);
        loop {
            let seed = usize::try_from(count).ok().filter(|place| *place < self.seeds.len());
            let input = match seed {
                Some(place) => self.seeds[place].clone(),
                None if Instant::now() > end => return Ok(count),
                None => self.changed(&mut rng),
            };
            count += 1;
            *at.lock().unwrap_or_else(PoisonError::into_inner) = (count, input.clone());
            PEAK.reset_peak_usage();
            let (before, panics) = (PEAK.current_usage(), PANICS.load(Ordering::Relaxed));
            drop(catch_unwind(AssertUnwindSafe(|| target(&input))));
            let needed = PEAK.peak_usage().saturating_sub(before);
            if PANICS.load(Ordering::Relaxed) > panics {
                return Err(format!("panics on {}", shown(&input)));
            }
            if needed > self.memory {
                return Err(format!("takes {needed} bytes for {}", shown(&input)));
            }
        }
    }

    fn changed(&self, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = self.seeds[rng.below(self.seeds.len())].clone();
        for _ in 0..=rng.below(8) {
            self.change(&mut bytes, rng);
        }
        bytes.truncate(LONGEST.max(self.seeds.iter().map(Vec::len).max().unwrap_or(0)));
        bytes
    }

    /// One change: a bit, a number at an edge, a word, a part that goes, doubles or moves, another seed's end.
    fn change(&self, bytes: &mut Vec<u8>, rng: &mut Rng) {
        const EDGES: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'0', b'\n', b' '];
        let at = rng.below(bytes.len() + 1);
        let to = (at + 1 + rng.below(16)).min(bytes.len());
        match rng.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
            1 if at < bytes.len() => bytes[at] = rng.pick(&EDGES),
            2 if at < to => drop(bytes.drain(at..to)),
            3 if at < to => {
                let part = bytes[at..to].repeat(1 + rng.below(20));
                bytes.splice(at..at, part);
            }
            4 => bytes.truncate(at),
            5 => {
                let other = &self.seeds[rng.below(self.seeds.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[rng.below(other.len() + 1)..]);
            }
            6 | 7 if !self.words.is_empty() => {
                let word = self.words[rng.below(self.words.len())].bytes();
                bytes.splice(at..at + rng.below(to - at.min(to) + 1).min(to - at.min(to)), word);
            }
            _ => bytes.insert(at, rng.pick(&EDGES)),
        }
    }
}

/// All of them, those in tasks and those that something else catches too.
static PANICS: AtomicU64 = AtomicU64::new(0);

fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            before(info);
        }));
    });
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text}")))
}

/// An input as a Rust literal.
fn shown(input: &[u8]) -> String {
    format!("b\"{}\"", input.escape_ascii())
}

mod tests {
    use super::*;

    fn quick() -> Fuzz {
        let seeds = vec![b"one two three".to_vec()];
        Fuzz { span: Duration::from_secs(20), hang: Duration::from_secs(2), ..Fuzz::new(seeds, &["boom"]) }
    }

    #[test]
    fn a_planted_panic_is_caught_and_its_input_named() {
        let target = |input: &[u8]| assert!(!input.windows(4).any(|word| word == b"boom"), "planted");
        let found = quick().attempt(target).unwrap_err();
        assert!(found.starts_with("panics on b\"") && found.contains("boom"), "{found}");
    }

    #[test]
    fn a_planted_hang_is_caught() {
        let target = |input: &[u8]| {
            while input.starts_with(b"boom") {
                thread::park();
            }
        };
        let found = quick().attempt(target).unwrap_err();
        assert!(found.starts_with("hangs on b\"boom"), "{found}");
    }

    #[test]
    fn planted_greed_is_caught() {
        let target = |input: &[u8]| {
            drop(Vec::<u8>::with_capacity(if input.starts_with(b"boom") { MEMORY + 1 } else { 0 }));
        };
        let found = quick().attempt(target).unwrap_err();
        assert!(found.starts_with("takes ") && found.contains("b\"boom"), "{found}");
    }
}
