//! What the doctor has found: findings with their mends, and what could not be looked at.

use serde::Serialize;
use std::borrow::Cow;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The address is or will be on no host, on two, or not where it should be.
    Trouble,
    /// It may be meant so, and costs a night where it is not.
    Doubt,
    /// It was looked at, and is as it should be.
    Fine,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: stays the same over versions.
    pub id: Cow<'static, str>,
    /// How bad it is.
    pub severity: Severity,
    /// What was found, on one line.
    pub what: String,
    /// Why it matters; empty where it is fine.
    pub why: String,
    /// A command or a line of a file that mends it; empty where it is fine.
    pub mend: String,
}

/// One thing that could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unseen {
    /// What would have been looked at.
    pub what: String,
    /// Why it was not.
    pub why: String,
}

/// Everything that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order in which it was looked for.
    pub findings: Vec<Finding>,
    /// What was not looked at.
    pub unseen: Vec<Unseen>,
}

/// A name that stays the same over versions.
type Id = Cow<'static, str>;

impl Report {
    /// What has to be mended.
    pub fn trouble(
        &mut self,
        id: impl Into<Id>,
        what: impl Into<String>,
        why: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.add(Severity::Trouble, id.into(), what.into(), why.into(), mend.into());
    }

    /// What should be looked at.
    pub fn doubt(
        &mut self,
        id: impl Into<Id>,
        what: impl Into<String>,
        why: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.add(Severity::Doubt, id.into(), what.into(), why.into(), mend.into());
    }

    /// What is as it should be.
    pub fn fine(&mut self, id: impl Into<Id>, what: impl Into<String>) {
        self.add(Severity::Fine, id.into(), what.into(), String::new(), String::new());
    }

    /// What was not looked at.
    pub fn unseen(&mut self, what: impl Into<String>, why: impl Into<String>) {
        let unseen = Unseen { what: what.into(), why: why.into() };
        if !self.unseen.contains(&unseen) {
            self.unseen.push(unseen);
        }
    }

    /// Each thing once, whichever way it was come upon.
    fn add(&mut self, severity: Severity, id: Id, what: String, why: String, mend: String) {
        let finding = Finding { id, severity, what, why, mend };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// The worst of it.
    #[must_use]
    pub fn worst(&self) -> Severity {
        self.findings.iter().map(|finding| finding.severity).min().unwrap_or(Severity::Fine)
    }

    /// Those of one kind.
    pub fn of(&self, severity: Severity) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.severity == severity)
    }
}

#[cfg(test)]
impl Report {
    /// What a judge says: severity and id of each finding.
    pub(super) fn said(&self) -> Vec<(Severity, &str)> {
        self.findings.iter().map(|finding| (finding.severity, &*finding.id)).collect()
    }
}
