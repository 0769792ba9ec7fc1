//! A grant: what a user let a client do, from the code to the last refresh token.
//!
//! Whether a code or a refresh token counts is decided within one write transaction, so that of two who show it at once one
//! is refused. A grant that ends is deleted, and with it all that it gave.

use hostel_sdk::database::{self, Transaction};
use hostel_sdk::{Result, id, params};
use serde::Deserialize;

use super::authorization::AuthorizationRequest;
use super::failure::{Failure, OauthError};
use crate::accounts::SignedIn;
use crate::config::lifetimes::{CODE_MS, REFRESH_MS};
use crate::opaque;
use crate::sweep::{self, Table};

/// Grants that one user has at a time; the oldest ones end.
const PER_USER_MAX: i64 = 100;

/// The lengths of a verifier (RFC 7636, 4.1).
const VERIFIER_CHARS: std::ops::RangeInclusive<usize> = 43..=128;

const COLUMNS: &str = "id, client_id, user_id, scope, nonce, redirect_uri, challenge, authenticated_ms, \
                       redeemed_ms, refresh, expires_ms";

/// One grant.
#[derive(Debug, Clone, Deserialize)]
pub struct Grant {
    pub id: String,
    pub client_id: String,
    pub user_id: String,
    pub scope: String,
    pub nonce: Option<String>,
    redirect_uri: String,
    challenge: String,
    pub authenticated_ms: i64,
    redeemed_ms: Option<i64>,
    refresh: Option<String>,
    pub expires_ms: i64,
}

/// What a client shows to get tokens for a code.
#[derive(Debug, Clone, Copy)]
pub struct CodeClaim<'a> {
    pub code: &'a str,
    pub client_id: &'a str,
    pub redirect_uri: Option<&'a str>,
    pub verifier: Option<&'a str>,
}

/// A grant that counts, and the refresh token that counts from now on.
pub struct Renewed {
    pub grant: Grant,
    pub refresh_token: Option<String>,
}

