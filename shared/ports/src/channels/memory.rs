//! Channels in memory, for the tests of whoever publishes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Channel, Channels, Frame, Told};
use crate::faults::Faults;
use crate::{Port, PortError};

/// Channels that remember what was told, for ever, and that nobody listens to.
#[derive(Debug)]
pub struct MemoryChannels {
    faults: Faults,
    told: Mutex<BTreeMap<Channel, Vec<Frame>>>,
}

impl MemoryChannels {
    /// Channels on which nothing was told.
    pub fn shared() -> Arc<Self> {
        Arc::new(Self {
            faults: Faults::of(Port::Channels),
            told: Mutex::default(),
        })
    }

    /// The failures that it is told to commit.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// What was told on a channel.
    pub fn told(&self, channel: &Channel) -> Vec<Frame> {
        self.lock().get(channel).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Channel, Vec<Frame>>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Channels for MemoryChannels {
    async fn publish(&self, channel: &Channel, frames: Vec<Frame>) -> Result<u64, PortError> {
        let ending = self.faults.enter()?;
        for frame in &frames {
            frame.to_text()?;
        }
        let mut told = self.lock();
        let log = told.entry(channel.clone()).or_default();
        log.extend(frames);
        ending.answer(log.len() as u64)
    }

    async fn since(&self, channel: &Channel, cursor: u64, limit: u32) -> Result<Told, PortError> {
        let ending = self.faults.enter()?;
        let told = self.told(channel);
        let end = told.len() as u64;
        let frames = (1..)
            .zip(told)
            .filter(|(at, _)| *at > cursor)
            .take(limit as usize);
        ending.answer(Told {
            frames: frames.collect(),
            end,
        })
    }
}
