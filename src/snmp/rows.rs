//! How the MIBs put their rows into a tree: an entry, a column, an index, a value.

use super::oid::{Binding, Oid, Value};
use super::tree::Tree;
use std::collections::BTreeSet;

/// A tree that is being made.
#[derive(Default)]
pub(super) struct Rows {
    bindings: Vec<Binding>,
    objects: BTreeSet<Oid>,
}

impl Rows {
    /// A value that there is once, with 0 behind its name.
    pub(super) fn scalar(&mut self, parent: &[u32], object: u32, value: Value) {
        self.put(parent, object, &[0], value);
    }

    /// One value of a table's row.
    pub(super) fn put(&mut self, entry: &[u32], column: u32, index: &[u32], value: Value) {
        let object = Oid::from(entry).with(&[column]);
        self.bindings.push(Binding { name: object.with(index), value });
        self.objects.insert(object);
    }

    /// A row, column by column; what is `None` is not there.
    pub(super) fn row<const N: usize>(
        &mut self,
        entry: &[u32],
        index: &[u32],
        values: [(u32, Option<Value>); N],
    ) {
        for (column, value) in values {
            if let Some(value) = value {
                self.put(entry, column, index, value);
            }
        }
    }

    pub(super) fn into_tree(self) -> Tree {
        Tree::new(self.bindings, self.objects)
    }
}