/// What becomes of a claim.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Counts,
    Refused(&'static str),
    /// It was used before, so somebody has stolen it, and nobody knows who of the two: the grant ends.
    Replayed(&'static str),
}

impl Grant {
    /// Begins a grant and answers its code.
    ///
    /// # Errors
    /// Those of the database.
    pub fn begin(
        transaction: &Transaction,
        asked: &AuthorizationRequest,
        signed_in: &SignedIn,
        now_ms: i64,
    ) -> Result<String> {
        sweep::expired(transaction, Table::Grants, now_ms)?;
        // Codes that nobody has redeemed go first: links alone must not end what is in use.
        let surplus = "DELETE FROM grants WHERE id IN (SELECT id FROM grants WHERE user_id = $1
                       ORDER BY CASE WHEN redeemed_ms IS NULL THEN 1 ELSE 0 END, made_ms DESC, id
                       LIMIT 1000 OFFSET $2)";
        transaction.execute(surplus, params![&signed_in.user_id, PER_USER_MAX - 1])?;
        let code = opaque::random()?;
        let sql = "INSERT INTO grants (id, client_id, user_id, scope, nonce, redirect_uri, challenge,
                   authenticated_ms, code, made_ms, expires_ms)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        let values = params![
            id::new(),
            &asked.client.id,
            &signed_in.user_id,
            asked.scope.to_string(),
            asked.nonce.clone(),
            &asked.destination.redirect_uri,
            &asked.challenge,
            signed_in.authenticated_ms,
            opaque::digest(&code),
            now_ms,
            now_ms + CODE_MS,
        ];
        transaction.execute(sql, values)?;
        Ok(code)
    }

    /// Redeems a code, once. Without a refresh token the grant lasts as long as its one access token, `kept_ms`.
    ///
    /// # Errors
    /// `invalid_grant` when it does not count.
    pub fn redeem(
        claim: CodeClaim<'_>,
        with_refresh: bool,
        kept_ms: i64,
        now_ms: i64,
    ) -> Result<Renewed, Failure> {
        let transaction = database::begin()?;
        let sql = format!("SELECT {COLUMNS} FROM grants WHERE code = $1");
        let grant: Option<Self> = transaction.query_first(&sql, params![opaque::digest(claim.code)])?;
        let grant = grant.ok_or_else(|| OauthError::invalid_grant("The code does not count."))?;
        let (transaction, grant) = grant.enforce(transaction, |grant| judge_code(grant, claim, now_ms))?;
        let token = if with_refresh { Some(RefreshToken::begin()?) } else { None };
        let expires_ms = now_ms + if with_refresh { REFRESH_MS } else { kept_ms };
        let sql =
            "UPDATE grants SET redeemed_ms = $2, family = $3, refresh = $4, expires_ms = $5 WHERE id = $1";
        let family = token.as_ref().map(|token| opaque::digest(&token.family));
        let refresh = token.as_ref().map(|token| opaque::digest(&token.latest));
        transaction.execute(sql, params![&grant.id, now_ms, family, refresh, expires_ms])?;
        transaction.commit()?;
        Ok(Renewed { grant, refresh_token: token.map(|token| token.text()) })
    }

    /// Takes a refresh token and gives the next one.
    ///
    /// # Errors
    /// `invalid_grant` when it does not count.
    pub fn renew(refresh_token: &str, client_id: &str, now_ms: i64) -> Result<Renewed, Failure> {
        let unknown = || OauthError::invalid_grant("The refresh token does not count.");
        let token = RefreshToken::read(refresh_token).ok_or_else(unknown)?;
        let transaction = database::begin()?;
        let sql = format!("SELECT {COLUMNS} FROM grants WHERE family = $1");
        let grant: Option<Self> = transaction.query_first(&sql, params![opaque::digest(&token.family)])?;
        let grant = grant.ok_or_else(unknown)?;
        let latest = opaque::digest(&token.latest);
        let judge = |grant: &Self| judge_refresh(grant, &latest, client_id, now_ms);
        let (transaction, grant) = grant.enforce(transaction, judge)?;
        let next = token.next()?;
        let sql = "UPDATE grants SET refresh = $2, expires_ms = $3 WHERE id = $1";
        let values = params![&grant.id, opaque::digest(&next.latest), now_ms + REFRESH_MS];
        transaction.execute(sql, values)?;
        transaction.commit()?;
        Ok(Renewed { grant, refresh_token: Some(next.text()) })
    }

    /// The grant whose latest refresh token this is.
    ///
    /// # Errors
    /// Those of the database.
    pub fn of_refresh_token(refresh_token: &str, now_ms: i64) -> Result<Option<Self>> {
        let Some(token) = RefreshToken::read(refresh_token) else { return Ok(None) };
        let sql =
            format!("SELECT {COLUMNS} FROM grants WHERE family = $1 AND refresh = $2 AND expires_ms > $3");
        let values = params![opaque::digest(&token.family), opaque::digest(&token.latest), now_ms];
        Ok(database::query_first(&sql, values)?)
    }

    /// Whether a grant has not ended.
    ///
    /// # Errors
    /// Those of the database.
    pub fn is_alive(id: &str, now_ms: i64) -> Result<bool> {
        let sql = "SELECT count(*) FROM grants WHERE id = $1 AND expires_ms > $2";
        Ok(database::query_first::<i64>(sql, params![id, now_ms])? == Some(1))
    }

    /// Ends a grant, and all that it gave.
    ///
    /// # Errors
    /// Those of the database.
    pub fn end(id: &str) -> Result<()> {
        database::execute("DELETE FROM grants WHERE id = $1", params![id])?;
        Ok(())
    }

    /// Goes on when the claim counts; ends the grant when it was replayed.
    fn enforce(
        self,
        transaction: Transaction,
        judge: impl Fn(&Self) -> Verdict,
    ) -> Result<(Transaction, Self), Failure> {
        match judge(&self) {
            Verdict::Counts => Ok((transaction, self)),
            Verdict::Refused(reason) => Err(OauthError::invalid_grant(reason).into()),
            Verdict::Replayed(reason) => {
                transaction.execute("DELETE FROM grants WHERE id = $1", params![&self.id])?;
                transaction.commit()?;
                let (client, user) = (&self.client_id, &self.user_id);
                hostel_sdk::log::warn!("a grant of {client} for {user} was ended: {reason}");
                Err(OauthError::invalid_grant(reason).into())
            }
        }
    }
}

/// A refresh token: the part that all of a grant have, and the part that is new in each.
struct RefreshToken {
    family: String,
    latest: String,
}

impl RefreshToken {
    fn begin() -> Result<Self> {
        Ok(Self { family: opaque::random()?, latest: opaque::random()? })
    }

    fn read(text: &str) -> Option<Self> {
        let (family, latest) = text.split_once('.')?;
        Some(Self { family: family.to_owned(), latest: latest.to_owned() })
    }

    fn next(self) -> Result<Self> {
        Ok(Self { family: self.family, latest: opaque::random()? })
    }

    fn text(&self) -> String {
        format!("{}.{}", self.family, self.latest)
    }
}

