//! Forged, broken and good tokens, made with keys of the test.

use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

use super::jwks::KeySet;
use super::token::{Accepted, TokenFault, Unverified};
use crate::config::{IssuerConfig, KeySource, TokenAlgorithm};

/// The time of the tests, in seconds since 1970.
pub const NOW: u64 = 1_800_000_000;

/// The begin of an Ed25519 key in PKCS #8 (RFC 8410, 7).
const ED25519_PREFIX: [u8; 16] = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];

/// A private key, and how it is shown.
pub struct Signer {
    key: EncodingKey,
    algorithm: Algorithm,
    id: &'static str,
}

impl Signer {
    pub fn new(algorithm: Algorithm, id: &'static str) -> Self {
        let ec = |algorithm| {
            EncodingKey::from_ec_der(&rcgen::KeyPair::generate_for(algorithm).unwrap().serialize_der())
        };
        let key = match algorithm {
            Algorithm::ES256 => ec(&rcgen::PKCS_ECDSA_P256_SHA256),
            Algorithm::ES384 => ec(&rcgen::PKCS_ECDSA_P384_SHA384),
            Algorithm::EdDSA => {
                EncodingKey::from_ed_der(&[&ED25519_PREFIX[..], &rand::random::<[u8; 32]>()].concat())
            }
            _ => rsa(2048),
        };
        Self { key, algorithm, id }
    }

    /// The public key as its issuer shows it.
    pub fn shown(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.id.into());
        serde_json::to_value(jwk).unwrap()
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
        let signature = crypto::sign(message.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }

    /// A token with the usual header.
    pub fn token(&self, claims: &Value) -> String {
        self.sign(&json!({ "alg": self.algorithm, "kid": self.id, "typ": "at+jwt" }), claims)
    }
}

/// RSA keys take long to make: one for all.
fn rsa(bits: u32) -> EncodingKey {
    static USUAL: OnceLock<EncodingKey> = OnceLock::new();
    let make = || {
        let made =
            Command::new("openssl").args(["genrsa", "-traditional", &bits.to_string()]).output().unwrap();
        let text = String::from_utf8(made.stdout).unwrap();
        let base64: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
        EncodingKey::from_rsa_der(EncodingKey::from_base64_secret(&base64).unwrap().as_bytes())
    };
    if bits == 2048 { USUAL.get_or_init(make).clone() } else { make() }
}

pub fn encoded(text: impl AsRef<[u8]>) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let letters = text.as_ref().chunks(3).flat_map(|chunk| {
        let bits =
            chunk.iter().fold(0, |bits, byte| (bits << 8) | usize::from(*byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).map(move |index| char::from(LETTERS[(bits >> (18 - 6 * index)) & 63]))
    });
    letters.collect()
}

fn issuer() -> IssuerConfig {
    IssuerConfig {
        name: "main".into(),
        issuer: "https://id.example.com".into(),
        audience: vec!["shop".into(), "warehouse".into()],
        leeway: Duration::from_secs(60),
        keys: KeySource::Jwks("https://id.example.com/keys".parse().unwrap()),
        algorithms: vec![
            TokenAlgorithm::RS256,
            TokenAlgorithm::RS384,
            TokenAlgorithm::RS512,
            TokenAlgorithm::PS256,
            TokenAlgorithm::ES256,
            TokenAlgorithm::ES384,
            TokenAlgorithm::EdDSA,
        ],
        scopes_claim: "scope".into(),
        roles_claim: "realm.roles".into(),
        service: None,
    }
}

