//! Whether a text may be shown: asked of the targets that have a model for that (`OpenAI`'s `/moderations`,
//! which many endpoints speak and none of them bills).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use crate::error::ModelError;
use crate::gateway::Gateway;
use crate::target::Target;
use crate::wire::{self, Failure};

/// The longest that one target is waited for.
const LONGEST: Duration = Duration::from_secs(10);

/// How often all targets are asked, one after the other, before that is given up.
const ROUNDS: usize = 2;

/// What a moderation model says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it has anything against one of the texts.
    pub flagged: bool,
    /// What, in the endpoint's own words, in order.
    pub categories: Vec<String>,
}

#[derive(Deserialize)]
struct Said {
    results: Vec<OneResult>,
}

#[derive(Deserialize)]
struct OneResult {
    flagged: bool,
    #[serde(default)]
    categories: BTreeMap<String, Option<bool>>,
}

impl Gateway {
    /// Asks whether texts may be shown. An answer that cannot be had is an error and never a yes.
    ///
    /// # Errors
    /// [`ModelError::NoTarget`] if no target has a moderation model, [`ModelError::TimedOut`],
    /// [`ModelError::Failed`] if none of them answers.
    pub async fn moderate(
        &self,
        texts: &[String],
        deadline: Timestamp,
    ) -> Result<Verdict, ModelError> {
        let targets = self.targets();
        let able: Vec<_> = targets
            .iter()
            .filter(|target| target.moderation.is_some())
            .collect();
        if able.is_empty() {
            return Err(ModelError::NoTarget);
        }
        for target in std::iter::repeat_n(able, ROUNDS).flatten() {
            let left = deadline.duration_since(self.clock.now());
            let left = Duration::try_from(left).unwrap_or_default();
            if left.is_zero() {
                return Err(ModelError::TimedOut);
            }
            match self.verdict(target, texts, left.min(LONGEST)).await {
                Ok(verdict) => return Ok(verdict),
                Err(failure) => {
                    tracing::warn!(target = %target.name, code = failure.code, "no verdict");
                }
            }
        }
        Err(ModelError::Failed { retry_after: None })
    }

    async fn verdict(
        &self,
        target: &Target,
        texts: &[String],
        time: Duration,
    ) -> Result<Verdict, Failure> {
        let body = json!({"model": target.moderation, "input": texts}).to_string();
        let (client, now) = (&self.client, self.clock.now());
        let path = "/moderations";
        let response = wire::post(client, target, path, body.into(), time, time, now).await?;
        let octets = wire::body(response).await?;
        let said: Said = serde_json::from_slice(&octets).map_err(|_| Failure::malformed())?;
        // One result for all texts, or one for each.
        if said.results.is_empty() {
            return Err(Failure::malformed());
        }
        let mut categories: Vec<String> = said
            .results
            .iter()
            .flat_map(|result| &result.categories)
            .filter(|(_, against)| **against == Some(true))
            .map(|(name, _)| name.clone())
            .collect();
        categories.sort();
        categories.dedup();
        Ok(Verdict {
            flagged: said.results.iter().any(|result| result.flagged),
            categories,
        })
    }
}
