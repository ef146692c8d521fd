//! Datagrams to and from all voters: signed, and each believed once.
//!
//! A receiver that does not know the sender's session greets it with a token drawn for the occasion, and
//! believes what bears the token. So nothing that was recorded before, in this life of the receiver or an
//! earlier one, can be sent again: not without the token, and with it not with a counter that was seen.
//! No wall clock is needed, and no disk. A greeting itself is believed once, and only as an answer.
//!
//! What gives back is signed before it is known when it leaves, for a process that has died has nobody to sign it.
//! It is believed as often as it comes: whoever has given a term back never asks for it again.
//!
//! Pure: chance comes as an argument.

use super::datagram::{Body, Datagram, Key, Refusal};
use super::{Answer, Plea, Release, VoterId};
use std::collections::BTreeMap;

/// How many senders are remembered. Only who has the key comes here; the one longest unheard makes place.
pub const SENDERS: usize = 256;

/// The counter of what was signed ahead; all others are greater.
const AHEAD: u64 = 0;

/// One node's end of all its conversations.
#[derive(Debug)]
pub struct Channel {
    own: VoterId,
    key: Key,
    session: u64,
    counter: u64,
    peers: BTreeMap<VoterId, Peer>,
    /// Counts what was heard, to tell who was heard last.
    heard: u64,
}

#[derive(Debug, Default)]
struct Peer {
    last_heard: u64,
    /// What it gave us.
    token: u64,
    /// Its last greeting answered a datagram with this counter.
    greeted: u64,
    /// The session that we believe.
    known: Option<Window>,
    /// One that was greeted and has not shown its token yet.
    newcomer: Option<(u64, u64)>,
}

#[derive(Debug)]
struct Window {
    session: u64,
    token: u64,
    /// The greatest counter seen.
    highest: u64,
    /// Which of the 64 below and at it were seen, the greatest in the lowest bit.
    seen: u64,
}

/// What came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A claimant asks or gives back.
    Plea(VoterId, Plea),
    /// A voter answers.
    Answer(VoterId, Answer),
    /// Somebody unknown; send it these bytes. An answer of it was for nothing, and is to be asked for again.
    Stranger(VoterId, Vec<u8>),
    /// The same one says more, and cannot have heard that yet; send it these bytes.
    Unproven(VoterId, Vec<u8>),
    /// A voter knows us from now on, and did not hear what we said last.
    Greeted(VoterId),
    /// A voter greets us again as it did before: what it did not hear has been said again.
    GreetedAgain(VoterId),
}

impl Channel {
    /// A channel that starts now. `session` is drawn by chance, and not 0.
    #[must_use]
    pub fn new(own: VoterId, key: Key, session: u64) -> Self {
        Channel { own, key, session, counter: 0, peers: BTreeMap::new(), heard: 0 }
    }

    /// Signs and believes by this key from now on. Who is known stays known: what was recorded under the old key
    /// is nobody's word under the new one.
    pub fn change_key(&mut self, key: Key) {
        self.key = key;
    }

    /// The bytes that say this to `to`.
    #[must_use]
    pub fn plead(&mut self, to: VoterId, plea: Plea) -> Vec<u8> {
        self.say(to, Body::Plea(plea))
    }

    /// The bytes that give back to `to` whenever they come, where it knows us. Whoever sends them holds nothing any
    /// more, and has no other use for this channel.
    #[must_use]
    pub fn give_back_ahead(&self, to: VoterId, release: Release) -> Option<Vec<u8>> {
        let token = self.peers.get(&to)?.token;
        let (from, session, counter) = (self.own, self.session, AHEAD);
        let body = Body::Plea(Plea::Release(release));
        (token != 0).then(|| Datagram { from, to, session, token, counter, body }.encode(&self.key))
    }

    /// The bytes that answer `to`.
    #[must_use]
    pub fn answer(&mut self, to: VoterId, answer: Answer) -> Vec<u8> {
        self.say(to, Body::Answer(answer))
    }

