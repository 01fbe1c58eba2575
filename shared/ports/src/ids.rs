//! Randomness, as an argument: new ids and secret octets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::Id;
use domain::id::Kind;
use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;

/// Where unpredictable octets come from.
pub trait Ids: Send + Sync {
    /// Fills the buffer with octets that nobody can guess.
    fn fill(&self, buffer: &mut [u8]);
}

impl dyn Ids + '_ {
    /// A new UUID version 7 (RFC 9562) of this moment.
    pub fn uuid(&self, now: Timestamp) -> Uuid {
        let mut random = [0; 10];
        self.fill(&mut random);
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    /// A new id of this moment.
    pub fn next<K: Kind>(&self, now: Timestamp) -> Id<K> {
        Id::new(self.uuid(now))
    }

    /// That many secret octets.
    pub fn octets<const N: usize>(&self) -> [u8; N] {
        let mut octets = [0; N];
        self.fill(&mut octets);
        octets
    }
}

/// The operating system's generator.
#[derive(Clone, Debug)]
pub struct RandomIds(SystemRandom);

impl RandomIds {
    /// The generator, ready to be shared.
    pub fn shared() -> Arc<dyn Ids> {
        Arc::new(Self(SystemRandom::new()))
    }
}

impl Ids for RandomIds {
    fn fill(&self, buffer: &mut [u8]) {
        // getrandom(2) fails only before the kernel's pool is ready, which is long past when a process starts.
        self.0.fill(buffer).expect("the kernel's random generator");
    }
}

/// Counts instead of rolling dice, so that a test sees the same ids in every run.
#[derive(Debug, Default)]
pub struct SequentialIds(AtomicU64);

impl SequentialIds {
    /// A sequence that starts at 1.
    pub fn shared() -> Arc<dyn Ids> {
        Arc::new(Self::default())
    }
}

impl Ids for SequentialIds {
    fn fill(&self, buffer: &mut [u8]) {
        let next = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        buffer.fill(0);
        for (to, from) in buffer.iter_mut().rev().zip(next.to_le_bytes()) {
            *to = from;
        }
    }
}
