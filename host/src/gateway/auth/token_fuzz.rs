//! Fuzzing of the token check: no text breaks it, and no change of a good token passes.
//!
//! A short random run is part of the unit tests; `cargo bolero test gateway::auth::token_fuzz::NAME` goes on guided by
//! coverage.

use jsonwebtoken::Algorithm;
use serde_json::json;

use super::token::Unverified;
use super::token_tests::{NOW, Signer, check, claims, encoded, keys};

/// Headers that an attacker would like to count.
const HEADERS: [&str; 8] = [
    r#"{"alg":"none"}"#,
    r#"{"alg":"HS256","kid":"one"}"#,
    r#"{"alg":"ES256","kid":"two"}"#,
    r#"{"alg":"EdDSA","kid":"one"}"#,
    r#"{"alg":"ES256","kid":"one","crit":["x"]}"#,
    r#"{"alg":"ES256","kid":"../one"}"#,
    r#"{"alg":"ES256","jku":"https://evil.example/keys"}"#,
    r#"{"alg":"ES256"}"#,
];

/// One change of a token.
#[derive(Debug, bolero::TypeGenerator)]
enum Change {
    /// Another character at a place.
    Set(u16, u8),
    /// A character more.
    Insert(u16, u8),
    /// A character less.
    Remove(u16),
    /// Nothing from here on.
    Cut(u16),
    /// A part of the other token in place of its own.
    Exchange(u8),
    /// Another header.
    Header(u8),
}

fn apply(token: &mut Vec<u8>, change: &Change, other: &str) {
    let place = |at: u16, length: usize| usize::from(at) % length.max(1);
    match *change {
        Change::Set(at, byte) if !token.is_empty() => {
            let at = place(at, token.len());
            token[at] = byte;
        }
        Change::Insert(at, byte) => token.insert(place(at, token.len()), byte),
        Change::Remove(at) if !token.is_empty() => _ = token.remove(place(at, token.len())),
        Change::Cut(at) => token.truncate(place(at, token.len())),
        Change::Exchange(part) => replace_part(token, usize::from(part) % 3, |index| {
            other.split('.').nth(index).unwrap_or_default().to_owned()
        }),
        Change::Header(header) => {
            replace_part(token, 0, |_| encoded(HEADERS[usize::from(header) % HEADERS.len()]));
        }
        Change::Set(..) | Change::Remove(_) => {}
    }
}

fn replace_part(token: &mut Vec<u8>, index: usize, with: impl Fn(usize) -> String) {
    let text = String::from_utf8_lossy(token).into_owned();
    let mut parts: Vec<String> = text.split('.').map(str::to_owned).collect();
    if let Some(part) = parts.get_mut(index) {
        *part = with(index);
    }
    *token = parts.join(".").into_bytes();
}

#[test]
fn no_text_breaks_the_reader() {
    bolero::check!().with_iterations(50_000).with_type().for_each(|text: &String| {
        _ = Unverified::read(text).map(|token| token.issuer().map(str::to_owned));
        let token = format!("{}.{}.{}", encoded(HEADERS[7]), encoded(text), encoded("x"));
        _ = Unverified::read(&token).map(|token| token.issuer().map(str::to_owned));
    });
}

#[test]
fn no_change_of_a_good_token_passes() {
    let (one, two) = (Signer::new(Algorithm::ES256, "one"), Signer::new(Algorithm::EdDSA, "two"));
    let keys = keys(vec![one.shown(), two.shown()]).unwrap();
    let mut admin = claims();
    admin["sub"] = json!("admin");
    let good = [one.token(&claims()), two.token(&admin), one.token(&admin)];
    for token in &good {
        assert!(check(token, &keys, NOW).is_ok());
    }
    bolero::check!().with_iterations(20_000).with_type().for_each(|(which, changes): &(u8, Vec<Change>)| {
        let which = usize::from(*which) % good.len();
        let mut token = good[which].clone().into_bytes();
        for change in changes.iter().take(4) {
            apply(&mut token, change, &good[(which + 1) % good.len()]);
        }
        let Ok(token) = String::from_utf8(token) else { return };
        if check(&token, &keys, NOW).is_ok() {
            assert!(good.contains(&token), "a changed token passes: {token}");
        }
    });
}