fn judge_code(grant: &Grant, claim: CodeClaim<'_>, now_ms: i64) -> Verdict {
    if grant.client_id != claim.client_id {
        return Verdict::Refused("The code was given to another client.");
    }
    if grant.redeemed_ms.is_some() {
        return Verdict::Replayed("The code was used before.");
    }
    if grant.expires_ms <= now_ms {
        return Verdict::Refused("The code has expired.");
    }
    if claim.redirect_uri != Some(grant.redirect_uri.as_str()) {
        return Verdict::Refused("The redirect_uri is not the one that the code was sent to.");
    }
    let is_verifier = |text: &&str| VERIFIER_CHARS.contains(&text.len());
    match claim.verifier.filter(is_verifier) {
        Some(verifier) if opaque::is_same(&opaque::digest(verifier), &grant.challenge) => Verdict::Counts,
        _ => Verdict::Refused("The code_verifier does not fit the code_challenge."),
    }
}

fn judge_refresh(grant: &Grant, latest: &str, client_id: &str, now_ms: i64) -> Verdict {
    if grant.client_id != client_id {
        return Verdict::Refused("The refresh token was given to another client.");
    }
    if grant.expires_ms <= now_ms {
        return Verdict::Refused("The refresh token has expired.");
    }
    match &grant.refresh {
        Some(own) if opaque::is_same(own, latest) => Verdict::Counts,
        _ => Verdict::Replayed("The refresh token was used before."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const BACK: &str = "https://shop.example/back";

    fn grant() -> Grant {
        Grant {
            id: "g".into(),
            client_id: "shop".into(),
            user_id: "u".into(),
            scope: "openid".into(),
            nonce: None,
            redirect_uri: BACK.into(),
            challenge: opaque::digest(VERIFIER),
            authenticated_ms: 0,
            redeemed_ms: None,
            refresh: Some(opaque::digest("latest")),
            expires_ms: 100,
        }
    }

    #[test]
    fn a_code_counts_once_for_its_client_address_and_verifier() {
        let good =
            CodeClaim { code: "c", client_id: "shop", redirect_uri: Some(BACK), verifier: Some(VERIFIER) };
        let check = |claim: CodeClaim<'_>, now_ms: i64, counts: bool| {
            assert_eq!(judge_code(&grant(), claim, now_ms) == Verdict::Counts, counts, "{claim:?} {now_ms}");
        };
        check(good, 99, true);
        check(good, 100, false);
        check(CodeClaim { client_id: "other", ..good }, 99, false);
        check(CodeClaim { redirect_uri: None, ..good }, 99, false);
        check(CodeClaim { redirect_uri: Some("https://shop.example/back/"), ..good }, 99, false);
        check(CodeClaim { verifier: None, ..good }, 99, false);
        check(CodeClaim { verifier: Some(&VERIFIER.replace('d', "e")), ..good }, 99, false);
        // The challenge itself is no verifier: that would be `plain`.
        check(CodeClaim { verifier: Some(&opaque::digest(VERIFIER)), ..good }, 99, false);

        let used = Grant { redeemed_ms: Some(1), ..grant() };
        assert!(matches!(judge_code(&used, good, 999), Verdict::Replayed(_)));
        let stranger = CodeClaim { client_id: "other", ..good };
        assert!(matches!(judge_code(&used, stranger, 99), Verdict::Refused(_)));
    }

    #[test]
    fn an_old_refresh_token_ends_its_family() {
        let latest = opaque::digest("latest");
        assert_eq!(judge_refresh(&grant(), &latest, "shop", 99), Verdict::Counts);
        assert!(matches!(judge_refresh(&grant(), &latest, "other", 99), Verdict::Refused(_)));
        assert!(matches!(judge_refresh(&grant(), &latest, "shop", 100), Verdict::Refused(_)));
        assert!(matches!(judge_refresh(&grant(), &opaque::digest("old"), "shop", 99), Verdict::Replayed(_)));
        let none = Grant { refresh: None, ..grant() };
        assert!(matches!(judge_refresh(&none, &latest, "shop", 99), Verdict::Replayed(_)));
    }

    #[test]
    fn refresh_tokens_of_a_family_share_their_first_part() {
        let first = RefreshToken::begin().unwrap();
        let read = RefreshToken::read(&first.text()).unwrap();
        let next = read.next().unwrap();
        assert_eq!(first.family, next.family);
        assert_ne!(first.latest, next.latest);
        assert!(RefreshToken::read("nonsense").is_none());
    }
}
