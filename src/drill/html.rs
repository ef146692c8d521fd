//! The report as one page that needs nothing from elsewhere, with a picture of each step: what happened when, and
//! when a client got no answer. Pure.

use super::report::{Report, Step, measured};
use data_encoding::BASE64;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Colours as on the status page.
const STYLE: &str = ":root{--ground:#f6f7f9;--card:#fff;--ink:#1a1f26;--faint:#535d6b;--line:#d3d9e1;\
--good:#14713d;--warn:#8a5200;--bad:#b3261e}\
@media(prefers-color-scheme:dark){:root{--ground:#12161b;--card:#1b2129;--ink:#e7ebf0;--faint:#a3afbe;\
--line:#35404d;--good:#6fd19a;--warn:#f0b45a;--bad:#ff8f85}}\
body{margin:0 auto;padding:.75rem;max-width:60rem;background:var(--ground);color:var(--ink);\
font:1rem/1.45 system-ui,sans-serif;overflow-wrap:anywhere}\
section{margin:.75rem 0;padding:.6rem .9rem;background:var(--card);border:1px solid var(--line);border-radius:.4rem}\
h1{font-size:1.4rem}h2{margin:0;font-size:1.05rem}p{margin:.3rem 0}.faint{color:var(--faint)}\
.met{color:var(--good)}.missed,.not-restored{color:var(--bad)}.skipped{color:var(--warn)}\
svg{display:block;width:100%;height:auto}text{fill:var(--ink);font-size:12px;paint-order:stroke;stroke:var(--card);stroke-width:4px}\
.axis{stroke:var(--faint)}.gap{fill:var(--bad)}.mark{stroke:var(--ink);stroke-dasharray:3 3}\
.ok{fill:var(--good)}";

/// The width of a picture, its margins, and the height of a line of words.
const WIDTH: f64 = 720.0;
const MARGIN: f64 = 20.0;
const LINE: f64 = 16.0;

/// The whole page. Nothing in it is asked for or run, whatever it shows.
#[must_use]
pub fn html(report: &Report) -> String {
    let began = report.began.strftime("%Y-%m-%d %H:%M:%S UTC");
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{style}'\">\n\
         <title>locum drill: {node}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>Drill on {node}</h1>\n\
         <p>{began}, {place}, {seconds:.1} s: <strong class=\"{class}\">{verdict}</strong></p>\n",
        node = safe(&report.node),
        style = BASE64.encode(&Sha256::digest(STYLE)),
        place = safe(&report.place),
        seconds = seconds(report.took_ms),
        class = class(report.outcome.name()),
        verdict = report.verdict(),
    );
    if !report.objectives.is_empty() {
        let most = report.objectives.iter();
        let most: Vec<_> =
            most.map(|(name, most)| format!("{} {most:.0} ms", name.trim_end_matches("_ms"))).collect();
        let _ = writeln!(page, "<p class=\"faint\">promised, at most: {}</p>", safe(&most.join(", ")));
    }
    for step in &report.steps {
        section(&mut page, step);
    }
    page + "</body>\n</html>\n"
}

fn section(page: &mut String, step: &Step) {
    let word = step.outcome.name();
    let _ = writeln!(
        page,
        "<section>\n<h2>{}: {} <span class=\"{}\">{word}</span></h2>",
        step.kind,
        safe(&step.what),
        class(word)
    );
    let numbers = measured(&step.measured);
    let lines = step.problems.iter().map(|line| (line, "missed"));
    let lines = lines.chain(step.notes.iter().map(|line| (line, "faint")));
    let lines = Some((&numbers, "")).filter(|(numbers, _)| !numbers.is_empty()).into_iter().chain(lines);
    for (line, class) in lines {
        let _ = writeln!(page, "<p class=\"{class}\">{}</p>", safe(line));
    }
    if !step.timeline.is_empty() {
        page.push_str(&picture(step));
    }
    page.push_str("</section>\n");
}

