//! "Did you mean": the known word that is nearest to a wrong one.

/// One slip of the pen in this many letters is still the same word.
const LETTERS_PER_SLIP: usize = 3;

/// The known word nearest to the one found, when it is near enough to be meant.
pub fn nearest<'w>(found: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let slips_max = (found.chars().count() / LETTERS_PER_SLIP).max(1);
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(found, word), word))
        .filter(|(slips, _)| *slips <= slips_max)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, word)| word)
}

/// Advice on a wrong word: the one that was meant, or all that there are.
pub fn advise<'w>(found: &str, what: &str, known: impl IntoIterator<Item = &'w str> + Clone) -> String {
    if let Some(word) = nearest(found, known.clone()) {
        return format!("did you mean `{word}`?");
    }
    let all: Vec<&str> = known.into_iter().collect();
    if all.is_empty() {
        return format!("take it out: there are no {what} here");
    }
    format!("the {what} here are {}", all.join(", "))
}
