//! A corpus of tokens that must not pass, each with the rule that has to stop it, and of those that must.

use proptest::prelude::*;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256,
};
use serde_json::{Value, json};

use super::forge::{
    self, CLIENT, Forge, ISSUED_AT, ISSUER, KID, ORIGIN, SUBJECT, claims, encode, header, with,
};
use super::{AccessToken, Jwks, MAX_TOKEN, TokenError, TokenError::*};

fn verify(token: &str) -> Result<AccessToken, TokenError> {
    verify_with(token, &Forge::pool().jwks())
}

fn verify_with(token: &str, jwks: &Jwks) -> Result<AccessToken, TokenError> {
    forge::verifier().verify(token, jwks, forge::now())
}

fn good() -> String {
    Forge::pool().token(&header(), &claims())
}

/// Asserts that each token is refused, for its reason.
#[track_caller]
fn refused(corpus: Vec<(&str, String, TokenError)>) {
    for (name, token, reason) in corpus {
        assert_eq!(verify(&token), Err(reason), "{name}");
    }
}

/// The good header with one member changed, over good claims, well signed.
fn header_with(name: &str, value: impl Into<Option<Value>>) -> String {
    Forge::pool().token(&with(header(), name, value), &claims())
}

/// The good claims with one member changed, well signed.
fn claims_with(name: &str, value: impl Into<Option<Value>>) -> String {
    Forge::pool().token(&header(), &with(claims(), name, value))
}

/// The good claims as text with something replaced, well signed.
fn claims_text(from: &str, to: &str) -> String {
    let text = claims().to_string();
    assert!(text.contains(from), "{from}");
    Forge::pool().raw(header().to_string(), text.replacen(from, to, 1))
}

#[test]
fn a_token_of_the_pool_is_accepted() {
    let token = verify(&good()).unwrap();

    assert_eq!(
        token.user.to_string(),
        format!("usr_{}", SUBJECT.replace('-', ""))
    );
    assert_eq!(
        token.session_id().unwrap().to_string(),
        format!("ses_{}", ORIGIN.replace('-', ""))
    );
    assert_eq!(token.issued_at.as_second(), ISSUED_AT);
    assert_eq!(token.expires_at.as_second(), ISSUED_AT + 900);
}

#[test]
fn what_a_pool_may_write_differently_is_accepted() {
    for (name, token) in [
        ("type JWT", header_with("typ", json!("JWT"))),
        ("type in lower case", header_with("typ", json!("jwt"))),
        ("type of RFC 9068", header_with("typ", json!("at+jwt"))),
        (
            "type of RFC 9068 in full",
            header_with("typ", json!("application/AT+JWT")),
        ),
        (
            "an unknown header parameter",
            header_with("x-trace", json!("1")),
        ),
        ("groups", claims_with("cognito:groups", json!(["staff"]))),
        (
            "nested custom claim",
            claims_with("custom", json!({"a": [{"b": 1}]})),
        ),
        ("its own audience", claims_with("aud", json!(CLIENT))),
        (
            "its own audience, alone in a list",
            claims_with("aud", json!([CLIENT])),
        ),
        (
            "a name in Spanish",
            claims_with("name", json!("Peña \u{1f389}")),
        ),
        (
            "not before a moment ago",
            claims_with("nbf", json!(ISSUED_AT)),
        ),
        (
            "the longest life",
            claims_with("exp", json!(ISSUED_AT + 86_400)),
        ),
        (
            "one more second to live",
            claims_with("exp", json!(ISSUED_AT + 61)),
        ),
        (
            "a clock that runs a minute ahead",
            claims_with("nbf", json!(ISSUED_AT + 120)),
        ),
        (
            "blanks in the JSON",
            Forge::pool().raw(format!(" {} ", header()), format!("\n{}\t", claims())),
        ),
        ("no authentication time", claims_with("auth_time", None)),
        ("no token id", claims_with("jti", None)),
    ] {
        assert!(verify(&token).is_ok(), "{name}: {:?}", verify(&token));
    }
}