/// From the left to the right: when the client got an answer and when not, and what happened beneath.
fn picture(step: &Step) -> String {
    let gaps = step.measured.outage.iter().flat_map(|outage| &outage.gaps);
    let last = step.timeline.iter().map(|moment| moment.at_ms).chain(gaps.clone().map(|gap| gap.to_ms));
    let last = last.fold(1.0, f64::max) * 1.05;
    let first = -last / 20.0;
    let x = |at: f64| MARGIN + (at.clamp(first, last) - first) / (last - first) * (WIDTH - 2.0 * MARGIN);
    let rows = step.timeline.iter().fold(0.0, |rows, _| rows + 1.0);
    let height = 40.0 + rows * LINE + 24.0;
    let title = format!("{}: what happened when", step.kind);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH:.0} {height:.0}\" role=\"img\" aria-label=\"{title}\">\n<title>{title}</title>\n"
    );
    if step.measured.outage.is_some() {
        let _ = writeln!(
            svg,
            "<rect class=\"ok\" x=\"{MARGIN}\" y=\"10\" width=\"{:.1}\" height=\"12\"><title>the client gets \
             answers</title></rect>",
            WIDTH - 2.0 * MARGIN
        );
    }
    for gap in gaps {
        // Not too narrow to be seen.
        let width = (x(gap.to_ms) - x(gap.from_ms)).max(1.5);
        let _ = writeln!(
            svg,
            "<rect class=\"gap\" x=\"{:.1}\" y=\"10\" width=\"{width:.1}\" height=\"12\"><title>no answer for {:.0} \
             ms</title></rect>",
            x(gap.from_ms),
            gap.length()
        );
    }
    let bottom = height - 18.0;
    for at in step.timeline.iter().map(|moment| x(moment.at_ms)) {
        let _ = writeln!(
            svg,
            "<line class=\"mark\" x1=\"{at:.1}\" y1=\"24\" x2=\"{at:.1}\" y2=\"{bottom:.0}\"/>"
        );
    }
    // Words lie over all lines.
    let mut y = 38.0;
    for moment in &step.timeline {
        let at = x(moment.at_ms);
        // Beside their own, on the side where there is more room.
        let (anchor, beside) = if at > WIDTH / 2.0 { ("end", at - 4.0) } else { ("start", at + 4.0) };
        let _ = writeln!(
            svg,
            "<text x=\"{beside:.1}\" y=\"{y:.0}\" text-anchor=\"{anchor}\">{:.0} ms: {}</text>",
            moment.at_ms,
            safe(&moment.what)
        );
        y += LINE;
    }
    let _ = writeln!(
        svg,
        "<line class=\"axis\" x1=\"{MARGIN}\" y1=\"{bottom:.0}\" x2=\"{:.0}\" y2=\"{bottom:.0}\"/>\
         <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{last:.0} ms</text>\n</svg>",
        WIDTH - MARGIN,
        WIDTH - MARGIN,
        bottom + 14.0
    );
    svg
}

fn class(word: &str) -> String {
    word.replace(' ', "-")
}

fn seconds(millis: u64) -> f64 {
    std::time::Duration::from_millis(millis).as_secs_f64()
}

/// As text, whatever is in it.
fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::{Gap, Kind, Objectives, Outage, Run};

    #[test]
    fn the_page_has_a_picture_asks_nobody_and_shows_words_as_words() {
        let mut run = Run { what: "a & <script>".to_owned(), ..Run::default() };
        run.measured.outage = Some(Outage {
            sent: 10,
            lost: 5,
            longest_ms: 500.0,
            gaps: vec![Gap { from_ms: 0.0, to_ms: 500.0 }],
        });
        run.happened(0.0, "killed \"it\"");
        run.happened(1000.0, "b is Master");
        let step = Step::of(Kind::Daemon, run, &Objectives::default());
        let began = "2026-03-01T10:00:00Z".parse().unwrap();
        let report = Report::new(false, "a<b".to_owned(), began, 1500, &Objectives::default());
        let page = html(&report.with(vec![step]));
        for part in [
            "<svg viewBox",
            "<title>no answer for 500 ms</title>",
            "daemon: a &amp; &lt;script&gt; <span class=\"met\">met</span>",
            "0 ms: killed &quot;it&quot;</text>",
            "1000 ms: b is Master",
            "Drill on a&lt;b",
            "2026-03-01 10:00:00 UTC, live, 1.5 s",
        ] {
            assert!(page.contains(part), "{part} in\n{page}");
        }
        for stranger in ["http://", "https://", "src=", "href=", "@import", "url(", "<script"] {
            assert!(!page.contains(stranger), "{stranger} in\n{page}");
        }
    }
}
