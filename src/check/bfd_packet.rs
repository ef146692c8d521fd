//! BFD control packets (RFC 5880 4.1) as bytes, and which of them are to be believed (6.8.6). No sockets, no
//! state.

use std::time::Duration;

/// The length of a packet without authentication, in bytes.
pub const LENGTH: usize = 24;
const VERSION: u8 = 1;
/// Bits of the second byte.
const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const AUTHENTICATED: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;
/// An authentication section is at least so long, in bytes.
const SHORTEST_SECTION: usize = 2;

/// Where a session stands (RFC 5880 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Taken down by its operator.
    AdminDown,
    /// Nobody is heard.
    Down,
    /// The other is heard, and does not hear us yet.
    Init,
    /// Both hear each other.
    Up,
}

/// Why a session went down last (RFC 5880 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Diagnostic(pub u8);

impl Diagnostic {
    /// It did not.
    pub const NONE: Self = Diagnostic(0);
    /// Nothing was heard for the detection time.
    pub const EXPIRED: Self = Diagnostic(1);
    /// The other said that it is down.
    pub const NEIGHBOR: Self = Diagnostic(3);
    /// Taken down by its operator.
    pub const ADMIN: Self = Diagnostic(7);
}

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as in RFC 5880 4.1")]
pub struct Packet {
    pub diagnostic: Diagnostic,
    pub state: State,
    pub poll: bool,
    pub is_final: bool,
    pub demand: bool,
    /// Packets that may be missed in a row, less one; never 0.
    pub multiplier: u8,
    /// The sender's number for the session, never 0.
    pub mine: u32,
    /// The receiver's number for it; 0 while the sender does not know it.
    pub yours: u32,
    /// Whole microseconds, as are the others.
    pub desired_min_tx: Duration,
    pub required_min_rx: Duration,
}

/// Why a packet is not believed (RFC 5880 6.8.6, in its order).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum Refusal {
    #[error("it is cut off")]
    Truncated,
    #[error("it is of another version than 1")]
    Version,
    #[error("its length field is too small")]
    TooSmall,
    #[error("its length field is more than came")]
    TooLong,
    #[error("its multiplier is 0")]
    Multiplier,
    #[error("it is for many receivers")]
    Multipoint,
    #[error("its sender has no discriminator")]
    NoSender,
    #[error("it names no session, and is of a sender that hears one")]
    NoReceiver,
    #[error("it is authenticated, which keepalived's BFD is not")]
    Authenticated,
}

impl Packet {
    /// The bytes as they are sent.
    #[must_use]
    pub fn to_wire(&self) -> [u8; LENGTH] {
        let state = match self.state {
            State::AdminDown => 0,
            State::Down => 1,
            State::Init => 2,
            State::Up => 3,
        };
        let bit = |set, bit| if set { bit } else { 0 };
        let flags = bit(self.poll, POLL) | bit(self.is_final, FINAL) | bit(self.demand, DEMAND);
        let mut bytes = [0; LENGTH];
        bytes[0] = VERSION << 5 | (self.diagnostic.0 & 0x1f);
        bytes[1] = state << 6 | flags;
        bytes[2] = self.multiplier;
        bytes[3] = LENGTH.to_be_bytes()[size_of::<usize>() - 1];
        let numbers = [self.mine, self.yours, micros(self.desired_min_tx), micros(self.required_min_rx), 0];
        for (place, number) in bytes[4..].chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    /// The packet in these bytes, where it is to be believed.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn from_wire(bytes: &[u8]) -> Result<Self, Refusal> {
        let Some(header) = bytes.first_chunk::<LENGTH>() else { return Err(Refusal::Truncated) };
        let [first, flags, multiplier, length, numbers @ ..] = header;
        let length = usize::from(*length);
        let is = |bit| flags & bit != 0;
        let least = LENGTH + if is(AUTHENTICATED) { SHORTEST_SECTION } else { 0 };
        let number = |at: usize| {
            numbers
                .get(at * 4..)
                .and_then(|rest| rest.first_chunk())
                .map_or(0, |four| u32::from_be_bytes(*four))
        };
        let (mine, yours) = (number(0), number(1));
        let state = match flags >> 6 {
            0 => State::AdminDown,
            1 => State::Down,
            2 => State::Init,
            _ => State::Up,
        };
        let broken = [
            (first >> 5 != VERSION, Refusal::Version),
            (length < least, Refusal::TooSmall),
            (length > bytes.len(), Refusal::TooLong),
            (*multiplier == 0, Refusal::Multiplier),
            (is(MULTIPOINT), Refusal::Multipoint),
            (mine == 0, Refusal::NoSender),
            (yours == 0 && matches!(state, State::Init | State::Up), Refusal::NoReceiver),
            (is(AUTHENTICATED), Refusal::Authenticated),
        ];
        if let Some((_, refusal)) = broken.into_iter().find(|(breaks, _)| *breaks) {
            return Err(refusal);
        }
        Ok(Packet {
            diagnostic: Diagnostic(first & 0x1f),
            state,
            poll: is(POLL),
            is_final: is(FINAL),
            demand: is(DEMAND),
            multiplier: *multiplier,
            mine,
            yours,
            desired_min_tx: Duration::from_micros(number(2).into()),
            required_min_rx: Duration::from_micros(number(3).into()),
        })
    }
}

fn micros(span: Duration) -> u32 {
    u32::try_from(span.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_the_same_after_its_way_on_the_wire() {
        let packet = Packet {
            diagnostic: Diagnostic::NEIGHBOR,
            state: State::Up,
            poll: true,
            is_final: false,
            demand: true,
            multiplier: 5,
            mine: 0x1122_3344,
            yours: 7,
            desired_min_tx: Duration::from_millis(10),
            required_min_rx: Duration::from_micros(12_345),
        };
        let bytes = packet.to_wire();
        assert_eq!(bytes[..4], [0x23, 0xe2, 5, 24]);
        assert_eq!(Packet::from_wire(&bytes), Ok(packet));
    }
}
