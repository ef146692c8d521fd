//! One BFD session in asynchronous mode (RFC 5880 6.8): what a packet or the time makes of it. No sockets, no
//! clock, no chance; whoever drives it brings all three. No authentication, no echo.

use super::bfd_packet::{Diagnostic, Packet, State};
use crate::time::Time;
use std::time::Duration;

/// What is assumed of the other until it has said otherwise (RFC 5880 6.8.1).
const UNKNOWN_RX: Duration = Duration::from_micros(1);

/// Of our own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// How often we send while up, at most.
    pub min_tx: Duration,
    /// How often the other may send, at most.
    pub min_rx: Duration,
    /// How often we send while not up, at most; RFC 5880 6.8.3 wants a second or more.
    pub idle_tx: Duration,
    /// Packets of ours after which the other holds us for gone, at least 1.
    pub multiplier: u8,
    /// Say nothing before the other does.
    pub passive: bool,
}

impl Default for Timing {
    /// As keepalived's: 10 ms, five packets; a second while not up.
    fn default() -> Self {
        let [min_tx, idle_tx] = [10, 1000].map(Duration::from_millis);
        Timing { min_tx, min_rx: min_tx, idle_tx, multiplier: 5, passive: false }
    }
}

/// What the other end has said last.
#[derive(Clone, Copy, Debug)]
struct Other {
    number: u32,
    desired_min_tx: Duration,
    required_min_rx: Duration,
    multiplier: u8,
    /// It wants to hear nothing while both are up (RFC 5880 6.6).
    demand: bool,
    state: State,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    timing: Timing,
    number: u32,
    state: State,
    diagnostic: Diagnostic,
    other: Other,
    /// We ask whether the other has seen our new times (RFC 5880 6.5).
    polling: bool,
    send_at: Time,
    expires_at: Option<Time>,
}

impl Session {
    /// Begins down, with a number that nobody else has here, not 0.
    #[must_use]
    pub fn new(now: Time, number: u32, timing: Timing) -> Self {
        let other = Other {
            number: 0,
            desired_min_tx: Duration::ZERO,
            required_min_rx: UNKNOWN_RX,
            multiplier: 1,
            demand: false,
            state: State::Down,
        };
        let (state, diagnostic) = (State::Down, Diagnostic::NONE);
        Session { timing, number, state, diagnostic, other, polling: false, send_at: now, expires_at: None }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether the other end was taken down on purpose. Of the way to it that says nothing (RFC 5882 4.2).
    #[must_use]
    pub fn is_dismissed(&self) -> bool {
        self.state == State::Down
            && self.diagnostic == Diagnostic::NEIGHBOR
            && self.other.state == State::AdminDown
    }

    /// Takes in a packet of the other end. Returns what to answer at once, if anything.
    pub fn hear(&mut self, now: Time, packet: &Packet) -> Option<Packet> {
        self.other = Other {
            number: packet.mine,
            desired_min_tx: packet.desired_min_tx,
            required_min_rx: packet.required_min_rx,
            multiplier: packet.multiplier,
            demand: packet.demand,
            state: packet.state,
        };
        if packet.is_final {
            self.polling = false;
        }
        let before = self.state;
        self.follow(packet.state);
        self.expires_at = Some(now + self.detection());
        if self.state != before {
            // The other learns of it at once, and of the times that hold from now on.
            self.polling = self.state == State::Up;
            self.send_at = now;
        }
        // What was slow is not waited for where both have agreed to be fast.
        self.send_at = self.send_at.min(now + self.pace());
        packet.poll.then(|| Packet { poll: false, is_final: true, ..self.packet() })
    }

    /// RFC 5880 6.8.6, the end of it.
    fn follow(&mut self, theirs: State) {
        let next = match (self.state, theirs) {
            (State::Down, State::Down) => State::Init,
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => State::Up,
            (State::Init | State::Up, State::AdminDown) | (State::Up, State::Down) => {
                self.diagnostic = Diagnostic::NEIGHBOR;
                State::Down
            }
            (same, _) => same,
        };
        self.state = next;
    }

    /// The moment for which [`Session::deadline`] asked, or another. Returns what to send, if anything.
    /// `chance`: 0 to 1, drawn anew each time.
    pub fn tick(&mut self, now: Time, chance: f64) -> Option<Packet> {
        if self.expires_at.is_some_and(|at| at <= now) {
            self.expires_at = None;
            // Whoever speaks next may be another one.
            (self.other.number, self.other.required_min_rx, self.other.demand) = (0, UNKNOWN_RX, false);
            if matches!(self.state, State::Init | State::Up) {
                (self.state, self.diagnostic) = (State::Down, Diagnostic::EXPIRED);
                (self.polling, self.send_at) = (false, now);
            }
        }
        if now < self.send_at || !self.may_send() {
            return None;
        }
        self.send_at = now + self.pause(chance);
        Some(self.packet())
    }

    /// When to call [`Session::tick`] next.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.may_send().then_some(self.send_at).into_iter().chain(self.expires_at).min()
    }

