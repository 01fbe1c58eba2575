//! `Idempotency-Key` on every POST: done once, answered as often as asked.
//!
//! A record per key holds a fingerprint of the request, a seed, the owner of the attempt under way, and
//! in the end the sealed answer.
//!
//! * **Same key, same request, finished**: the stored answer, with `Idempotency-Replayed: true`.
//! * **Same key, another request**: 422.
//! * **Same key, still under way**: 409. An attempt that died is taken over when its time is up, with
//!   the *same seed*, so that the ids which the handler makes from it are the same and its conditional
//!   writes meet what the dead attempt left.
//! * **A zombie** that finishes after it was taken over cannot store its answer: the completing write
//!   demands the version that the owner knows.
//! * **The table is down**: 503. A caller who asked for "once" must not get "perhaps twice".
//!
//! The table never learns a key or a body: the row is named by a hash, and the answer (which may hold
//! tokens) is sealed with a key derived from the caller's own idempotency key.

use std::convert::Infallible;

use axum::body::Bytes;
use axum::extract::FromRequestParts;
use data_encoding::{BASE64, HEXLOWER};
use domain::Id;
use domain::id::Kind;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use ports::ids::Ids;
use ports::table::{If, Item, Key, Table, Write, WriteError};
use ring::{aead, digest, hkdf, hmac};
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid, Variant, Version};

use crate::Context;
use crate::problem::{self, Problem};

/// The request header.
pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// Set on an answer that was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// How long a key is remembered.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Larger answers are not kept (a row holds 400 KB, base64 and sealing included); a repeat then runs
/// again from the same seed.
const LARGEST_ANSWER: usize = 200 * 1024;

/// Headers of an answer that are given again with it; the others belong to the one request.
const KEPT_HEADERS: [HeaderName; 3] = [header::CONTENT_TYPE, header::LOCATION, header::ETAG];

/// Where the ids of one request come from: the same in every attempt under one `Idempotency-Key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub Uuid);

impl Seed {
    /// The id of the one thing of this kind that the request makes.
    pub fn id<K: Kind>(self) -> Id<K> {
        self.nth(0)
    }

    /// The id number `n` of several things of one kind that the request makes: the same moment, other chance.
    pub fn nth<K: Kind>(self, n: u32) -> Id<K> {
        if n == 0 {
            return Id::new(self.0);
        }
        let mut octets = *self.0.as_bytes();
        let input = [&octets[..], &n.to_be_bytes()].concat();
        octets[6..].copy_from_slice(&digest::digest(&digest::SHA256, &input).as_ref()[..10]);
        let id = Builder::from_bytes(octets)
            .with_version(Version::SortRand)
            .with_variant(Variant::RFC4122);
        Id::new(id.into_uuid())
    }
}

impl<S: Sync> FromRequestParts<S> for Seed {
    type Rejection = Infallible;

    #[expect(
        clippy::expect_used,
        reason = "only Api serves handlers, and it always sets the seed"
    )]
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(*parts
            .extensions
            .get::<Self>()
            .expect("a request that came through Api"))
    }
}

/// The row of one key.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    fingerprint: String,
    seed: Uuid,
    lease_until: Timestamp,
    answer: Option<String>,
}

/// An answer as it is sealed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

/// What becomes of a request that carries a key.
#[derive(Debug)]
pub(crate) enum Claim {
    /// It runs, and [`Attempt::finish`] stores its answer.
    Run(Attempt),
    /// It has run.
    Replay(axum::response::Response),
}

/// The right to run a request, until its lease ends.
#[derive(Debug)]
pub(crate) struct Attempt {
    row: Item,
    record: Record,
    key: String,
}