#[test]
fn a_token_in_another_form_is_refused() {
    let good = good();
    let parts: Vec<&str> = good.split('.').collect();
    let (h, c, s) = (parts[0], parts[1], parts[2]);
    refused(vec![
        ("nothing", String::new(), Malformed),
        ("a dot", ".".into(), Malformed),
        ("two dots", "..".into(), Malformed),
        ("no signature", format!("{h}.{c}"), Malformed),
        ("an empty signature", format!("{h}.{c}."), Malformed),
        ("an empty header", format!(".{c}.{s}"), Malformed),
        ("empty claims", format!("{h}..{s}"), Malformed),
        ("four parts", format!("{good}.{s}"), Malformed),
        (
            "five parts, as an encrypted token",
            format!("{h}.{c}.{s}.{s}.{s}"),
            Malformed,
        ),
        ("a dot behind", format!("{good}."), Malformed),
        ("a dot before", format!(".{good}"), Malformed),
        ("with its scheme", format!("Bearer {good}"), Malformed),
        ("a blank before", format!(" {good}"), Malformed),
        ("a blank behind", format!("{good} "), Malformed),
        ("a line feed behind", format!("{good}\n"), Malformed),
        (
            "a carriage return inside",
            format!("{h}\r.{c}.{s}"),
            Malformed,
        ),
        ("a tab inside", format!("{h}.\t{c}.{s}"), Malformed),
        ("a zero octet", format!("{good}\0"), Malformed),
        ("in quotes", format!("\"{good}\""), Malformed),
        ("two tokens", format!("{good},{good}"), Malformed),
        ("padding", format!("{h}.{c}.{s}=="), Malformed),
        (
            "the other alphabet",
            format!("{h}.{c}.{}+/", &s[..s.len() - 2]),
            Malformed,
        ),
        (
            "letters beyond ASCII",
            format!("{h}.{c}.{}é", &s[..s.len() - 2]),
            Malformed,
        ),
        ("percent encoding", good.replace('.', "%2E"), Malformed),
        (
            "JSON serialisation",
            json!({"protected": h, "payload": c, "signature": s}).to_string(),
            Malformed,
        ),
        (
            "too large",
            format!("{good}{}", "A".repeat(MAX_TOKEN)),
            TooLarge,
        ),
        (
            "a length that base64 does not have",
            format!("{h}.{c}.{}", &s[..s.len() - 1]),
            Encoding,
        ),
        ("a header of one letter", format!("A.{c}.{s}"), Encoding),
    ]);
}

#[test]
fn bits_that_carry_nothing_must_be_zero() {
    let good = good();
    let last = good.chars().last().unwrap();
    // 256 octets leave four bits in their last letter, so that 15 other letters would decode alike.
    let twins: Vec<char> = ('a'..='z')
        .chain('A'..='Z')
        .chain('0'..='9')
        .filter(|c| *c != last)
        .collect();

    let reasons: Vec<_> = twins
        .iter()
        .map(|c| verify(&format!("{}{c}", &good[..good.len() - 1])))
        .collect();

    assert!(
        reasons
            .iter()
            .all(|reason| matches!(reason, Err(Encoding | Signature)))
    );
    assert!(reasons.contains(&Err(Encoding)));
}

