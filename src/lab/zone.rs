//! One zone of A records as a name server of a lab has it: what a question is answered, and what an update (RFC 2136)
//! changes. Computes; sockets and signatures are in `name_server`.

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// What a name holds: how long resolvers may remember it, in seconds, and its addresses, one at least.
type Held = (u32, BTreeSet<Ipv4Addr>);

/// A zone.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    origin: Name,
    records: BTreeMap<Name, Held>,
}

impl Zone {
    pub(super) fn new(origin: Name) -> Self {
        Zone { origin, records: BTreeMap::new() }
    }

    /// The addresses at a name.
    pub(super) fn addresses(&self, name: &Name) -> BTreeSet<Ipv4Addr> {
        self.records.get(name).map(|(_, addresses)| addresses.clone()).unwrap_or_default()
    }

    /// The answer to a question, or to an update, which is done as a whole or not at all.
    pub(super) fn answer(&mut self, asked: &Message) -> Message {
        let mut answer = Message::new(asked.metadata.id, MessageType::Response, asked.metadata.op_code);
        answer.metadata.authoritative = true;
        answer.add_queries(asked.queries.iter().cloned());
        answer.metadata.response_code = match asked.metadata.op_code {
            OpCode::Query => self.found(asked, &mut answer),
            OpCode::Update => self.update(asked).err().unwrap_or(ResponseCode::NoError),
            _ => ResponseCode::NotImp,
        };
        answer
    }

    fn found(&self, asked: &Message, answer: &mut Message) -> ResponseCode {
        let [query] = asked.queries.as_slice() else { return ResponseCode::FormErr };
        if !self.origin.zone_of(query.name()) {
            return ResponseCode::Refused;
        }
        let Some((ttl, addresses)) = self.records.get(query.name()) else { return ResponseCode::NXDomain };
        if query.query_type() == RecordType::A {
            let record =
                |address: &Ipv4Addr| Record::from_rdata(query.name().clone(), *ttl, RData::A(A(*address)));
            answer.add_answers(addresses.iter().map(record));
        }
        ResponseCode::NoError
    }

    fn update(&mut self, asked: &Message) -> Result<(), ResponseCode> {
        match asked.queries.as_slice() {
            [zone] if zone.query_type() != RecordType::SOA => return Err(ResponseCode::FormErr),
            [zone] if *zone.name() != self.origin => return Err(ResponseCode::NotAuth),
            [_] => {}
            _ => return Err(ResponseCode::FormErr),
        }
        self.required(&asked.answers)?;
        let mut records = self.records.clone();
        for change in &asked.authorities {
            self.change(&mut records, change)?;
        }
        records.retain(|_, (_, addresses)| !addresses.is_empty());
        self.records = records;
        Ok(())
    }

    /// Section 3.2: what has to be so.
    fn required(&self, prerequisites: &[Record]) -> Result<(), ResponseCode> {
        let mut exactly: BTreeMap<&Name, BTreeSet<Ipv4Addr>> = BTreeMap::new();
        for it in prerequisites {
            if !self.origin.zone_of(&it.name) {
                return Err(ResponseCode::NotZone);
            }
            let is_there = self.records.contains_key(&it.name);
            match (it.dns_class, it.record_type(), &it.data) {
                (DNSClass::IN, _, RData::A(A(address))) => {
                    exactly.entry(&it.name).or_default().insert(*address);
                }
                (DNSClass::ANY, RecordType::ANY, _) if !is_there => return Err(ResponseCode::NXDomain),
                (DNSClass::ANY, RecordType::A, _) if !is_there => return Err(ResponseCode::NXRRSet),
                (DNSClass::NONE, RecordType::ANY, _) if is_there => return Err(ResponseCode::YXDomain),
                (DNSClass::NONE, RecordType::A, _) if is_there => return Err(ResponseCode::YXRRSet),
                (DNSClass::ANY | DNSClass::NONE, RecordType::ANY | RecordType::A, _) => {}
                _ => return Err(ResponseCode::FormErr),
            }
        }
        let holds = |(name, wanted): (&&Name, &BTreeSet<Ipv4Addr>)| self.addresses(name) == *wanted;
        if exactly.iter().all(holds) { Ok(()) } else { Err(ResponseCode::NXRRSet) }
    }

