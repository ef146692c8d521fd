//! The name that was probably meant.

/// The one of `known` nearest to `written`, if any is near enough to be a slip of the hand.
pub(super) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let slips = (written.chars().count() / 3).max(1);
    let written = written.to_lowercase();
    known
        .into_iter()
        .map(|name| (distance(&written, &name.to_lowercase()), name))
        .filter(|(far, _)| *far <= slips)
        .min_by_key(|(far, _)| *far)
        .map(|(_, name)| name)
}

/// How many letters must be put in, taken out, changed or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut least = (rows[i][j] + usize::from(x != y)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_finds_its_name() {
        let known = ["priority", "preempt", "peers", "vrid"];
        assert_eq!(nearest("prioirty", known), Some("priority"));
        assert_eq!(nearest("Priority", known), Some("priority"));
        assert_eq!(nearest("pre-empt", known), Some("preempt"));
        assert_eq!(nearest("mastr", ["MASTER", "BACKUP"]), Some("MASTER"));
        assert_eq!(nearest("peer", known), Some("peers"));
        assert_eq!(nearest("virtual_router_id", known), None);
        assert_eq!(nearest("", known), None);
    }
}
