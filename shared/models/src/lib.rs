//! Models behind any OpenAI-compatible endpoint, within a budget.

mod answer;
pub mod budget;
mod cache;
pub mod error;
pub mod gateway;
mod health;
pub mod price;
pub mod reply;
pub mod request;
mod run;
mod shapes;
pub mod target;
pub mod testing;
mod wire;

pub use budget::{
    Budget, BudgetError, CallRecord, Ledger, Notice, Period, Scope, Spender, Standing,
};
pub use error::ModelError;
pub use gateway::{Flow, Gateway, Parts, Patience, Sink};
pub use reply::{Attempt, Completion, Cost, Delta, Embeddings, Finish, Usage};
pub use request::{ChatRequest, Message, Mistake, OpenAiBody, Schema};
pub use target::{Target, TargetError};