    /// Section 3.4: what becomes otherwise.
    fn change(&self, records: &mut BTreeMap<Name, Held>, it: &Record) -> Result<(), ResponseCode> {
        if !self.origin.zone_of(&it.name) {
            return Err(ResponseCode::NotZone);
        }
        match (it.dns_class, it.record_type(), &it.data) {
            (DNSClass::IN, _, RData::A(A(address))) => {
                let (ttl, addresses) = records.entry(it.name.clone()).or_default();
                *ttl = it.ttl;
                addresses.insert(*address);
            }
            (DNSClass::ANY, RecordType::ANY | RecordType::A, _) => drop(records.remove(&it.name)),
            (DNSClass::NONE, _, RData::A(A(address))) => {
                if let Some((_, addresses)) = records.get_mut(&it.name) {
                    addresses.remove(address);
                }
            }
            _ => return Err(ResponseCode::FormErr),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::Query;

    const A1: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
    const B1: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn record(host: &str, address: Ipv4Addr) -> Record {
        Record::from_rdata(name(host), 5, RData::A(A(address)))
    }

    fn none_of(host: &str, class: DNSClass) -> Record {
        let mut record = Record::update0(name(host), 0, RecordType::A);
        record.dns_class = class;
        record
    }

    fn update(zone: &mut Zone, required: Vec<Record>, changes: Vec<Record>) -> ResponseCode {
        let mut message = Message::new(1, MessageType::Query, OpCode::Update);
        message.add_query(Query::query(name("lab."), RecordType::SOA));
        message.add_answers(required);
        message.add_authorities(changes);
        // As it comes over the wire.
        let message = Message::from_vec(&message.to_vec().unwrap()).unwrap();
        zone.answer(&message).metadata.response_code
    }

    #[test]
    fn an_update_is_done_only_where_its_prerequisite_holds_and_as_a_whole() {
        let (mut zone, www) = (Zone::new(name("lab.")), name("www.lab."));
        let absent = || vec![none_of("www.lab.", DNSClass::NONE)];
        assert_eq!(update(&mut zone, absent(), vec![record("www.lab.", A1)]), ResponseCode::NoError);
        assert_eq!(update(&mut zone, absent(), vec![record("www.lab.", B1)]), ResponseCode::YXRRSet);
        assert_eq!(zone.addresses(&www), [A1].into());
        let swap = || vec![none_of("www.lab.", DNSClass::ANY), record("www.lab.", B1)];
        let other = update(&mut zone, vec![record("www.lab.", B1)], swap());
        assert_eq!((other, zone.addresses(&www)), (ResponseCode::NXRRSet, [A1].into()));
        assert_eq!(update(&mut zone, vec![record("www.lab.", A1)], swap()), ResponseCode::NoError);
        assert_eq!(zone.addresses(&www), [B1].into());
        let half = vec![none_of("www.lab.", DNSClass::ANY), record("www.elsewhere.", A1)];
        assert_eq!(update(&mut zone, Vec::new(), half), ResponseCode::NotZone);
        assert_eq!(zone.addresses(&www), [B1].into(), "all or nothing");
        assert_eq!(
            update(&mut zone, Vec::new(), vec![none_of("www.lab.", DNSClass::ANY)]),
            ResponseCode::NoError
        );
        assert_eq!(zone.addresses(&www), BTreeSet::new());
    }

    #[test]
    fn a_question_is_answered_with_what_the_zone_holds_and_only_for_it() {
        let mut zone = Zone::new(name("lab."));
        assert_eq!(update(&mut zone, Vec::new(), vec![record("www.lab.", A1)]), ResponseCode::NoError);
        let mut asked = |host: &str, kind| {
            let mut message = Message::new(7, MessageType::Query, OpCode::Query);
            message.add_query(Query::query(name(host), kind));
            let answer = zone.answer(&message);
            (answer.metadata.response_code, answer.answers)
        };
        let held = vec![record("www.lab.", A1)];
        assert_eq!(asked("www.lab.", RecordType::A), (ResponseCode::NoError, held));
        assert_eq!(asked("www.lab.", RecordType::AAAA), (ResponseCode::NoError, Vec::new()));
        assert_eq!(asked("none.lab.", RecordType::A).0, ResponseCode::NXDomain);
        assert_eq!(asked("www.example.", RecordType::A).0, ResponseCode::Refused);
    }
}
