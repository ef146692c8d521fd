//! A terminal that a command has to itself: its second screen, keys as they are pressed, its size. When this is
//! dropped it is as it was before; signals that would end the program come as keys do, so that it always is.

use super::{Failure, say};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{IsTerminal, stdin, stdout};
use std::os::fd::AsFd;
use std::time::Duration;

/// To the second screen, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// No window is taken to be narrower, in characters.
const NARROWEST: usize = 20;

/// What a user does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Wants to see no more.
    Quit,
    /// Wants to see what is so many lines below, or above.
    Scroll(isize),
    /// Wants to see it anew, or has another size.
    Again,
}

/// The terminal, until this is dropped.
pub(super) struct Screen {
    before: Termios,
    signals: SignalFd,
}

impl Screen {
    /// Takes it; `None` where there is none.
    pub(super) fn take() -> Result<Option<Self>, Failure> {
        if !stdin().is_terminal() || !stdout().is_terminal() {
            return Ok(None);
        }
        let wrong = |error: std::io::Error| Failure::Other(format!("cannot use this terminal: {error}"));
        let signals: SigSet =
            [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGWINCH].into_iter().collect();
        signals.thread_block().map_err(|error| wrong(error.into()))?;
        let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC);
        let signals = signals.map_err(|error| wrong(error.into()))?;
        let before = tcgetattr(stdin()).map_err(|error| wrong(error.into()))?;
        let mut ours = before.clone();
        ours.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        tcsetattr(stdin(), OptionalActions::Now, &ours).map_err(|error| wrong(error.into()))?;
        let screen = Screen { before, signals };
        say(ENTER)?;
        Ok(Some(screen))
    }

    /// Its columns and rows; the usual ones where it does not say.
    pub(super) fn size() -> (usize, usize) {
        let size = tcgetwinsize(stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        size.map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
    }

    /// Shows these lines, each cut to the width, from the top.
    pub(super) fn draw(lines: &[String]) -> Result<(), Failure> {
        let (columns, _) = Self::size();
        let lines: Vec<_> = lines.iter().map(|line| cut(line, columns) + "\x1b[K").collect();
        say(&format!("\x1b[H{}\x1b[J", lines.join("\n")))
    }

    /// Waits for a key, so long at most.
    pub(super) fn key(&self, within: Duration) -> Option<Key> {
        let keys = stdin();
        let mut files = [
            PollFd::new(keys.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
        ];
        let within = PollTimeout::try_from(within).unwrap_or(PollTimeout::ZERO);
        poll(&mut files, within).ok().filter(|ready| *ready > 0)?;
        if let Ok(Some(signal)) = self.signals.read_signal() {
            let resized = i32::try_from(signal.ssi_signo) == Ok(Signal::SIGWINCH as i32);
            return Some(if resized { Key::Again } else { Key::Quit });
        }
        let mut pressed = [0; 16];
        match nix::unistd::read(keys.as_fd(), &mut pressed) {
            // It was hung up.
            Ok(0) | Err(_) => Some(Key::Quit),
            Ok(length) => meaning(pressed.get(..length)?),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Whoever has gone sees neither.
        let _ = say(LEAVE);
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

fn meaning(pressed: &[u8]) -> Option<Key> {
    match pressed {
        b"q" | b"Q" | b"\x1b" | b"\x04" => Some(Key::Quit),
        b"j" | b"\x1b[B" | b"\x1bOB" => Some(Key::Scroll(1)),
        b"k" | b"\x1b[A" | b"\x1bOA" => Some(Key::Scroll(-1)),
        b" " | b"\x1b[6~" => Some(Key::Scroll(10)),
        b"b" | b"\x1b[5~" => Some(Key::Scroll(-10)),
        b"g" | b"\x1b[H" => Some(Key::Scroll(isize::MIN)),
        b"r" | b"\x0c" => Some(Key::Again),
        _ => None,
    }
}

/// The first `columns` characters of a line, and all that paints them.
fn cut(line: &str, columns: usize) -> String {
    let (mut text, mut shown, mut steers) = (String::new(), 0, false);
    for letter in line.chars() {
        steers |= letter == '\x1b';
        if steers || shown < columns {
            text.push(letter);
        }
        if !steers {
            shown += 1;
        }
        steers &= !letter.is_ascii_alphabetic();
    }
    text
}

/// A line as so many as a window of this width needs, broken between words; what goes on is indented.
pub(super) fn fold(line: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(NARROWEST);
    let indent = (line.chars().take_while(|letter| *letter == ' ').count() + 2).min(columns / 2);
    let (mut lines, mut rest) = (Vec::new(), line.to_owned());
    while let Some(at) = too_long(&rest, columns) {
        let (here, below) = rest.split_at(at);
        lines.push(here.trim_end().to_owned());
        rest = format!("{:indent$}{}", "", below.trim_start());
    }
    lines.push(rest);
    lines
}

/// Where a line that is longer is to be broken: behind its last word that fits or, where none does, within it.
fn too_long(line: &str, columns: usize) -> Option<usize> {
    let (mut shown, mut steers, mut words, mut between) = (0, false, false, None);
    for (at, letter) in line.char_indices() {
        steers |= letter == '\x1b';
        if !steers {
            if letter == ' ' && words {
                between = Some(at);
            }
            words |= letter != ' ';
            if shown == columns {
                return Some(between.unwrap_or(at));
            }
            shown += 1;
        }
        steers &= !letter.is_ascii_alphabetic();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_window_shows_all_of_a_line_one_below_the_other() {
        assert_eq!(
            fold("  next  takes over in 2.4 s unless heard", 24),
            ["  next  takes over in", "    2.4 s unless heard"]
        );
        let painted = fold("\x1b[1;32mMASTER\x1b[0m for 3s, because of it", 20);
        assert_eq!(painted, ["\x1b[1;32mMASTER\x1b[0m for 3s,", "  because of it"]);
        assert_eq!(
            fold("0123456789012345678901234", 20),
            ["01234567890123456789", "  01234"],
            "one long word"
        );
        assert_eq!(fold("fits", 80), ["fits"]);
        for columns in 0..60 {
            let all = fold("      some words   of which averyveryverylongonethatneverfits is one", columns);
            let longest = all.iter().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= columns.max(NARROWEST), "{columns}: {all:?}");
            let letters = |text: &str| text.chars().filter(|letter| *letter != ' ').collect::<String>();
            assert_eq!(letters(&all.concat()), "somewordsofwhichaveryveryverylongonethatneverfitsisone");
        }
    }

    #[test]
    fn a_line_is_cut_where_the_window_ends_and_its_colour_with_it() {
        assert_eq!(cut("\x1b[1;32mMASTER\x1b[0m for 3s", 4), "\x1b[1;32mMAST\x1b[0m");
        assert_eq!(cut("short", 80), "short");
        assert_eq!(cut("→ über", 3), "→ ü");
    }

    #[test]
    fn keys_of_vi_and_arrows_mean_the_same() {
        assert_eq!(meaning(b"j"), meaning(b"\x1b[B"));
        assert_eq!(meaning(b"k"), meaning(b"\x1b[A"));
        assert_eq!((meaning(b"q"), meaning(b"x")), (Some(Key::Quit), None));
    }
}