#[test]
fn a_header_that_is_not_one_plain_object_is_refused() {
    let signed = |header: &str| Forge::pool().raw(header, claims().to_string());
    refused(vec![
        ("no JSON", signed("RS256"), Json),
        ("a list", signed(r#"[{"alg":"RS256"}]"#), Json),
        ("null", signed("null"), Json),
        ("cut short", signed(r#"{"alg":"RS256","kid":"#), Json),
        (
            "two objects",
            signed(&format!("{}{}", header(), header())),
            Json,
        ),
        (
            "a byte order mark",
            signed(&format!("\u{feff}{}", header())),
            Json,
        ),
        ("a comment", signed(&format!("{}//x", header())), Json),
        (
            "not UTF-8",
            Forge::pool().raw(b"{\"alg\":\"RS256\",\"kid\":\"\xff\"}", "{}"),
            Json,
        ),
        (
            "the algorithm twice",
            signed(&format!(r#"{{"alg":"none","alg":"RS256","kid":"{KID}"}}"#)),
            DuplicateMember,
        ),
        (
            "the key twice",
            signed(&format!(r#"{{"alg":"RS256","kid":"x","kid":"{KID}"}}"#)),
            DuplicateMember,
        ),
        (
            "twice in disguise",
            signed(&format!(
                r#"{{"alg":"RS256","kid":"{KID}","\u006bid":"x"}}"#
            )),
            DuplicateMember,
        ),
        (
            "twice below",
            signed(&format!(
                r#"{{"alg":"RS256","kid":"{KID}","x":{{"a":1,"a":2}}}}"#
            )),
            DuplicateMember,
        ),
    ]);
}

#[test]
fn an_algorithm_that_is_not_rs256_is_refused() {
    let (pool, claims) = (Forge::pool(), claims().to_string());
    let signed = |alg: &Value| {
        format!(
            "{}.{}",
            encode(json!({"kid": KID, "alg": alg}).to_string()),
            encode(&claims)
        )
    };
    let mut corpus = vec![
        ("absent", header_with("alg", None), Algorithm),
        ("null", header_with("alg", json!(null)), Algorithm),
        ("a number", header_with("alg", json!(256)), Algorithm),
        ("a list", header_with("alg", json!(["RS256"])), Algorithm),
        (
            "another case",
            header_with("alg", json!("rs256")),
            Algorithm,
        ),
        (
            "a blank behind",
            header_with("alg", json!("RS256 ")),
            Algorithm,
        ),
        (
            "RS384, truly",
            pool.sign(&signed(&json!("RS384")), &RSA_PKCS1_SHA384),
            Algorithm,
        ),
        (
            "RS512, truly",
            pool.sign(&signed(&json!("RS512")), &RSA_PKCS1_SHA512),
            Algorithm,
        ),
        (
            "PS256, truly",
            pool.sign(&signed(&json!("PS256")), &RSA_PSS_SHA256),
            Algorithm,
        ),
        (
            "PS256 called RS256",
            pool.sign(&signed(&json!("RS256")), &RSA_PSS_SHA256),
            Signature,
        ),
        (
            "SHA-512 called RS256",
            pool.sign(&signed(&json!("RS256")), &RSA_PKCS1_SHA512),
            Signature,
        ),
        ("ES256, truly", es256(&signed(&json!("ES256"))), Algorithm),
        (
            "ES256 called RS256",
            es256(&signed(&json!("RS256"))),
            Signature,
        ),
        (
            "the public key as a shared secret",
            hs256(&signed(&json!("HS256"))),
            Algorithm,
        ),
        (
            "a shared secret called RS256",
            hs256(&signed(&json!("RS256"))),
            Signature,
        ),
    ];
    for none in ["none", "None", "NONE", "nOnE"] {
        let signed = signed(&json!(none));
        corpus.push(("none, unsigned", format!("{signed}."), Malformed));
        corpus.push((
            "none, with some signature",
            format!("{signed}.AA"),
            Algorithm,
        ));
        corpus.push((
            "none, well signed",
            pool.sign(&signed, &RSA_PKCS1_SHA256),
            Algorithm,
        ));
    }
    refused(corpus);
}

fn es256(signed: &str) -> String {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
        .unwrap();
    format!(
        "{signed}.{}",
        encode(key.sign(&random, signed.as_bytes()).unwrap())
    )
}

/// The old confusion: the verifier's public key, which everybody has, taken for a shared secret.
fn hs256(signed: &str) -> String {
    let secret = Forge::pool().jwk()["n"].as_str().unwrap().to_owned();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("{signed}.{}", encode(hmac::sign(&key, signed.as_bytes())))
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "a table of attacks reads best in one piece"
)]
fn a_header_that_wants_more_than_a_key_by_name_is_refused() {
    let stranger = Forge::stranger();
    let own_key = with(with(header(), "jwk", stranger.jwk()), "kid", json!(KID));
    refused(vec![
        (
            "an unknown extension",
            header_with("crit", json!(["exp"])),
            Extension,
        ),
        (
            "an unknown extension that is there",
            Forge::pool().token(
                &with(with(header(), "crit", json!(["x"])), "x", json!(1)),
                &claims(),
            ),
            Extension,
        ),
        (
            "an empty list of extensions",
            header_with("crit", json!([])),
            Extension,
        ),
        (
            "extensions that are null",
            header_with("crit", json!(null)),
            Extension,
        ),
        (
            "claims that are not encoded",
            Forge::pool().token(
                &with(with(header(), "b64", json!(false)), "crit", json!(["b64"])),
                &claims(),
            ),
            Extension,
        ),
        (
            "b64 without crit",
            header_with("b64", json!(false)),
            Extension,
        ),
        (
            "b64 as it always is",
            header_with("b64", json!(true)),
            Extension,
        ),
        (
            "a key of its own",
            stranger.token(&own_key, &claims()),
            HeaderKey,
        ),
        (
            "a key of its own, well signed",
            header_with("jwk", stranger.jwk()),
            HeaderKey,
        ),
        (
            "a set elsewhere",
            header_with("jku", json!("https://example.com/jwks.json")),
            HeaderKey,
        ),
        (
            "a certificate elsewhere",
            header_with("x5u", json!("https://example.com/cert")),
            HeaderKey,
        ),
        (
            "a certificate",
            header_with("x5c", json!(["MIIB"])),
            HeaderKey,
        ),
        (
            "a certificate by hash",
            header_with("x5t", json!("AAAA")),
            HeaderKey,
        ),
        (
            "a certificate by SHA-256",
            header_with("x5t#S256", json!("AAAA")),
            HeaderKey,
        ),
        (
            "a logout token",
            header_with("typ", json!("logout+jwt")),
            Type,
        ),
        ("an encrypted token", header_with("typ", json!("JWE")), Type),
        (
            "a type that is a number",
            header_with("typ", json!(1)),
            Type,
        ),
        ("a nested token", header_with("cty", json!("JWT")), Type),
        ("no key named", header_with("kid", None), KeyIdMissing),
        ("an empty name", header_with("kid", json!("")), KeyIdMissing),
        (
            "a number for a name",
            header_with("kid", json!(1)),
            KeyIdMissing,
        ),
        (
            "a list of names",
            header_with("kid", json!([KID])),
            KeyIdMissing,
        ),
        (
            "an unknown name",
            header_with("kid", json!("pool-key-2")),
            UnknownKey,
        ),
        (
            "a name in another case",
            header_with("kid", json!("POOL-KEY-1")),
            UnknownKey,
        ),
        (
            "a path",
            header_with("kid", json!("../../../dev/null")),
            UnknownKey,
        ),
        (
            "a query",
            header_with("kid", json!("x' UNION SELECT 'secret")),
            UnknownKey,
        ),
    ]);
}

#[test]
fn a_signature_that_is_not_the_pools_is_refused() {
    let (good, pool) = (good(), Forge::pool());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let other = Forge::pool().token(
        &header(),
        &with(
            claims(),
            "sub",
            json!("11111111-1111-4111-8111-111111111111"),
        ),
    );
    let (h, _) = signed.split_once('.').unwrap();
    refused(vec![
        (
            "a stranger's",
            Forge::stranger().token(&header(), &claims()),
            Signature,
        ),
        (
            "another token's",
            format!("{signed}.{}", other.rsplit_once('.').unwrap().1),
            Signature,
        ),
        (
            "other claims under it",
            format!(
                "{h}.{}.{signature}",
                encode(with(claims(), "sub", json!("x")).to_string())
            ),
            Signature,
        ),
        ("one octet", format!("{signed}.AA"), Signature),
        (
            "all zeros",
            format!("{signed}.{}", encode([0; 256])),
            Signature,
        ),
        (
            "all ones",
            format!("{signed}.{}", encode([0xff; 256])),
            Signature,
        ),
        (
            "with a zero before",
            format!(
                "{signed}.{}",
                encode([&[0][..], &decoded(signature)].concat())
            ),
            Signature,
        ),
        (
            "with an octet behind",
            format!(
                "{signed}.{}",
                encode([&decoded(signature)[..], &[0]].concat())
            ),
            Signature,
        ),
        (
            "over other spelling of the same JSON",
            {
                let spelled = format!(
                    "{}.{}",
                    encode(format!(" {}", header())),
                    encode(claims().to_string())
                );
                format!("{spelled}.{signature}")
            },
            Signature,
        ),
        (
            "broken claims, unsigned",
            format!("{}.{}.{signature}", h, encode("{\"sub\":")),
            Signature,
        ),
        (
            "broken claims, signed",
            pool.raw(header().to_string(), "{\"sub\":"),
            Json,
        ),
    ]);
}

fn decoded(part: &str) -> Vec<u8> {
    data_encoding::BASE64URL_NOPAD
        .decode(part.as_bytes())
        .unwrap()
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "a table of attacks reads best in one piece"
)]
fn a_token_for_somebody_else_is_refused() {
    refused(vec![
        ("no issuer", claims_with("iss", None), Issuer),
        (
            "another pool",
            claims_with("iss", json!(format!("{ISSUER}x"))),
            Issuer,
        ),
        (
            "the pool with a slash",
            claims_with("iss", json!(format!("{ISSUER}/"))),
            Issuer,
        ),
        (
            "the pool without TLS",
            claims_with("iss", json!(ISSUER.replace("https", "http"))),
            Issuer,
        ),
        (
            "the pool in a list",
            claims_with("iss", json!([ISSUER])),
            Issuer,
        ),
        (
            "the pool among others",
            claims_with("iss", json!(["https://example.com", ISSUER])),
            Issuer,
        ),
        (
            "the pool in another case",
            claims_with("iss", json!(ISSUER.to_uppercase())),
            Issuer,
        ),
        (
            "an ID token",
            Forge::pool().token(&header(), &id_claims()),
            TokenUse,
        ),
        (
            "an ID token with a client",
            Forge::pool().token(&header(), &with(id_claims(), "client_id", json!(CLIENT))),
            TokenUse,
        ),
        (
            "a refresh token",
            claims_with("token_use", json!("refresh")),
            TokenUse,
        ),
        ("no use", claims_with("token_use", None), TokenUse),
        (
            "two uses",
            claims_with("token_use", json!(["access", "id"])),
            TokenUse,
        ),
        (
            "a use in another case",
            claims_with("token_use", json!("Access")),
            TokenUse,
        ),
        ("no client", claims_with("client_id", None), Client),
        (
            "another client",
            claims_with("client_id", json!("another")),
            Client,
        ),
        (
            "an empty client",
            claims_with("client_id", json!("")),
            Client,
        ),
        (
            "a client in a list",
            claims_with("client_id", json!([CLIENT])),
            Client,
        ),
        (
            "another audience",
            claims_with("aud", json!("another")),
            Audience,
        ),
        (
            "an audience of two",
            claims_with("aud", json!([CLIENT, "another"])),
            Audience,
        ),
        (
            "an audience of none",
            claims_with("aud", json!([])),
            Audience,
        ),
        (
            "an audience that is null",
            claims_with("aud", json!(null)),
            Audience,
        ),
        ("no subject", claims_with("sub", None), Subject),
        ("an empty subject", claims_with("sub", json!("")), Subject),
        (
            "a subject that is no UUID",
            claims_with("sub", json!("admin")),
            Subject,
        ),
        (
            "a subject in capitals",
            claims_with("sub", json!(SUBJECT.to_uppercase())),
            Subject,
        ),
        (
            "a subject in braces",
            claims_with("sub", json!(format!("{{{SUBJECT}}}"))),
            Subject,
        ),
        (
            "a subject with a key's separator",
            claims_with("sub", json!(format!("{SUBJECT}#admin"))),
            Subject,
        ),
        (
            "a list of subjects",
            claims_with("sub", json!([SUBJECT])),
            Subject,
        ),
        ("no session", claims_with("origin_jti", None), Session),
        (
            "an empty session",
            claims_with("origin_jti", json!("")),
            Session,
        ),
        (
            "a session that is a number",
            claims_with("origin_jti", json!(1)),
            Session,
        ),
        (
            "a token id that is a number",
            claims_with("jti", json!(1)),
            Session,
        ),
    ]);
}

/// What a pool says in an ID token.
fn id_claims() -> Value {
    let id = with(
        with(claims(), "token_use", json!("id")),
        "aud",
        json!(CLIENT),
    );
    with(
        with(id, "client_id", None),
        "email",
        json!("ana@example.com"),
    )
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "a table of attacks reads best in one piece"
)]
fn a_token_without_a_proper_time_is_refused() {
    refused(vec![
        ("no end", claims_with("exp", None), Moment),
        (
            "an end that is null",
            claims_with("exp", json!(null)),
            Moment,
        ),
        (
            "an end in text",
            claims_with("exp", json!((ISSUED_AT + 900).to_string())),
            Moment,
        ),
        (
            "an end with a fraction",
            claims_with("exp", json!(1_767_323_945.5)),
            Moment,
        ),
        (
            "an end with an exponent",
            claims_text("1767323945", "1.767323945e9"),
            Moment,
        ),
        (
            "an end that is no number",
            claims_text("1767323945", "NaN"),
            Json,
        ),
        ("an endless end", claims_text("1767323945", "1e999"), Json),
        (
            "an end beyond 64 bits",
            claims_text("1767323945", "18446744073709551616"),
            Moment,
        ),
        (
            "an end beyond the signed",
            claims_text("1767323945", "18446744073709551615"),
            Moment,
        ),
        (
            "an end beyond calendars",
            claims_with("exp", json!(i64::MAX)),
            Moment,
        ),
        (
            "an end before all time",
            claims_with("exp", json!(-1)),
            Moment,
        ),
        (
            "an end in a list",
            claims_with("exp", json!([ISSUED_AT + 900])),
            Moment,
        ),
        (
            "an end that is true",
            claims_with("exp", json!(true)),
            Moment,
        ),
        ("no beginning", claims_with("iat", None), Moment),
        (
            "a beginning in text",
            claims_with("iat", json!("1767323045")),
            Moment,
        ),
        (
            "a not-before in text",
            claims_with("nbf", json!("0")),
            Moment,
        ),
        (
            "a not-before that is null",
            claims_with("nbf", json!(null)),
            Moment,
        ),
        (
            "a sign-in in text",
            claims_with("auth_time", json!("0")),
            Moment,
        ),
        (
            "two ends",
            claims_text("\"exp\":", "\"exp\":9999999999,\"exp\":"),
            DuplicateMember,
        ),
        (
            "two subjects",
            claims_text("\"sub\":", "\"sub\":\"x\",\"s\\u0075b\":"),
            DuplicateMember,
        ),
        (
            "two members below",
            claims_text("\"sub\":", "\"x\":{\"a\":[{\"b\":1,\"b\":1}]},\"sub\":"),
            DuplicateMember,
        ),
        (
            "a century",
            claims_with("exp", json!(ISSUED_AT + 3_153_600_000)),
            Lifetime,
        ),
        (
            "a second more than a day",
            claims_with("exp", json!(ISSUED_AT + 86_401)),
            Lifetime,
        ),
        (
            "an end before its beginning",
            claims_with("iat", json!(ISSUED_AT + 901)),
            Lifetime,
        ),
        (
            "no life at all",
            claims_with("exp", json!(ISSUED_AT)),
            Lifetime,
        ),
        (
            "a beginning in 1970",
            claims_with("iat", json!(0)),
            Lifetime,
        ),
        (
            "expired",
            claims_with("exp", json!(ISSUED_AT + 59)),
            Expired,
        ),
        (
            "expired this second",
            claims_with("exp", json!(ISSUED_AT + 60)),
            Expired,
        ),
        (
            "issued in the future",
            claims_with("iat", json!(ISSUED_AT + 121)),
            NotYetValid,
        ),
        (
            "not valid yet",
            claims_with("nbf", json!(ISSUED_AT + 121)),
            NotYetValid,
        ),
        (
            "a sign-in in the future",
            claims_with("auth_time", json!(ISSUED_AT + 121)),
            NotYetValid,
        ),
        (
            "claims in a list",
            Forge::pool().raw(header().to_string(), format!("[{}]", claims())),
            Json,
        ),
        (
            "claims that are text",
            Forge::pool().raw(header().to_string(), claims().to_string() + "x"),
            Json,
        ),
        (
            "claims that are not UTF-8",
            Forge::pool().raw(header().to_string(), b"{\"sub\":\"\xc3\x28\"}"),
            Json,
        ),
    ]);
}

#[test]
fn a_key_that_is_not_for_this_is_not_used() {
    let good = good();
    let fit = with(Forge::stranger().jwk(), "kid", json!("another"));
    for (name, key) in [
        (
            "for encryption",
            with(Forge::pool().jwk(), "use", json!("enc")),
        ),
        (
            "with a use that is a list",
            with(Forge::pool().jwk(), "use", json!(["sig"])),
        ),
        (
            "for signing only",
            with(Forge::pool().jwk(), "key_ops", json!(["sign"])),
        ),
        (
            "for no operation",
            with(Forge::pool().jwk(), "key_ops", json!([])),
        ),
        (
            "with operations in a text",
            with(Forge::pool().jwk(), "key_ops", json!("verify")),
        ),
        (
            "for PS256",
            with(Forge::pool().jwk(), "alg", json!("PS256")),
        ),
        (
            "for RS512",
            with(Forge::pool().jwk(), "alg", json!("RS512")),
        ),
        (
            "of elliptic curves",
            with(Forge::pool().jwk(), "kty", json!("EC")),
        ),
        (
            "of a shared secret",
            json!({"kty": "oct", "kid": KID, "k": "AAAA"}),
        ),
        ("of no kind", with(Forge::pool().jwk(), "kty", None)),
        ("without a modulus", with(Forge::pool().jwk(), "n", None)),
        (
            "with an exponent of one",
            with(Forge::pool().jwk(), "e", json!("AQ")),
        ),
        (
            "with an even exponent",
            with(Forge::pool().jwk(), "e", json!("AQAA")),
        ),
        (
            "with an exponent of zero",
            with(Forge::pool().jwk(), "e", json!("AA")),
        ),
        (
            "with an exponent of 64 bits",
            with(Forge::pool().jwk(), "e", json!("_________w8")),
        ),
        (
            "with a padded exponent",
            with(Forge::pool().jwk(), "e", json!("AQAB====")),
        ),
        (
            "with a leading zero",
            with(Forge::pool().jwk(), "e", json!("AAEAAQ")),
        ),
        (
            "with an enormous modulus",
            with(Forge::pool().jwk(), "n", json!(encode([0xff; 1025]))),
        ),
    ] {
        assert_eq!(
            verify_with(&good, &forge::jwks(&[key, fit.clone()])),
            Err(UnfitKey),
            "{name}"
        );
    }
}

#[test]
fn a_key_that_may_verify_is_used_whatever_else_it_says() {
    for key in [
        with(Forge::pool().jwk(), "use", None),
        with(Forge::pool().jwk(), "alg", None),
        with(Forge::pool().jwk(), "key_ops", json!(["sign", "verify"])),
        with(Forge::pool().jwk(), "x5t", json!("AAAA")),
    ] {
        assert!(verify_with(&good(), &forge::jwks(&[key])).is_ok());
    }
}

#[test]
fn a_name_that_two_keys_have_is_not_used() {
    let keys = [
        Forge::pool().jwk(),
        Forge::stranger().jwk(),
        with(Forge::stranger().jwk(), "kid", json!("another")),
    ];

    assert_eq!(verify_with(&good(), &forge::jwks(&keys)), Err(AmbiguousKey));
    let [one, two, three] = keys;
    assert_eq!(
        verify_with(&good(), &forge::jwks(&[two, one, three])),
        Err(AmbiguousKey)
    );
}

#[test]
fn a_key_of_less_than_2048_bits_is_not_used() {
    for fixture in [
        include_str!("keys/rsa1024.json"),
        include_str!("keys/rsa2047.json"),
    ] {
        let fixture: Value = serde_json::from_str(fixture).unwrap();
        let set = forge::jwks(&[fixture["jwk"].clone(), Forge::pool().jwk()]);

        assert_eq!(
            verify_with(fixture["token"].as_str().unwrap(), &set),
            Err(UnfitKey)
        );
    }
}

#[test]
fn an_expectation_left_empty_is_met_by_nothing() {
    let nobody = super::Verifier::new("", "");
    let token = Forge::pool().token(
        &header(),
        &with(with(claims(), "iss", json!("")), "client_id", json!("")),
    );

    assert_eq!(
        nobody.verify(&token, &Forge::pool().jwks(), forge::now()),
        Err(Issuer)
    );
}

#[test]
fn no_octet_of_a_good_token_can_be_changed() {
    let (good, jwks, verifier) = (good(), Forge::pool().jwks(), forge::verifier());
    for at in 0..good.len() {
        for bit in 0..7 {
            let mut octets = good.clone().into_bytes();
            octets[at] ^= 1 << bit;
            let changed = String::from_utf8(octets).unwrap();

            assert!(
                verifier.verify(&changed, &jwks, forge::now()).is_err(),
                "octet {at}, bit {bit}"
            );
        }
    }
}

#[test]
fn no_octet_of_a_good_token_can_be_left_out() {
    let (good, jwks, verifier) = (good(), Forge::pool().jwks(), forge::verifier());
    for at in 0..good.len() {
        let mut shorter = good.clone();
        shorter.remove(at);

        assert!(
            verifier.verify(&shorter, &jwks, forge::now()).is_err(),
            "octet {at}"
        );
        assert!(
            verifier.verify(&good[..at], &jwks, forge::now()).is_err(),
            "cut at {at}"
        );
    }
}

/// Any JSON value, three levels deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{1,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_makes_the_verifier_panic(text in "\\PC*") {
        prop_assert!(verify(&text).is_err());
    }

    #[test]
    fn no_three_parts_make_the_verifier_panic(
        header in prop::collection::vec(any::<u8>(), 0..80),
        claims in prop::collection::vec(any::<u8>(), 0..80),
        signature in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        prop_assert!(verify(&[header, claims, signature].map(encode).join(".")).is_err());
    }

    #[test]
    fn no_header_makes_the_verifier_panic(
        name in prop::sample::select(vec!["alg", "kid", "typ", "cty", "crit", "b64", "jwk", "x"]),
        value in any_json(),
    ) {
        let token = Forge::pool().token(&with(header(), name, value.clone()), &claims());
        prop_assert!(name == "x" || verify(&token).is_err(), "{name}: {value}");
    }

    #[test]
    fn no_well_signed_claim_passes_unless_it_is_the_right_one(
        name in prop::sample::select(vec!["iss", "sub", "client_id", "token_use", "aud", "exp", "iat", "nbf", "jti", "origin_jti"]),
        value in any_json(),
    ) {
        let harmless = matches!((name, &value), ("jti", Value::String(_)))
            || matches!((name, &value), ("origin_jti", Value::String(text)) if !text.is_empty())
            || matches!((name, value.as_i64()), ("nbf", Some(0..=1_767_323_165)));
        prop_assert_eq!(verify(&claims_with(name, value)).is_ok(), harmless);
    }

    #[test]
    fn no_key_set_makes_the_parser_panic(text in "\\PC*", n in ".{0,400}", e in ".{0,8}") {
        prop_assert!(Jwks::parse(text.as_bytes()).is_err());
        let set = json!({"keys": [{"kty": "RSA", "kid": "x", "n": n, "e": e}, Forge::pool().jwk()]});
        prop_assert!(Jwks::parse(set.to_string().as_bytes()).is_ok());
    }
}