/// Claims the right to run a request.
pub(crate) async fn claim(
    table: &dyn Table,
    ids: &dyn Ids,
    now: Timestamp,
    context: &Context,
    query: &str,
    key: &HeaderValue,
    body: &Bytes,
) -> Result<Claim, Problem> {
    let key = valid_key(key)?;
    let at = Key::new(format!("req#{}", row_name(context, key)), "answer");
    let fingerprint = fingerprint(context, query, key, body);
    let lease_until = context
        .deadline
        .checked_add(SignedDuration::from_secs(1))
        .unwrap_or(now);
    let fresh = Record {
        fingerprint: fingerprint.clone(),
        seed: ids.uuid(now),
        lease_until,
        answer: None,
    };
    let first = row(at.clone(), &fresh, now);
    match table
        .write(vec![Write::Put(first.clone(), If::Absent)])
        .await
    {
        Ok(()) => {
            return Ok(Claim::Run(Attempt {
                row: first,
                record: fresh,
                key: key.to_owned(),
            }));
        }
        Err(WriteError::Condition(_)) => {}
        Err(error) => return Err(unavailable(&error)),
    }
    let known = table
        .get(&at)
        .await
        .map_err(Problem::from)?
        .ok_or_else(in_progress)?;
    let record: Record = known.parse().map_err(Problem::from)?;
    if known.is_expired(now) {
        return take_over(table, &known, fresh, key, now).await;
    }
    if record.fingerprint != fingerprint {
        return Err(Problem::new(&problem::IDEMPOTENCY_KEY_REUSED));
    }
    match &record.answer {
        Some(sealed) => unseal(key, sealed).map(|answer| Claim::Replay(answer.into_response())),
        None if record.lease_until > now => Err(in_progress_until(record.lease_until, now)),
        None => {
            take_over(
                table,
                &known,
                Record {
                    lease_until,
                    ..record
                },
                key,
                now,
            )
            .await
        }
    }
}

/// Runs in place of an attempt that died, or of a record whose time is over.
async fn take_over(
    table: &dyn Table,
    known: &Item,
    record: Record,
    key: &str,
    now: Timestamp,
) -> Result<Claim, Problem> {
    let next = Item {
        version: known.version + 1,
        ..row(known.key.clone(), &record, now)
    };
    match table
        .write(vec![Write::Put(next.clone(), If::VersionIs(known.version))])
        .await
    {
        Ok(()) => Ok(Claim::Run(Attempt {
            row: next,
            record,
            key: key.to_owned(),
        })),
        Err(WriteError::Condition(_) | WriteError::Conflict) => Err(in_progress()),
        Err(error) => Err(unavailable(&error)),
    }
}

impl Attempt {
    pub(crate) fn seed(&self) -> Seed {
        Seed(self.record.seed)
    }

    /// Stores the answer; or, if it is a failure that a repeat may cure, gives the key free again.
    pub(crate) async fn finish(
        mut self,
        table: &dyn Table,
        ids: &dyn Ids,
        now: Timestamp,
        status: StatusCode,
        headers: &HeaderMap,
        body: &Bytes,
    ) {
        let repeatable = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        if repeatable {
            self.record.lease_until = now;
        } else if body.len() <= LARGEST_ANSWER {
            self.record.answer = Some(seal(ids, &self.key, &Answer::of(status, headers, body)));
        }
        let next = Item {
            version: self.row.version + 1,
            ..row(self.row.key.clone(), &self.record, now)
        };
        if let Err(error) = table
            .write(vec![Write::Put(next, If::VersionIs(self.row.version))])
            .await
        {
            // The effect has happened; a repeat will find it through the seed.
            tracing::warn!(%error, "the answer of an idempotent request was not stored");
        }
    }
}

fn row(at: Key, record: &Record, now: Timestamp) -> Item {
    Item::new(at, record).expiring(now.checked_add(KEPT).unwrap_or(Timestamp::MAX))
}

fn valid_key(value: &HeaderValue) -> Result<&str, Problem> {
    value
        .to_str()
        .ok()
        .filter(|key| (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()))
        .ok_or_else(|| Problem::new(&problem::IDEMPOTENCY_KEY_INVALID))
}

/// Two callers may choose the same key, and one caller may use it on two routes. A person and the programs
/// that hold that person's API keys are callers of their own.
fn row_name(context: &Context, key: &str) -> String {
    let whose = context.caller().map_or_else(
        || format!("ip:{}", context.source_ip),
        |caller| format!("{}:{}", caller.organisation, caller.actor()),
    );
    let name = format!("{whose}\n{} {}\n{key}", context.method, context.path);
    HEXLOWER.encode(digest::digest(&digest::SHA256, name.as_bytes()).as_ref())
}

/// Keyed by the caller's key, so that the stored value does not help to guess a body.
fn fingerprint(context: &Context, query: &str, key: &str, body: &Bytes) -> String {
    let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()));
    for part in [
        context.method.as_str().as_bytes(),
        context.path.as_bytes(),
        query.as_bytes(),
        body,
    ] {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    HEXLOWER.encode(mac.sign().as_ref())
}

fn in_progress() -> Problem {
    Problem::new(&problem::REQUEST_IN_PROGRESS).retry_after(1)
}

fn in_progress_until(until: Timestamp, now: Timestamp) -> Problem {
    let seconds = until.duration_since(now).as_secs().max(0);
    Problem::new(&problem::REQUEST_IN_PROGRESS).retry_after(u64::try_from(seconds).unwrap_or(1) + 1)
}