    /// Reads what came in. `chance` is drawn anew for every call.
    pub fn hear(&mut self, bytes: &[u8], chance: u64) -> Result<Heard, Refusal> {
        let datagram = Datagram::decode(bytes, &self.key)?;
        if datagram.to != self.own || datagram.from == self.own {
            return Err(Refusal::NotForUs);
        }
        let from = datagram.from;
        self.heard += 1;
        let (now, session, counter) = (self.heard, self.session, self.counter);
        self.make_place(from);
        let peer = self.peers.entry(from).or_default();
        match datagram.body {
            Body::Greeting { session: ours, counter: answered, token } => {
                if ours != session || answered <= peer.greeted || answered > counter {
                    return Err(Refusal::Replay);
                }
                let again = peer.token == token;
                (peer.greeted, peer.token, peer.last_heard) = (answered, token, now);
                Ok(if again { Heard::GreetedAgain(from) } else { Heard::Greeted(from) })
            }
            _ if !peer.knows(&datagram) => {
                // The same for all that it says until it has heard it: of two on their way, each would
                // make the other's void, for ever.
                let again = peer.newcomer.filter(|(session, _)| *session == datagram.session);
                let token = again.map_or(chance.max(1), |(_, token)| token);
                peer.newcomer = Some((datagram.session, token));
                let greeting = Body::Greeting { session: datagram.session, counter: datagram.counter, token };
                let greeting = self.say(from, greeting);
                Ok(if again.is_some() {
                    Heard::Unproven(from, greeting)
                } else {
                    Heard::Stranger(from, greeting)
                })
            }
            Body::Plea(plea @ Plea::Release(_)) if datagram.counter == AHEAD => {
                peer.last_heard = now;
                Ok(Heard::Plea(from, plea))
            }
            body => {
                if !peer.known.as_mut().is_some_and(|window| window.admit(datagram.counter)) {
                    return Err(Refusal::Replay);
                }
                peer.last_heard = now;
                Ok(match body {
                    Body::Answer(answer) => Heard::Answer(from, answer),
                    Body::Plea(plea) => Heard::Plea(from, plea),
                    Body::Greeting { .. } => return Err(Refusal::Malformed),
                })
            }
        }
    }

    fn say(&mut self, to: VoterId, body: Body) -> Vec<u8> {
        self.counter += 1;
        let token = self.peers.get(&to).map_or(0, |peer| peer.token);
        let (from, session, counter) = (self.own, self.session, self.counter);
        Datagram { from, to, session, token, counter, body }.encode(&self.key)
    }

    fn make_place(&mut self, newcomer: VoterId) {
        if self.peers.len() >= SENDERS && !self.peers.contains_key(&newcomer) {
            let longest_unheard = self.peers.iter().min_by_key(|(_, peer)| peer.last_heard);
            if let Some(id) = longest_unheard.map(|(id, _)| *id) {
                self.peers.remove(&id);
            }
        }
    }
}

impl Peer {
    /// Whether the datagram bears the token that was given to its session. A newcomer that does is believed
    /// from now on, and whatever it said in an earlier session no more.
    fn knows(&mut self, datagram: &Datagram) -> bool {
        let shown = (datagram.session, datagram.token);
        if self.newcomer == Some(shown) {
            let (session, token) = shown;
            self.known = Some(Window { session, token, highest: 0, seen: 0 });
            self.newcomer = None;
        }
        self.known.as_ref().is_some_and(|window| (window.session, window.token) == shown)
    }
}

impl Window {
    /// Whether this counter was not seen yet, and is not too old to tell.
    fn admit(&mut self, counter: u64) -> bool {
        if counter > self.highest {
            let ahead = u32::try_from(counter - self.highest).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = counter;
            return true;
        }
        let place = u32::try_from(self.highest - counter).unwrap_or(u32::MAX);
        let Some(bit) = 1_u64.checked_shl(place) else { return false };
        let fresh = self.seen & bit == 0;
        self.seen |= bit;
        fresh
    }
}