pub fn claims() -> Value {
    json!({
        "iss": "https://id.example.com", "aud": "shop", "sub": "ada", "exp": NOW + 300, "nbf": NOW, "iat": NOW,
        "scope": "orders stock", "realm": { "roles": ["admin"] },
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

pub fn keys(shown: Vec<Value>) -> serde_json::Result<KeySet> {
    KeySet::read(Bytes::from(json!({ "keys": shown }).to_string()), &issuer().algorithms)
}

pub fn check(token: &str, keys: &KeySet, now: u64) -> Result<Accepted, TokenFault> {
    Unverified::read(token)?.verify(&issuer(), keys, SystemTime::UNIX_EPOCH + Duration::from_secs(now))
}

#[test]
fn tokens_of_every_signature_count() {
    for algorithm in [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ] {
        let (signer, other) = (Signer::new(algorithm, "one"), Signer::new(Algorithm::ES256, "two"));
        let keys = keys(vec![other.shown(), signer.shown()]).unwrap();
        let accepted = check(&signer.token(&claims()), &keys, NOW).unwrap();
        assert_eq!(accepted.identity.subject, "ada");
        assert_eq!(accepted.expires, SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 360));
        // A header without `kid` or `typ` is one of RFC 7519 too.
        let plain = signer.sign(&json!({ "alg": algorithm }), &claims());
        assert!(check(&plain, &keys, NOW).is_ok(), "{algorithm:?}");
    }
}

#[test]
fn scopes_and_roles_come_from_the_claims_of_the_issuer() {
    let signer = Signer::new(Algorithm::ES256, "one");
    let keys = keys(vec![signer.shown()]).unwrap();
    let mut rules = crate::config::AuthConfig::default();
    (rules.scopes, rules.roles) = (vec!["orders".into(), "stock".into()], vec!["admin".into()]);
    let permits = |claims| check(&signer.token(&claims), &keys, NOW).unwrap().identity.check(&rules).is_ok();
    assert!(permits(claims()));
    assert!(permits(with("scope", json!(["stock", "orders"]))));
    assert!(!permits(with("scope", json!(["orders stock"]))), "a scope has no space");
    assert!(!permits(with("scope", json!("orders"))));
    assert!(!permits(with("realm", json!({ "roles": "clerk" }))));
    assert!(!permits(without("realm")));
}

#[test]
fn claims_that_are_wrong_or_missing_are_refused() {
    let signer = Signer::new(Algorithm::ES256, "one");
    let keys = keys(vec![signer.shown()]).unwrap();
    for claims in [
        with("iss", json!("https://evil.example.com")),
        with("iss", json!("https://id.example.com/")),
        with("iss", json!(["https://id.example.com"])),
        without("iss"),
        with("aud", json!("other")),
        with("aud", json!(["other", "SHOP"])),
        with("aud", json!([])),
        with("aud", json!({ "shop": true })),
        without("aud"),
        with("exp", json!(NOW - 61)),
        with("exp", json!(-1)),
        with("exp", json!((NOW + 300).to_string())),
        with("exp", json!(1e300)),
        with("exp", Value::Null),
        without("exp"),
        with("nbf", json!(NOW + 61)),
        with("nbf", json!("soon")),
        with("iat", json!(NOW + 61)),
        with("iat", json!(true)),
        with("sub", json!("")),
        with("sub", json!(" ada")),
        with("sub", json!("ada\r\nhostel-scopes: admin")),
        with("sub", json!(7)),
        without("sub"),
        json!([]),
        json!("ada"),
    ] {
        let refused = check(&signer.token(&claims), &keys, NOW);
        assert!(matches!(refused, Err(TokenFault::Invalid(_))), "{claims}: {refused:?}");
    }
    for claims in [
        with("aud", json!(["other", "warehouse"])),
        with("exp", json!(NOW - 59)),
        with("exp", json!(NOW as f64 + 0.5)),
        with("nbf", json!(NOW + 60)),
        with("iat", json!(NOW + 60)),
        without("nbf"),
        without("iat"),
    ] {
        assert!(check(&signer.token(&claims), &keys, NOW).is_ok(), "{claims}");
    }
}

#[test]
fn a_header_cannot_choose_how_it_is_checked() {
    let (signer, evil) = (Signer::new(Algorithm::ES256, "one"), Signer::new(Algorithm::ES256, "one"));
    let public = signer.shown();
    let keys = keys(vec![public.clone(), Signer::new(Algorithm::RS256, "rsa").shown()]).unwrap();
    let good = json!({ "alg": "ES256", "kid": "one" });
    let header = |name: &str, value: Value| {
        let mut header = good.clone();
        header[name] = value;
        header
    };
    // Keys in the header are those of whoever wrote it.
    for (name, value) in [
        ("jwk", evil.shown()),
        ("jku", json!("https://evil.example.com/keys")),
        ("x5u", json!("https://evil.example.com/chain")),
        ("x5c", json!(["MIIB"])),
    ] {
        for id in [json!("one"), json!("evil"), Value::Null] {
            let mut header = header(name, value.clone());
            header["kid"] = id;
            assert!(check(&evil.sign(&header, &claims()), &keys, NOW).is_err(), "{header}");
        }
        assert!(
            check(&signer.sign(&header(name, value), &claims()), &keys, NOW).is_ok(),
            "{name} does not count"
        );
    }
    // A public key is no secret.
    for secret in [public.to_string(), public["x"].as_str().unwrap().to_owned(), String::new()] {
        let forger = Signer {
            key: EncodingKey::from_secret(secret.as_bytes()),
            algorithm: Algorithm::HS256,
            id: "one",
        };
        assert!(check(&forger.token(&claims()), &keys, NOW).is_err());
    }
    // Another signature than the key is for, or none.
    for algorithm in ["none", "None", "NONE", "", "HS256", "RS256", "ES384", "ES512", "EdDSA", "es256"] {
        let token = signer.sign(&header("alg", json!(algorithm)), &claims());
        assert!(check(&token, &keys, NOW).is_err(), "{algorithm}");
        let unsigned = &token[..=token.rfind('.').unwrap()];
        assert!(check(unsigned, &keys, NOW).is_err(), "{algorithm}, without a signature");
    }
    for header in [
        header("crit", json!(["exp"])),
        header("crit", json!([])),
        header("crit", json!(["b64"])),
        header("typ", json!("JWE")),
        header("typ", json!("dpop+jwt")),
        header("alg", json!(["ES256"])),
        header("kid", json!(["one"])),
        json!({ "kid": "one" }),
        json!(["ES256"]),
    ] {
        assert!(
            matches!(check(&signer.sign(&header, &claims()), &keys, NOW), Err(TokenFault::Invalid(_))),
            "{header}"
        );
    }
    // A key's name is looked up and nothing else.
    for id in ["two", "../../../dev/null", "one' OR 'a'='a", "one|whoami", "ONE", ""] {
        let token = signer.sign(&header("kid", json!(id)), &claims());
        assert_eq!(check(&token, &keys, NOW).unwrap_err(), TokenFault::UnknownKey, "{id}");
    }
}

#[test]
fn a_token_is_written_in_one_way_only() {
    let signer = Signer::new(Algorithm::ES256, "one");
    let keys = keys(vec![signer.shown()]).unwrap();
    let good = signer.token(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let last = signature.chars().last().unwrap();
    // 64 bytes leave four bits of the last letter unused: the next letter differs only in them.
    let next = char::from(match last {
        'Z' => b'a',
        'z' => b'0',
        '9' => b'-',
        last => last as u8 + 1,
    });
    for token in [
        String::new(),
        "..".into(),
        "a.b.c".into(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{good}.{signature}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{header}.{payload}.{signature}.{signature}.{signature}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}=.{signature}"),
        format!("{header}.{payload}.{signature}="),
        format!("{header}.{payload}.{signature}=="),
        format!("{header}.{payload}.{}{next}", &signature[..signature.len() - 1]),
        format!("{header}.{payload}.{} {}", &signature[..4], &signature[4..]),
        format!("{header}.{payload}.{}\n{}", &signature[..4], &signature[4..]),
        format!("{header}.{payload}.+/{}", &signature[2..]),
        format!("{header}.{payload}.{}", encoded([0; 64])),
        format!("{header}.{payload}.{}", encoded([255; 64])),
        format!("{header}.{payload}.{}", &signature[..signature.len() - 4]),
        format!("{header}.{}.{signature}", encoded(with("sub", json!("admin")).to_string())),
        format!("{good} "),
        format!(" {good}"),
        signer.token(&with("long", json!("x".repeat(8 * 1024)))),
    ] {
        let refused = check(&token, &keys, NOW);
        assert!(matches!(refused, Err(TokenFault::Invalid(_))), "{token}: {refused:?}");
    }
    assert!(check(&good, &keys, NOW).is_ok());
}

#[test]
fn no_letter_of_a_token_can_be_changed() {
    let signer = Signer::new(Algorithm::EdDSA, "one");
    let keys = keys(vec![signer.shown()]).unwrap();
    let good = signer.token(&claims());
    for index in 0..good.len() {
        for letter in ["A", "_", ".", "\u{e9}", ""] {
            if letter == &good[index..=index] {
                continue;
            }
            let changed = format!("{}{letter}{}", &good[..index], &good[index + 1..]);
            assert!(check(&changed, &keys, NOW).is_err(), "{changed}");
        }
    }
}

#[test]
fn keys_that_are_weak_or_for_something_else_are_left_out() {
    let signer = Signer::new(Algorithm::ES256, "one");
    let shown = |change: &dyn Fn(&mut Value)| {
        let mut shown = signer.shown();
        change(&mut shown);
        shown
    };
    let weak = Signer { key: rsa(1024), algorithm: Algorithm::RS256, id: "weak" };
    for useless in [
        shown(&|key| key["use"] = json!("enc")),
        shown(&|key| key["key_ops"] = json!(["sign"])),
        shown(&|key| key["alg"] = json!("ES384")),
        shown(&|key| key["alg"] = json!("HS256")),
        shown(&|key| key["crv"] = json!("P-384")),
        shown(&|key| key["crv"] = json!("P-521")),
        shown(&|key| key["crv"] = json!("secp256k1")),
        shown(&|key| key["x"] = json!("AAAA")),
        shown(&|key| key["kty"] = json!("oct")),
        json!({ "kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "one" }),
        json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "one" }),
        json!({ "kty": "OKP", "crv": "X25519", "x": encoded([1; 32]), "kid": "one" }),
        json!({ "kty": "OKP", "crv": "Ed448", "x": encoded([1; 57]), "kid": "one" }),
        json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "one" }),
        weak.shown(),
        json!({}),
        json!("key"),
    ] {
        let alone = keys(vec![useless.clone()]).unwrap();
        assert!(alone.is_empty(), "{useless}");
        assert_eq!(
            check(&signer.token(&claims()), &alone, NOW).unwrap_err(),
            TokenFault::UnknownKey,
            "{useless}"
        );
        let beside = keys(vec![useless.clone(), signer.shown()]).unwrap();
        assert!(check(&signer.token(&claims()), &beside, NOW).is_ok(), "beside {useless}");
    }
    // A point that is on no curve is found when a token is checked.
    let off_curve = shown(&|key| key["y"] = json!(encoded([1; 32])));
    assert!(check(&signer.token(&claims()), &keys(vec![off_curve]).unwrap(), NOW).is_err());
    assert!(keys(Vec::new()).unwrap().is_empty());
    for document in ["", "[]", "{}", "{\"keys\":{}}", "null"] {
        assert!(KeySet::read(Bytes::from(document), &issuer().algorithms).is_err(), "{document}");
    }
}
