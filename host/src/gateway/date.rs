//! Dates of HTTP (RFC 9110, 5.6.7) as senders write them.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName};

/// The days by both their names. Which one is named is no part of the time: a wrong one harms nobody.
const DAYS: [(&str, &str); 7] = [
    ("Mon", "Monday"),
    ("Tue", "Tuesday"),
    ("Wed", "Wednesday"),
    ("Thu", "Thursday"),
    ("Fri", "Friday"),
    ("Sat", "Saturday"),
    ("Sun", "Sunday"),
];

/// The date in a field, in any of the three forms; none when there is none, several, or another text.
pub fn field(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() { None } else { parse(value) }
}

/// Names count in any case (RFC 9111, 4.2), which the crate does not know; most dates are written well.
fn parse(text: &str) -> Option<SystemTime> {
    if let Ok(date) = httpdate::parse_http_date(text) {
        return Some(date);
    }
    let day_end = text.find(|character: char| !character.is_ascii_alphabetic())?;
    let (day, rest) = text.split_at(day_end);
    let is_long = DAYS.iter().any(|(_, long)| long.eq_ignore_ascii_case(day));
    if !is_long && !DAYS.iter().any(|(short, _)| short.eq_ignore_ascii_case(day)) {
        return None;
    }
    let rest = canonical(rest);
    DAYS.iter().find_map(|(short, long)| {
        let day = if is_long { long } else { short };
        httpdate::parse_http_date(&format!("{day}{rest}")).ok()
    })
}

/// Months with one capital, the zone in capitals.
fn canonical(text: &str) -> String {
    let (mut canonical, mut is_inside) = (String::with_capacity(text.len()), false);
    for character in text.chars() {
        let fitting = if is_inside { character.to_ascii_lowercase() } else { character.to_ascii_uppercase() };
        is_inside = character.is_ascii_alphabetic();
        canonical.push(fitting);
    }
    match canonical.strip_suffix("Gmt") {
        Some(before) => format!("{before}GMT"),
        None => canonical,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_weekday_make_no_difference() {
        let noon = httpdate::parse_http_date("Thu, 18 Aug 2050 12:00:00 GMT").ok();
        for text in [
            "THU, 18 Aug 2050 12:00:00 GMT",
            "thu, 18 AUG 2050 12:00:00 gMT",
            "Mon, 18 Aug 2050 12:00:00 GMT",
            "Thursday, 18-Aug-50 12:00:00 GMT",
            "FRIDAY, 18-aug-50 12:00:00 gmt",
            "Thu Aug 18 12:00:00 2050",
            "sun AUG 18 12:00:00 2050",
        ] {
            assert_eq!(parse(text), noon, "{text}");
        }
        for text in [
            "",
            "0",
            "-1",
            "18 Aug 2050 12:00:00 GMT",
            "Thx, 18 Aug 2050 12:00:00 GMT",
            "Thu, 18 Aug 2050 12:00:00 CET",
            "Thu, 31 Feb 2050 12:00:00 GMT",
            "Thu, 18 Aug 2050 25:00:00 GMT",
            "Thu, 18 Aug 2050",
            "é, 18 Aug 2050 12:00:00 GMT",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
