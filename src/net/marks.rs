//! How Locum's addresses are known again after a crash: by the mark that the kernel keeps, or by a journal.
//!
//! Part of `settle`, which puts them there.

use super::netlink::{AddressFact, Change};
use super::settle::Settler;
use super::wanted::{Place, place};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

impl Settler {
    /// A crash in the next moment must not leave an address that nobody knows of.
    pub(super) fn before_adding(&mut self, interface: &Arc<str>, changes: &[Change]) {
        let added = changes.iter().filter(|change| change.adds()).map(Change::fact);
        if self.marks != Some(true) {
            let addresses = added.clone().filter(|fact| !fact.own()).map(|fact| fact.address);
            self.means.placed.write().unwrap_or_else(PoisonError::into_inner).extend(addresses);
            let places = self.put.iter().cloned().chain(added.map(|fact| place(interface, fact))).collect();
            self.remember(&places);
        }
    }

    pub(super) fn write_journal(&mut self) {
        let places = if self.marks == Some(true) { BTreeSet::new() } else { self.put.clone() };
        self.remember(&places);
    }

    /// Without a journal a crash leaves something behind; without the address nothing works. The next change
    /// tries again.
    fn remember(&mut self, places: &BTreeSet<Place>) {
        let written = self.journal.write(places);
        self.news =
            written.as_ref().err().filter(|_| !self.forgetful).map(ToString::to_string).or(self.news.take());
        self.forgetful = written.is_err();
    }

    /// Why the journal cannot be written, once.
    pub(super) fn forgets(&mut self) -> Option<String> {
        self.news.take().filter(|_| self.marks != Some(true))
    }

    /// Whoever keeps one mark keeps all. Kernels that do mark `::1` themselves: there no takeover has to find out, nor
    /// to write a journal before it knows.
    pub(super) fn see_marks(&mut self, present: &[AddressFact]) {
        if self.marks.is_none() && !self.means.unmarked && present.iter().any(|fact| fact.proto.is_some()) {
            self.marks = Some(true);
        }
    }

    /// Once: looks at an address just put there, whether it carries the mark.
    pub(super) fn learn_of_marks(&mut self, changes: &[Change]) -> Result<(), String> {
        let added = changes.iter().find(|change| change.adds());
        if let (None, Some(added)) = (self.marks, added) {
            let added = added.fact();
            let present = self.present(added.index)?;
            let same = |fact: &&AddressFact| fact.address == added.address && fact.prefix == added.prefix;
            self.marks = present.iter().find(same).map(AddressFact::marked);
            if self.marks == Some(true) {
                // By its mark it is told from what somebody else puts beside it.
                self.means.placed.write().unwrap_or_else(PoisonError::into_inner).clear();
            }
        }
        Ok(())
    }
}
