//! A stage: a misbehaving endpoint, a table in memory, a clock that stands.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::Id;
use domain::id::{Organisation, User};
use jiff::Timestamp;
use models::testing::Provider;
use models::{
    ChatRequest, Completion, Delta, Flow, Gateway, Message, ModelError, Parts, Patience, Period,
    Scope, Sink, Spender, Target,
};
use ports::PortError;
use ports::clock::{Clock, ManualClock};
use ports::ids::{Ids, SequentialIds};
use ports::table::MemoryTable;
use uuid::Uuid;

pub const NOW: &str = "2026-11-24T10:00:00Z";

pub struct Stage {
    pub provider: Provider,
    pub table: Arc<MemoryTable>,
    pub clock: Arc<ManualClock>,
    pub ids: Arc<dyn Ids>,
    pub spender: Spender,
}

impl Stage {
    pub fn new() -> Self {
        Self {
            provider: Provider::start(),
            table: MemoryTable::shared(),
            clock: ManualClock::at_text(NOW),
            ids: SequentialIds::shared(),
            spender: Spender {
                org: Id::<Organisation>::new(Uuid::from_u128(1)),
                user: Id::<User>::new(Uuid::from_u128(2)),
                key: None,
            },
        }
    }

    pub fn parts(&self) -> Parts {
        Parts {
            client: runtime::outbound::client().unwrap(),
            table: self.table.clone(),
            clock: self.clock.clone(),
            ids: Arc::clone(&self.ids),
        }
    }

    pub fn gateway(&self, models: &[&str]) -> Gateway {
        let targets = models.iter().map(|model| self.provider.target(model));
        self.gateway_to(targets.collect())
    }

    pub fn gateway_to(&self, targets: Vec<Arc<Target>>) -> Gateway {
        Gateway::new(self.parts(), targets).with_patience(Patience {
            margin: Duration::ZERO,
            ..Patience::default()
        })
    }

    pub fn deadline(&self) -> Timestamp {
        self.clock.now() + jiff::SignedDuration::from_secs(60)
    }

    pub fn call(&self) -> Uuid {
        self.ids.uuid(self.clock.now())
    }

    pub async fn complete(
        &self,
        gateway: &Gateway,
        request: &ChatRequest,
    ) -> Result<Completion, ModelError> {
        gateway
            .complete(&self.spender, self.call(), request, self.deadline())
            .await
    }

    pub async fn stream(
        &self,
        gateway: &Gateway,
        request: &ChatRequest,
    ) -> (Heard, Result<Completion, ModelError>) {
        let mut heard = Heard::default();
        let answer = gateway
            .stream(
                &self.spender,
                self.call(),
                request,
                self.deadline(),
                &mut heard,
            )
            .await;
        (heard, answer)
    }

    /// The counter of the organisation's month says what the records say, and nothing is left open.
    #[track_caller]
    pub fn sums(&self, gateway: &Gateway) -> impl Future<Output = (i64, i64, i64)> {
        let ledger = gateway.ledger().clone();
        let (org, period) = (self.spender.org, Period::Month.name(self.clock.now()));
        async move {
            let spent = ledger
                .spent(org, &Scope::Organisation, &period)
                .await
                .unwrap();
            let recomputed = ledger
                .recompute(org, &Scope::Organisation, &period)
                .await
                .unwrap();
            (spent.settled, spent.reserved, recomputed)
        }
    }

    pub async fn assert_sums(&self) -> i64 {
        let (settled, reserved, recomputed) = self.sums(&self.gateway(&[])).await;
        assert_eq!(settled, recomputed, "the counter and the records disagree");
        assert_eq!(reserved, 0, "money is still set aside");
        settled
    }
}

pub fn ask(text: &str, max_tokens: u32) -> ChatRequest {
    ChatRequest::new(vec![Message::user(text)], max_tokens)
}

/// A listener that remembers, and has enough after so many pieces.
#[derive(Default)]
pub struct Heard {
    pub text: String,
    pub pieces: usize,
    pub enough: Option<usize>,
    pub fails: bool,
}

#[async_trait]
impl Sink for Heard {
    async fn delta(&mut self, delta: &Delta) -> Result<Flow, PortError> {
        if self.fails {
            return Err(PortError::Unavailable {
                port: ports::Port::Channels,
                cause: "on purpose".into(),
            });
        }
        self.text.push_str(&delta.text);
        self.pieces += 1;
        let enough = self.enough.is_some_and(|enough| self.pieces >= enough);
        Ok(if enough { Flow::Stop } else { Flow::Continue })
    }
}
