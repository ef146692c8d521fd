//! Prometheus's text format 0.0.4: families of samples, written one behind the other. Knows no metric.

use std::fmt::{Display, Write};

/// What a family is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The text so far.
#[derive(Debug, Default)]
pub(super) struct Text(String);

/// Where the samples of one family go.
#[derive(Debug)]
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

/// Labels as they are written, without their braces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Labels(String);

impl Labels {
    /// These and one more.
    pub(super) fn and(&self, name: &str, value: &str) -> Labels {
        let mut text = self.0.clone();
        put(&mut text, name, value);
        Labels(text)
    }
}

impl Text {
    /// A family: its samples have to follow before the next one.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a string does not fail, here and below.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { text: &mut self.0, name }
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

impl Family<'_> {
    pub(super) fn sample(&mut self, labels: &Labels, value: impl Display) {
        self.write("", &labels.0, value);
    }

    /// A sample with one label more than `labels`.
    pub(super) fn with(&mut self, labels: &Labels, name: &str, label: &str, value: impl Display) {
        self.sample(&labels.and(name, label), value);
    }

    /// A histogram: the upper end of each span with how many are in it, how many are beyond all of them, and
    /// the sum.
    pub(super) fn spans(
        &mut self,
        labels: &Labels,
        spans: impl Iterator<Item = (f64, u64)>,
        beyond: u64,
        sum: f64,
    ) {
        let mut count = 0;
        for (end, new) in spans {
            count += new;
            self.write("_bucket", &labels.and("le", &end.to_string()).0, count);
        }
        count += beyond;
        self.write("_bucket", &labels.and("le", "+Inf").0, count);
        self.write("_sum", &labels.0, sum);
        self.write("_count", &labels.0, count);
    }

    fn write(&mut self, suffix: &str, labels: &str, value: impl Display) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        if !labels.is_empty() {
            self.text.push('{');
            self.text.push_str(labels);
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

fn put(text: &mut String, name: &str, value: &str) {
    if !text.is_empty() {
        text.push(',');
    }
    text.push_str(name);
    text.push_str("=\"");
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_samples_stand_below_their_family() {
        let mut text = Text::default();
        let one = Labels::default().and("router", "a\"b\\c\nd");
        let mut family = text.family("locum_x_total", Kind::Counter, "What it is.");
        family.sample(&one, 7);
        family.with(&one, "to", "é", 0.5);
        family.sample(&Labels::default(), 1);
        assert_eq!(
            text.into_string(),
            "# HELP locum_x_total What it is.\n# TYPE locum_x_total counter\n\
             locum_x_total{router=\"a\\\"b\\\\c\\nd\"} 7\n\
             locum_x_total{router=\"a\\\"b\\\\c\\nd\",to=\"é\"} 0.5\nlocum_x_total 1\n"
        );
    }

    #[test]
    fn the_spans_of_a_histogram_add_up() {
        let mut text = Text::default();
        let spans = [(0.001, 2), (2.5, 1)].into_iter();
        text.family("h", Kind::Histogram, "H.").spans(&Labels::default(), spans, 4, 1.5);
        let text = text.into_string();
        let samples: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(
            samples,
            [
                "h_bucket{le=\"0.001\"} 2",
                "h_bucket{le=\"2.5\"} 3",
                "h_bucket{le=\"+Inf\"} 7",
                "h_sum 1.5",
                "h_count 7"
            ]
        );
    }
}