    /// What tells the other that this end goes away on purpose.
    #[must_use]
    pub fn farewell(&self) -> Packet {
        Packet { state: State::AdminDown, diagnostic: Diagnostic::ADMIN, poll: false, ..self.packet() }
    }

    /// RFC 5880 6.8.7.
    fn may_send(&self) -> bool {
        let quiet =
            self.other.demand && self.state == State::Up && self.other.state == State::Up && !self.polling;
        let waits = self.timing.passive && self.other.number == 0;
        !quiet && !waits && !self.other.required_min_rx.is_zero()
    }

    /// The time between two packets of ours, before chance.
    fn pace(&self) -> Duration {
        self.desired_min_tx().max(self.other.required_min_rx)
    }

    fn desired_min_tx(&self) -> Duration {
        if self.state == State::Up { self.timing.min_tx } else { self.timing.idle_tx.max(self.timing.min_tx) }
    }

    /// Up to a quarter less; and with one packet to miss, at least a tenth (RFC 5880 6.8.7).
    fn pause(&self, chance: f64) -> Duration {
        let least = if self.timing.multiplier == 1 { 0.10 } else { 0.0 };
        self.pace().mul_f64(1.0 - least - chance.clamp(0.0, 1.0) * (0.25 - least))
    }

    /// How long the other may be silent (RFC 5880 6.8.4).
    #[must_use]
    pub fn detection(&self) -> Duration {
        self.timing.min_rx.max(self.other.desired_min_tx) * u32::from(self.other.multiplier)
    }

    fn packet(&self) -> Packet {
        Packet {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: self.polling,
            is_final: false,
            demand: false,
            multiplier: self.timing.multiplier,
            mine: self.number,
            yours: self.other.number,
            desired_min_tx: self.desired_min_tx(),
            required_min_rx: self.timing.min_rx,
        }
    }

