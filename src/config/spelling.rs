//! What somebody may have meant who wrote a name that is not known.

/// Finds the known name that is nearest to what was given, if one is near.
pub(super) fn nearest<'a>(known: impl IntoIterator<Item = &'a str>, given: &str) -> Option<&'a str> {
    let near = known.into_iter().filter(|known| is_like(known, given));
    near.min_by_key(|known| (distance(known, given), known.as_bytes().first() != given.as_bytes().first()))
}

/// Tells whether two names differ by little: a slip of the finger, or a part left out.
pub(super) fn is_like(known: &str, given: &str) -> bool {
    distance(known, given) <= 2 || (given.len() > 3 && known.contains(given))
}

/// Counts the letters to change, add or leave out (V. Levenshtein, 1965).
fn distance(known: &str, given: &str) -> usize {
    let mut row: Vec<usize> = (0..=given.len()).collect();
    for (i, a) in known.bytes().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in given.bytes().enumerate() {
            let change = corner + usize::from(a != b);
            corner = row[j + 1];
            row[j + 1] = change.min(corner + 1).min(row[j] + 1);
        }
    }
    row[given.len()]
}
