//! Whatever stands in a file, it is read or told of; nothing breaks.

use super::read;
use locum::config::render_all;
use proptest::prelude::*;

const GOOD: &[&str] = &[
    include_str!("../../examples/all-keys.toml"),
    include_str!("../../examples/addresses.toml"),
    include_str!("../../examples/check-http.toml"),
    include_str!("../../examples/weights.toml"),
    include_str!("bad.toml"),
];

/// One slip: at a place, some characters go and others come.
fn slip() -> impl Strategy<Value = (usize, usize, String)> {
    let signs = prop::sample::select(vec!["", "\"", "'", "=", "[", "]", "{", "}", "\n", "#", ".", "-", "0"]);
    let came = prop_oneof![signs.prop_map(str::to_owned), "\\PC{0,3}", "[0-9]{1,22}"];
    (any::<prop::sample::Index>(), 0..12_usize, came)
        .prop_map(|(at, gone, came)| (at.index(4096), gone, came))
}

fn damaged(text: &str, slips: &[(usize, usize, String)]) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for (at, gone, came) in slips {
        let at = at % (letters.len() + 1);
        let end = (at + gone).min(letters.len());
        letters.splice(at..end, came.chars());
    }
    letters.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn damaged_files_are_read_or_told_of_with_their_place(
        file in prop::sample::select(GOOD),
        slips in prop::collection::vec(slip(), 1..5),
    ) {
        let text = damaged(file, &slips);
        let lines = text.matches('\n').count() + 1;
        let (problems, failed) = match read(&text) {
            Ok(loaded) => (loaded.warnings, false),
            Err(problems) => (problems.0, true),
        };
        prop_assert!(!failed || !problems.is_empty());
        prop_assert!(problems.iter().all(|problem| (1..=lines).contains(&problem.line) && problem.column > 0));
        prop_assert_eq!(render_all(&problems, false).is_empty(), problems.is_empty());
    }
}
