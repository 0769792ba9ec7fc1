//! How long things last.

use hostel_sdk::{Error, Result, config};

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// An authorization code goes from one redirect to one call: RFC 6749, 4.1.2, allows ten minutes, but a minute is plenty.
pub const CODE_MS: i64 = MINUTE_MS;

/// A refresh token that nobody uses for a month belongs to nobody.
pub const REFRESH_MS: i64 = 30 * DAY_MS;

/// A working day: then the password is asked for again.
pub const SESSION_MS: i64 = 12 * HOUR_MS;

/// Time to fill in a form.
pub const FORM_MS: i64 = HOUR_MS;

/// How long before it signs a new key is shown. Who keeps keys by our `max-age` of five minutes, or asks but every hour,
/// knows it in time.
pub const KEY_LEAD_MS: i64 = 2 * HOUR_MS;

/// How long a key is shown after the next one has taken over: longer than any token that it signed, with the clocks' leeway.
pub const KEY_KEPT_MS: i64 = 24 * HOUR_MS;

/// Access tokens cannot be taken back from who checks them alone, so they are short.
const ACCESS_TOKEN_S: i64 = 300;

/// Shorter ones would be renewed all the time; longer ones outlive a revocation by too much.
const ACCESS_TOKEN_S_RANGE: std::ops::RangeInclusive<i64> = 30..=3_600;

const KEY_DAYS: i64 = 30;
const KEY_DAYS_RANGE: std::ops::RangeInclusive<i64> = 1..=365;

/// Seconds that an access token and an ID token count.
///
/// # Errors
/// When `access-token-seconds` is out of its range.
pub fn access_token_s() -> Result<i64> {
    within("access-token-seconds", ACCESS_TOKEN_S, &ACCESS_TOKEN_S_RANGE)
}

/// Milliseconds that a key signs before the next one takes over.
///
/// # Errors
/// When `key-days` is out of its range.
pub fn key_period_ms() -> Result<i64> {
    Ok(within("key-days", KEY_DAYS, &KEY_DAYS_RANGE)? * DAY_MS)
}

fn within(key: &str, default: i64, range: &std::ops::RangeInclusive<i64>) -> Result<i64> {
    let value = config::parse(key)?.unwrap_or(default);
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = (range.start(), range.end());
    Err(Error::internal(format!("`{key}` is {value}; give {least} to {most} in the config")))
}
