//! Topic patterns as in NATS: `*` is one word, `>` the rest; `domain/` before it means that domain only.

use super::Delivery;

/// Whether the delivery's topic, and its domain if the pattern names one, are these.
pub(super) fn matches(pattern: &str, delivery: &Delivery) -> bool {
    match pattern.split_once('/') {
        Some((domain, topics)) => domain == delivery.domain && topic_matches(topics, &delivery.topic),
        None => topic_matches(pattern, &delivery.topic),
    }
}

fn topic_matches(pattern: &str, topic: &str) -> bool {
    let mut words = topic.split('.');
    for token in pattern.split('.') {
        match (token, words.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (exact, Some(word)) if exact == word => {}
            _ => return false,
        }
    }
    words.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_match_as_in_nats() {
        let check = |pattern: &str, topic: &str, expected: bool| {
            assert_eq!(topic_matches(pattern, topic), expected, "{pattern} {topic}");
        };
        check("stock.*", "stock.reserved", true);
        check("stock.*", "stock", false);
        check("stock.*", "stock.a.b", false);
        check("stock.>", "stock.a.b", true);
        check("*.reserved", "stock.reserved", true);
        check("stock.reserved", "stock.refused", false);
    }
}
