//! Models behind any OpenAI-compatible endpoint, within a budget.
//!
//! ```text
//! let gateway = Gateway::new(Parts { client, table, clock, ids }, target::parse(&list)?);
//! let answer = gateway.complete(&spender, call, &ChatRequest::new(messages, 500), deadline).await?;
//! ```
//!
//! A call is opened in the [`budget`] ledger, which sets its bound aside; asks one target after the other
//! until one answers; and is settled at what the endpoint says that it used, or at a bound where it does
//! not say. Every call leaves a [`CallRecord`]. A call's id is used once: whoever repeats a call gives the
//! repetition an id of its own, and decides before whether the first one may have been paid.
//!
//! # Rules
//!
//! * **Time.** First token, idle and total, by target, each cut to the caller's deadline. While others are
//!   left, one target has two thirds of the time at most.
//! * **Again.** 408, 409, 429, 5xx, and connections that fail are asked again, with jitter and not before
//!   `Retry-After`, from one budget of retries over all targets. A spent quota is a 429 that is not.
//! * **Elsewhere.** 401, 402, 403, 404 and what did not pass lead to the next target; a question that is too
//!   long leads to one with more room; 400, 422 and filtered content lead nowhere.
//! * **Rest.** A target that failed twice in a row is asked last for a while, by every process.
//! * **Streams.** Nothing is told before the first token, so that until then another target may answer.
//!   A stream that does not say why it ended was cut, and is an error.
//! * **Shape.** A schema is checked here, whatever the endpoint promised. An answer that was cut by its
//!   tokens is asked for once with twice as many, one that does not fit once with its mistakes named.
//! * **Memory.** The same question of the same organisation, if the caller asks for that; it costs nothing.
//!
//! # The sixteen faults of the Failover Bench
//!
//! Each is a test of `tests/gateway/faults.rs` over real sockets; [`testing::Fault`] is the endpoint that
//! has it.
//!
//! | | fault | answer | what it costs |
//! |---|---|---|---|
//! | S01 | 429 with `Retry-After: 1` | waited for, same target answers | the answer |
//! | S02 | 429 that lasts | next target; alone: an error with the time to come back | the answer; nothing |
//! | S03 | 500 once | same target answers | the answer |
//! | S04 | 503 | two more tries, then the next target | the answer |
//! | S05 | connection reset | next target; alone: asked again | the answer and a bound: it may be billed |
//! | S06 | silence | next target once the first token is due | the answer and a bound |
//! | S07 | first token after 20 s | next target, nothing was told | the answer and a bound |
//! | S08 | stream cut, politely or not | an error after what was told; not streamed: next target | a bound |
//! | S09 | stream stalls | an error once it was idle too long | a bound |
//! | S10 | one malformed piece | the answer without it | the answer |
//! | S11 | no `[DONE]` | the answer | the answer |
//! | S12 | context length | a target with more room, or an error after one question | the answer; nothing |
//! | S13 | content filter | an error, nobody else is asked | nothing, or the tokens that were made |
//! | S14 | prefill refused | an error after one question | nothing |
//! | S15 | flapping | each question answered by the same target at the second try | the answer |
//! | S16 | accounting | tokens counted once, cached ones at their price | exact |

mod answer;
pub mod budget;
mod cache;
pub mod error;
pub mod failure;
pub mod gateway;
mod health;
mod moderate;
pub mod price;
pub mod reply;
pub mod request;
mod run;
pub mod shapes;
pub mod target;
pub mod targets;
pub mod testing;
mod wire;

pub use budget::{
    Budget, BudgetError, CallRecord, Ledger, Notice, Period, Scope, Spender, Standing,
};
pub use error::ModelError;
pub use failure::Failure;
pub use gateway::{Flow, Gateway, Parts, Patience, Sink};
pub use moderate::Verdict;
pub use reply::{Attempt, Completion, Cost, Delta, Embeddings, Finish, Usage};
pub use request::{ChatRequest, Message, Mistake, OpenAiBody, Schema};
pub use target::{Target, TargetError};
pub use targets::{Targets, TargetsError};
