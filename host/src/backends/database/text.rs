//! What can be told from the text of a statement before SQLite sees it.

use super::DatabaseError;

/// The prefix of the host's own tables.
const HOST_PREFIX: &str = "hostel_";

/// Statements refused by their first word, each with its rule. The authorizer refuses most of them as well;
/// here the reason can be said better, and a VACUUM never starts.
const REFUSED: [(&str, &str); 10] = [
    ("ATTACH", "ATTACH: a service has one database"),
    ("DETACH", "DETACH: a service has one database"),
    ("PRAGMA", "PRAGMA: the host sets how the database works"),
    ("VACUUM", "VACUUM: the host keeps the file, and no copy of it is written elsewhere"),
    ("BEGIN", TRANSACTION_RULE),
    ("COMMIT", TRANSACTION_RULE),
    ("END", TRANSACTION_RULE),
    ("ROLLBACK", TRANSACTION_RULE),
    ("SAVEPOINT", TRANSACTION_RULE),
    ("RELEASE", TRANSACTION_RULE),
];

/// The rule about transactions.
pub const TRANSACTION_RULE: &str = "transactions as text: use the `transaction` resource";

/// The rule about the host's own tables.
pub const HOST_TABLE_RULE: &str = "tables named `hostel_*` are the host's own";

/// Refuses what is no statement, and statements that no service may run.
pub fn check(sql: &str) -> Result<(), DatabaseError> {
    if sql.contains('\0') {
        return Err(DatabaseError::statement("the statement contains a NUL character"));
    }
    let Some(word) = first_word(sql) else {
        return Err(DatabaseError::statement("the statement is empty"));
    };
    match REFUSED.iter().find(|(refused, _)| word.eq_ignore_ascii_case(refused)) {
        Some((_, rule)) => Err(denied(rule)),
        None => Ok(()),
    }
}

/// The error for a broken rule.
pub fn denied(rule: &str) -> DatabaseError {
    DatabaseError::Denied(format!("not allowed: {rule}"))
}

/// Whether a name is one of the host's own; SQLite compares names in ASCII without case.
pub fn is_host_name(name: &str) -> bool {
    name.as_bytes()
        .get(..HOST_PREFIX.len())
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case(HOST_PREFIX.as_bytes()))
}

/// Whether the text speaks of a name of the host's own anywhere.
pub fn mentions_host_name(sql: &str) -> bool {
    sql.as_bytes()
        .windows(HOST_PREFIX.len())
        .any(|window| window.eq_ignore_ascii_case(HOST_PREFIX.as_bytes()))
}

/// The first word after white space and comments; none when there is nothing else.
fn first_word(sql: &str) -> Option<&str> {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}', '\u{feff}']);
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n').map_or("", |(_, after)| after);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, after)| after);
        } else {
            break;
        }
    }
    if rest.is_empty() {
        return None;
    }
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    Some(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_stands_after_comments() {
        assert_eq!(first_word(" /* a */ -- b\n\tSELECT 1"), Some("SELECT"));
        assert_eq!(first_word("PRAGMA/**/user_version"), Some("PRAGMA"));
        assert_eq!(first_word("(SELECT 1)"), Some(""));
        assert_eq!(first_word(" -- nothing"), None);
        assert_eq!(first_word("/* open"), None);
    }

    #[test]
    fn host_names_are_found_in_any_case() {
        assert!(is_host_name("Hostel_Outbox"));
        assert!(!is_host_name("hostels"));
        assert!(!is_host_name("hösteló"));
        assert!(mentions_host_name("ALTER TABLE a RENAME TO \"HOSTEL_x\""));
        assert!(!mentions_host_name("SELECT * FROM hostel"));
    }
}
