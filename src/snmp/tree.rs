//! What is served at one moment: names in their order, and what stands there. Built by `rows`.

use super::oid::{Binding, Oid, Value};
use super::pdu::Range;
use std::collections::BTreeSet;

/// Everything that is served.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    bindings: Vec<Binding>,
    /// The names of the objects, without those of rows.
    objects: BTreeSet<Oid>,
}

impl Tree {
    /// A tree with these leaves, whatever their order, and the objects that they are rows of.
    #[must_use]
    pub fn new(mut bindings: Vec<Binding>, objects: BTreeSet<Oid>) -> Self {
        bindings.sort_by(|one, other| one.name.cmp(&other.name));
        // Of two rows that would be one, the first counts.
        bindings.dedup_by(|one, other| one.name == other.name);
        Tree { bindings, objects }
    }

    /// All of it, in order.
    #[must_use]
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// What stands at `name`.
    #[must_use]
    pub fn get(&self, name: &Oid) -> Value {
        match self.bindings.binary_search_by(|binding| binding.name.cmp(name)) {
            Ok(place) => self.bindings[place].value.clone(),
            Err(_) if self.objects.iter().any(|object| name.is_within(object)) => Value::NoSuchInstance,
            Err(_) => Value::NoSuchObject,
        }
    }

    /// The first leaf in `range`.
    #[must_use]
    pub fn first(&self, range: &Range) -> Option<&Binding> {
        let before =
            |binding: &Binding| binding.name < range.from || !range.include && binding.name == range.from;
        let found = self.bindings.get(self.bindings.partition_point(before))?;
        (range.to.is_null() || found.name < range.to).then_some(found)
    }
}
