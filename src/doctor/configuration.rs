//! This host's own file.

use super::Report;
use crate::config::{Problem, Severity};

/// Judges what was found in the file; `good` where it can be used.
pub fn judge(file: &str, good: bool, problems: &[Problem], report: &mut Report) {
    for problem in problems {
        let place = if problem.line == 0 { file.to_owned() } else { format!("{file}:{}", problem.line) };
        let what = format!("{place}: {}", problem.message);
        let mend = problem.help.clone().unwrap_or_else(|| format!("see: locum check {file}"));
        match problem.severity {
            Severity::Error if good => {
                report.doubt("configuration", what, "this part of the file is left out", mend);
            }
            Severity::Error => {
                report.trouble("configuration", what, "the daemon does not start with this file", mend);
            }
            Severity::Warning => {
                let why = "it is allowed, and seldom meant: the daemon may not do what the file seems to say";
                report.doubt("configuration", what, why, mend);
            }
        }
    }
    if good && problems.is_empty() {
        report.fine("configuration", format!("{file} is good"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Severity::{Doubt, Fine, Trouble};
    use super::*;
    use std::path::Path;

    #[test]
    fn an_error_is_trouble_a_warning_a_doubt_and_a_good_file_fine() {
        let problem = |severity| Problem::of_file(severity, Path::new("a"), "m".into(), Some("h".into()));
        for (good, problems, severity) in [
            (false, vec![problem(Severity::Error)], Trouble),
            (true, vec![problem(Severity::Error)], Doubt),
            (true, vec![problem(Severity::Warning)], Doubt),
            (true, Vec::new(), Fine),
        ] {
            let mut report = Report::default();
            judge("a.toml", good, &problems, &mut report);
            assert_eq!(report.said(), [(severity, "configuration")]);
            assert!(severity == Fine || report.findings[0].mend == "h");
        }
    }
}
