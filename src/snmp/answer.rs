//! Which question of a master agent has which answer (RFC 2741 section 7.2.3). Pure: the tree is given.

use super::oid::{Binding, Value};
use super::pdu::{Body, Range};
use super::tree::Tree;

/// The most bindings in one answer; a manager asks for the rest.
const MOST: usize = 1000;

/// Errors of answers (RFC 2741 section 6.2.16, RFC 3416 section 3).
pub(super) const UNSUPPORTED_CONTEXT: u16 = 262;

/// Whether the tree is needed to answer this.
#[must_use]
pub const fn asks(body: &Body) -> bool {
    matches!(body, Body::Get(_) | Body::GetNext(_) | Body::GetBulk { .. })
}

/// The answer to `body`; `None` where none is wanted. `context`: another view of the tree is meant, and
/// there is none.
#[must_use]
pub fn answer(body: &Body, context: bool, tree: &Tree) -> Option<Body> {
    let found = |bindings| Some(Body::Response { uptime: 0, error: 0, index: 0, bindings });
    match body {
        Body::Get(_) | Body::GetNext(_) | Body::GetBulk { .. } if context => {
            let (error, index) = (UNSUPPORTED_CONTEXT, 0);
            Some(Body::Response { uptime: 0, error, index, bindings: Vec::new() })
        }
        Body::Get(ranges) => found(ranges.iter().map(|range| get(range, tree)).collect()),
        Body::GetNext(ranges) => found(ranges.iter().map(|range| next(range, tree)).collect()),
        Body::GetBulk { once, times, ranges } => found(bulk(*once, *times, ranges, tree)),
        Body::Open { .. }
        | Body::Close { .. }
        | Body::Register { .. }
        | Body::TestSet(_)
        | Body::CommitSet
        | Body::UndoSet
        | Body::CleanupSet
        | Body::Notify(_)
        | Body::Ping
        | Body::Response { .. } => None,
    }
}

fn get(range: &Range, tree: &Tree) -> Binding {
    Binding { name: range.from.clone(), value: tree.get(&range.from) }
}

fn next(range: &Range, tree: &Tree) -> Binding {
    let end = || Binding { name: range.from.clone(), value: Value::EndOfView };
    tree.first(range).cloned().unwrap_or_else(end)
}

/// First those that are asked once; then one row after the other, until all have ended (section 7.2.3.3).
fn bulk(once: u16, times: u16, ranges: &[Range], tree: &Tree) -> Vec<Binding> {
    let (single, repeated) = ranges.split_at(usize::from(once).min(ranges.len()));
    let mut found: Vec<Binding> = single.iter().map(|range| next(range, tree)).collect();
    let mut repeated: Vec<Range> = repeated.to_vec();
    for _ in 0..times {
        let mut ended = true;
        for range in &mut repeated {
            if found.len() >= MOST {
                return found;
            }
            let binding = next(range, tree);
            ended &= binding.value == Value::EndOfView;
            *range = Range { from: binding.name.clone(), include: false, to: std::mem::take(&mut range.to) };
            found.push(binding);
        }
        if ended {
            break;
        }
    }
    found
}

/// The names of an answer, for tests.
#[cfg(test)]
fn names(body: Option<Body>) -> Vec<(String, bool)> {
    let Some(Body::Response { bindings, .. }) = body else { panic!("no answer") };
    let name = |binding: Binding| (binding.name.to_string(), binding.value == Value::EndOfView);
    bindings.into_iter().map(name).collect()
}

/// A range from a name to a name, for tests.
#[cfg(test)]
fn range(from: &[u32], to: &[u32]) -> Range {
    Range { from: from.into(), include: false, to: to.into() }
}

#[cfg(test)]
mod tests {
    use super::super::rows::Rows;
    use super::*;

    /// 1.1.0, and two columns 2.1 and 2.2 with rows 1 and 2.
    fn tree() -> Tree {
        let mut rows = Rows::default();
        for index in [2, 1] {
            rows.row(&[2], &[index], [(2, Some(Value::Null)), (1, Some(Value::Integer(1))), (3, None)]);
        }
        rows.scalar(&[1], 1, Value::text("x"));
        rows.into_tree()
    }

    #[test]
    fn a_name_is_found_or_it_is_said_whether_its_object_is_known() {
        let asked = [&[1, 1, 0][..], &[2, 1, 7], &[2, 3, 1], &[9]].map(|name| range(name, &[]));
        let Some(Body::Response { error: 0, bindings, .. }) =
            answer(&Body::Get(asked.into()), false, &tree())
        else {
            panic!("no answer");
        };
        let values: Vec<_> = bindings.into_iter().map(|binding| binding.value).collect();
        let none = Value::NoSuchObject;
        assert_eq!(values, [Value::text("x"), Value::NoSuchInstance, none.clone(), none]);
    }

    #[test]
    fn a_walk_meets_every_name_once_in_order_and_ends() {
        let tree = tree();
        let (mut at, mut met) = (vec![1], Vec::new());
        for _ in 0..=tree.bindings().len() {
            let mut found = names(answer(&Body::GetNext(vec![range(&at, &[])]), false, &tree));
            let (name, ended) = found.remove(0);
            if !ended {
                at = name.split('.').map(|part| part.parse().unwrap()).collect();
                met.push(name);
            }
        }
        assert_eq!(met, ["1.1.0", "2.1.1", "2.1.2", "2.2.1", "2.2.2"]);
    }

    #[test]
    fn a_range_that_ends_finds_nothing_behind_its_end_and_may_include_its_begin() {
        let one = |range| names(answer(&Body::GetNext(vec![range]), false, &tree()));
        assert_eq!(one(range(&[1, 1, 0], &[2])), [("1.1.0".to_owned(), true)]);
        assert_eq!(one(range(&[1, 1, 0], &[3])), [("2.1.1".to_owned(), false)]);
        let include = Range { include: true, ..range(&[1, 1, 0], &[2]) };
        assert_eq!(one(include), [("1.1.0".to_owned(), false)]);
    }

    #[test]
    fn many_rows_come_at_once_row_by_row_and_stop_where_all_have_ended() {
        let ranges = vec![range(&[1], &[]), range(&[2, 1], &[2, 2]), range(&[2, 2], &[])];
        let found = names(answer(&Body::GetBulk { once: 1, times: 50, ranges }, false, &tree()));
        let shown: Vec<_> = found.iter().map(|(name, ended)| (name.as_str(), *ended)).collect();
        let row = |n| {
            if n == 1 { [("2.1.1", false), ("2.2.1", false)] } else { [("2.1.2", false), ("2.2.2", false)] }
        };
        let end = [("2.1.2", true), ("2.2.2", true)];
        assert_eq!(shown, [&[("1.1.0", false)][..], &row(1), &row(2), &end].concat());
    }

    #[test]
    fn nobody_gets_more_rows_at_once_than_fit() {
        let mut rows = Rows::default();
        (0..5000).for_each(|index| rows.put(&[1], 1, &[index], Value::Null));
        let body = Body::GetBulk { once: 0, times: u16::MAX, ranges: vec![range(&[1], &[]); 3] };
        assert_eq!(names(answer(&body, false, &rows.into_tree())).len(), MOST);
    }

    #[test]
    fn other_views_are_not_there() {
        let error = |body: &Body, context| match answer(body, context, &tree()) {
            Some(Body::Response { error, .. }) => Some(error),
            _ => None,
        };
        assert_eq!(error(&Body::Get(Vec::new()), false), Some(0));
        assert_eq!(error(&Body::Get(Vec::new()), true), Some(UNSUPPORTED_CONTEXT));
    }
}