fn unavailable(error: &WriteError) -> Problem {
    tracing::warn!(%error, "an idempotency key could not be claimed");
    Problem::new(&problem::UNAVAILABLE).retry_after(1)
}

impl Answer {
    fn of(status: StatusCode, headers: &HeaderMap, body: &Bytes) -> Self {
        let kept = KEPT_HEADERS.iter().filter_map(|name| {
            Some((
                name.to_string(),
                headers.get(name)?.to_str().ok()?.to_owned(),
            ))
        });
        Self {
            status: status.as_u16(),
            headers: kept.collect(),
            body: BASE64.encode(body),
        }
    }

    fn into_response(self) -> axum::response::Response {
        let body = BASE64.decode(self.body.as_bytes()).unwrap_or_default();
        let mut response = axum::response::Response::new(axum::body::Body::from(body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        for (name, value) in self.headers {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                response.headers_mut().insert(name, value);
            }
        }
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
        response
    }
}

/// The key that seals an answer; whoever does not know the idempotency key cannot make it.
fn sealing_key(key: &str) -> aead::LessSafeKey {
    let extracted =
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"fleet idempotency answer").extract(key.as_bytes());
    let Ok(expanded) = extracted.expand(&[b"aes-256-gcm"], &aead::AES_256_GCM) else {
        unreachable!("HKDF-SHA256 expands to 32 octets")
    };
    aead::LessSafeKey::new(expanded.into())
}

fn seal(ids: &dyn Ids, key: &str, answer: &Answer) -> String {
    let nonce: [u8; 12] = ids.octets();
    let mut sealed = serde_json::to_vec(answer).unwrap_or_default();
    let tag = sealing_key(key)
        .seal_in_place_separate_tag(
            aead::Nonce::assume_unique_for_key(nonce),
            aead::Aad::empty(),
            &mut sealed,
        )
        .unwrap_or_else(|_| unreachable!("an answer is far below the limit of AES-GCM"));
    let mut octets = nonce.to_vec();
    octets.extend_from_slice(&sealed);
    octets.extend_from_slice(tag.as_ref());
    BASE64.encode(&octets)
}

fn unseal(key: &str, sealed: &str) -> Result<Answer, Problem> {
    let open = || {
        let mut octets = BASE64.decode(sealed.as_bytes()).ok()?;
        if octets.len() < 12 {
            return None;
        }
        let mut rest = octets.split_off(12);
        let nonce = aead::Nonce::try_assume_unique_for_key(&octets).ok()?;
        let plain = sealing_key(key)
            .open_in_place(nonce, aead::Aad::empty(), &mut rest)
            .ok()?;
        serde_json::from_slice(plain).ok()
    };
    open().ok_or_else(|| {
        tracing::error!("a stored answer cannot be opened");
        Problem::new(&problem::INTERNAL_ERROR)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domain::id::Document;

    use super::*;
    use ports::ids::RandomIds;

    #[test]
    fn ids_of_one_seed_differ_and_sort_beside_it() {
        let seed = Seed("019a0000-0000-7000-8000-000000000001".parse().unwrap());
        let ids = || -> Vec<Uuid> { (0..20).map(|n| seed.nth::<Document>(n).uuid()).collect() };

        assert_eq!(ids(), ids());
        assert_eq!(ids()[0], seed.0);
        assert!(
            ids()
                .iter()
                .all(|id| id.as_bytes()[..6] == seed.0.as_bytes()[..6])
        );
        assert!(ids().iter().all(|id| id.get_version_num() == 7));
        assert_eq!(ids().iter().collect::<BTreeSet<_>>().len(), 20);
    }

    #[test]
    fn a_sealed_answer_opens_with_its_key_only() {
        let ids = RandomIds::shared();
        let answer = Answer {
            status: 201,
            headers: vec![],
            body: BASE64.encode(b"secret"),
        };

        let sealed = seal(&*ids, "key-1", &answer);

        assert_eq!(unseal("key-1", &sealed).unwrap(), answer);
        assert!(unseal("key-2", &sealed).is_err());
        assert!(unseal("key-1", "AAAA").is_err());
    }

    #[test]
    fn a_key_is_visible_ascii_of_bounded_length() {
        assert!(valid_key(&HeaderValue::from_static("a")).is_ok());
        for bad in ["", "a b", "ñ"] {
            assert!(
                valid_key(&HeaderValue::from_bytes(bad.as_bytes()).unwrap()).is_err(),
                "{bad:?}"
            );
        }
        assert!(valid_key(&HeaderValue::from_str(&"k".repeat(256)).unwrap()).is_err());
    }
}