    /// One line on why it is not up, for people.
    #[must_use]
    pub fn complaint(&self) -> String {
        let state = match self.state {
            State::AdminDown => "taken down",
            State::Down => "down",
            State::Init => "not up yet: the neighbour is heard, and does not hear us",
            State::Up => "up",
        };
        match (self.diagnostic, self.other.state) {
            (Diagnostic::EXPIRED, _) => format!("{state}: nothing was heard for the detection time"),
            (Diagnostic::NEIGHBOR, _) => format!("{state}: the neighbour says that it is down"),
            _ if self.state == State::Down => format!("{state}: the neighbour was not heard yet"),
            _ => state.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn timing() -> Timing {
        Timing { min_tx: 10 * MS, min_rx: 20 * MS, idle_tx: 1000 * MS, multiplier: 5, passive: false }
    }

    fn at(ms: u32) -> Time {
        Time::ZERO + MS * ms
    }

    /// Two ends on a perfect wire until nothing is due any more at `now`.
    fn exchange(now: Time, ends: &mut [Session; 2]) {
        for _ in 0..20 {
            for (from, to) in [(0, 1), (1, 0)] {
                let sent = ends[from].tick(now, 0.0);
                let answer = sent.and_then(|packet| ends[to].hear(now, &packet));
                if let Some(packet) = answer {
                    ends[from].hear(now, &packet);
                }
            }
        }
    }

    fn up() -> [Session; 2] {
        let mut ends = [1, 2].map(|number| Session::new(at(0), number, timing()));
        exchange(at(0), &mut ends);
        assert_eq!([&ends[0], &ends[1]].map(Session::state), [State::Up; 2]);
        ends
    }

    #[test]
    fn two_ends_come_up_with_three_packets_and_are_fast_from_then_on() {
        let ends = up();
        assert!(!ends[0].polling && !ends[1].polling);
        assert_eq!(ends[0].pace(), 20 * MS);
        assert_eq!(ends[0].detection(), 100 * MS);
    }

    #[test]
    fn silence_for_the_detection_time_takes_it_down_and_it_is_slow_again() {
        let [mut one, _] = up();
        one.tick(at(99), 0.0);
        assert_eq!(one.state(), State::Up);
        let said = one.tick(at(100), 0.0).expect("it says so at once");
        assert_eq!((said.state, said.diagnostic, said.yours), (State::Down, Diagnostic::EXPIRED, 0));
        assert_eq!(said.desired_min_tx, 1000 * MS);
        assert_eq!(one.deadline(), Some(at(1100)));
        assert_eq!(one.complaint(), "down: nothing was heard for the detection time");
    }

    #[test]
    fn a_neighbour_that_is_taken_down_takes_the_session_down_and_is_no_failure() {
        let [mut one, two] = up();
        one.hear(at(5), &two.farewell());
        assert_eq!((one.state(), one.diagnostic), (State::Down, Diagnostic::NEIGHBOR));
        assert!(one.is_dismissed());
        one.hear(at(6), &Packet { state: State::Down, ..two.packet() });
        assert!(!one.is_dismissed());
    }

    #[test]
    fn a_poll_is_answered_at_once_and_with_no_poll() {
        let [mut one, two] = up();
        let answer = one.hear(at(3), &Packet { poll: true, ..two.packet() }).expect("an answer");
        assert!(answer.is_final && !answer.poll);
        assert_eq!(one.hear(at(3), &two.packet()), None);
    }

    #[test]
    fn a_passive_end_is_silent_until_it_is_spoken_to() {
        let mut one = Session::new(at(0), 1, Timing { passive: true, ..timing() });
        assert_eq!((one.deadline(), one.tick(at(5000), 0.0)), (None, None));
        let two = Session::new(at(0), 2, timing());
        one.hear(at(5000), &two.packet());
        assert_eq!(
            one.tick(at(5000), 0.0).map(|packet| (packet.state, packet.yours)),
            Some((State::Init, 2))
        );
    }

    #[test]
    fn who_wants_nothing_is_sent_nothing() {
        let [mut one, two] = up();
        one.hear(at(1), &Packet { required_min_rx: Duration::ZERO, ..two.packet() });
        assert_eq!(one.tick(at(50), 0.0), None);
        let [mut one, two] = up();
        one.hear(at(1), &Packet { demand: true, ..two.packet() });
        assert_eq!(one.tick(at(50), 0.0), None);
    }

    #[test]
    fn packets_come_up_to_a_quarter_early_and_a_tenth_where_none_may_be_missed() {
        let [one, mut two] = up();
        assert_eq!([0.0, 1.0].map(|chance| one.pause(chance)), [20 * MS, 15 * MS]);
        two.timing.multiplier = 1;
        assert_eq!([0.0, 1.0].map(|chance| two.pause(chance)), [18 * MS, 15 * MS]);
    }
}
