//! Paths with wildcards: `*`, `?`, `[a-z]` within a name, and `{a,b}` anywhere.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// How many paths one line may stand for.
const MOST: usize = 4096;
/// How deep braces may stand in braces.
const DEPTH: usize = 8;

pub(super) fn has_wildcards(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// What `{a,b}` stands for, each alternative in turn; `None` where that is too much.
pub(super) fn alternatives(path: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    expand(path, DEPTH, &mut found).then_some(found)
}

fn expand(path: &str, depth: usize, found: &mut Vec<String>) -> bool {
    let Some((before, choices, after)) = braces(path) else {
        found.push(path.to_owned());
        return found.len() <= MOST;
    };
    depth > 0 && choices.iter().all(|choice| expand(&format!("{before}{choice}{after}"), depth - 1, found))
}

/// What stands before the first braces, between their commas, and after them.
fn braces(path: &str) -> Option<(&str, Vec<&str>, &str)> {
    let open = path.find('{')?;
    let (mut depth, mut from, mut choices) = (0, open + 1, Vec::new());
    for (at, sign) in path.char_indices().skip_while(|(at, _)| *at < open) {
        match sign {
            '{' => depth += 1,
            ',' if depth == 1 => {
                choices.push(path.get(from..at)?);
                from = at + 1;
            }
            '}' if depth == 1 => {
                choices.push(path.get(from..at)?);
                return Some((path.get(..open)?, choices, path.get(at + 1..)?));
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The files that `path` matches, in the order of their names; folders are none.
pub(super) fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in path.components() {
        let name = part.as_os_str().to_string_lossy();
        if !matches!(part, Component::Normal(_)) || !has_wildcards(&name) {
            for path in &mut found {
                path.push(part);
            }
            continue;
        }
        found = found.iter().flat_map(|folder| inside(folder, &name)).take(MOST).collect();
    }
    found.retain(|path| fs::metadata(path).is_ok_and(|found| !found.is_dir()));
    found
}

fn inside(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let pattern: Vec<char> = pattern.chars().collect();
    let names = entries.take(MOST).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<_> = names
        .filter(|name| !name.starts_with('.') || pattern.first() == Some(&'.'))
        .filter(|name| matches(&pattern, &name.chars().collect::<Vec<_>>()))
        .collect();
    names.sort_unstable();
    names.into_iter().map(|name| folder.join(name)).collect()
}

/// Whether a name fits a pattern. Goes back to the last `*` only, so its time is bounded.
fn matches(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p..).and_then(|rest| one(rest, name[n])) {
            Some(Fit::Star) => {
                star = Some((p, n));
                p += 1;
            }
            Some(Fit::Sign(length)) => {
                p += length;
                n += 1;
            }
            None => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|sign| *sign == '*'))
}

enum Fit {
    Star,
    /// One sign, by this many of the pattern.
    Sign(usize),
}

fn one(pattern: &[char], sign: char) -> Option<Fit> {
    match pattern {
        ['*', ..] => Some(Fit::Star),
        ['?', ..] => Some(Fit::Sign(1)),
        ['[', rest @ ..] => class(rest, sign),
        ['\\', wanted, ..] => (*wanted == sign).then_some(Fit::Sign(2)),
        [wanted, ..] => (*wanted == sign).then_some(Fit::Sign(1)),
        [] => None,
    }
}

/// `a-z]` or `!a-z]`; without its end a `[` stands for itself.
fn class(rest: &[char], sign: char) -> Option<Fit> {
    let negated = matches!(rest.first(), Some('!' | '^'));
    let body = &rest[usize::from(negated)..];
    let Some(end) = body.iter().skip(1).position(|sign| *sign == ']').map(|end| end + 1) else {
        return (sign == '[').then_some(Fit::Sign(1));
    };
    let (mut at, mut within) = (0, false);
    while at < end {
        let last = if at + 2 < end && body[at + 1] == '-' { at + 2 } else { at };
        within |= (body[at]..=body[last]).contains(&sign);
        at = last + 1;
    }
    (within != negated).then_some(Fit::Sign(1 + usize::from(negated) + end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, name: &str) -> bool {
        matches(&pattern.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>())
    }

    #[test]
    fn wildcards_match_as_a_shell_does() {
        assert!(fits("*.conf", "a.conf") && fits("a?c", "abc") && fits("[a-c]x", "bx") && fits("**a*", "ba"));
        assert!(fits("[!a]x", "bx") && fits("a[", "a[") && fits("", "") && fits("\\*", "*"));
        assert!(!fits("*.conf", "a.conf~") && !fits("[!a]x", "ax") && !fits("a?", "a") && !fits("\\*", "a"));
        assert!(!fits(&"*a".repeat(30), &"a".repeat(29)));
    }

    #[test]
    fn braces_stand_for_each_alternative() {
        assert_eq!(alternatives("a{b,c{d,e}}f").unwrap(), ["abf", "acdf", "acef"]);
        assert_eq!(alternatives("a{b").unwrap(), ["a{b"]);
        assert_eq!(alternatives(&"{a,b}".repeat(20)), None);
    }
}
