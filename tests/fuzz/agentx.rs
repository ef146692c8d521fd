//! What a master agent sends to the sub-agent of SNMP: messages, and answers to them.

use crate::harness::Fuzz;
use locum::snmp::answer::answer;
use locum::snmp::oid::{Binding, Oid, Value};
use locum::snmp::pdu::{Body, Order, Pdu, Range};
use locum::snmp::tree::Tree;

fn name(parts: &[u32]) -> Oid {
    Oid::from(parts)
}

/// One of each kind, in both byte orders.
fn seeds() -> Vec<Vec<u8>> {
    let at = name(&[1, 3, 6, 1, 4, 1, 9586, 100, 5]);
    let range = Range { from: at.clone(), include: true, to: name(&[1, 3, 7]) };
    let values = [Value::Integer(1), Value::text("abc"), Value::Oid(at.clone()), Value::Ipv4([10, 0, 0, 1])];
    let more = [Value::Counter64(9), Value::Null, Value::EndOfView];
    let bindings = values.into_iter().chain(more).map(|value| Binding { name: at.clone(), value });
    let bindings: Vec<_> = bindings.collect();
    let bodies = [
        Body::Get(vec![range.clone(); 3]),
        Body::GetNext(vec![range.clone()]),
        Body::GetBulk { once: 1, times: 9, ranges: vec![range; 2] },
        Body::TestSet(bindings.clone()),
        Body::CleanupSet,
        Body::Close { reason: 1 },
        Body::Ping,
        Body::Response { uptime: 1, error: 0, index: 0, bindings },
    ];
    let both = bodies.into_iter().flat_map(|body| [(Order::Network, body.clone()), (Order::Little, body)]);
    let pdu = |(order, body)| Pdu { order, session: 7, transaction: 8, packet: 9, context: None, body };
    both.map(|both| pdu(both).encode()).collect()
}

#[test]
fn any_message_of_a_master_agent_is_refused_or_reads_the_same_again_and_has_its_answer() {
    let rows = (0..200).map(|row| Binding { name: name(&[1, 3, 6, 1, 4, 1, row]), value: Value::Integer(1) });
    let tree = Tree::new(rows.collect(), [name(&[1, 3, 6, 1, 4, 1])].into());
    Fuzz::new(seeds(), &["\u{1}\u{5}", "\0\0\0\u{4}"]).run("agentx", move |input| {
        if let Ok(pdu) = Pdu::decode(input) {
            assert_eq!(Pdu::decode(&pdu.encode()), Ok(pdu.clone()));
            if let Some(body) = answer(&pdu.body, pdu.context.is_some(), &tree) {
                let answered = Pdu { context: None, body, ..pdu };
                assert_eq!(Pdu::decode(&answered.encode()), Ok(answered));
            }
        }
    });
}
