//! The routes of texts, prompts, voices and budgets.

mod batches;
mod budgets;
mod generate;
mod history;
mod openai;
mod prompts;
mod view;
mod voices;

use std::sync::Arc;

use axum::extract::FromRef;
use domain::Text;
use ports::queue::Queue;
use ports::table::WriteError;
use runtime::problem::{self, Code, FieldError, Problem};
use utoipa_axum::router::OpenApiRouter;

use crate::record::Status;
use crate::{Content, ContentError};

/// What the routes stand on.
#[derive(Clone)]
struct Desk {
    content: Arc<Content>,
    jobs: Arc<dyn Queue>,
}

impl FromRef<Desk> for Arc<Content> {
    fn from_ref(desk: &Desk) -> Self {
        desk.content.clone()
    }
}

/// The routes over these use cases. Texts that are to be streamed go to `jobs`.
pub fn routes(content: Arc<Content>, jobs: Arc<dyn Queue>) -> OpenApiRouter {
    let desk = Desk {
        content: content.clone(),
        jobs,
    };
    OpenApiRouter::new()
        .merge(generate::routes().with_state(desk))
        .merge(batches::routes().with_state(content.clone()))
        .merge(history::routes().with_state(content.clone()))
        .merge(prompts::routes().with_state(content.clone()))
        .merge(voices::routes().with_state(content.clone()))
        .merge(budgets::routes().with_state(content.clone()))
        .merge(openai::routes().with_state(content))
}

/// The organisation has a prompt of this name.
pub static NAME_TAKEN: Code = Code {
    code: "name_taken",
    status: 409,
    title: Text::fixed("El nombre ya está en uso", "The name is already in use"),
};

/// The text is being made, or no longer is, and cannot be asked for this now.
pub static NOT_NOW: Code = Code {
    code: "not_now",
    status: 409,
    title: Text::fixed(
        "El contenido no está en un estado que lo permita",
        "The content is not in a state that allows this",
    ),
};

fn not_now(status: Status) -> Problem {
    Problem::new(&NOT_NOW).detail(match status {
        Status::Running => Text::fixed("Todavía se está generando", "It is still being made"),
        Status::Done => Text::fixed("Ya está terminado", "It is finished"),
        Status::Failed => Text::fixed("Ha fallado", "It has failed"),
        Status::Cancelled => Text::fixed("Se ha cancelado", "It was cancelled"),
    })
}

impl From<ContentError> for Problem {
    fn from(error: ContentError) -> Self {
        match error {
            ContentError::NotFound => Self::new(&problem::NOT_FOUND),
            ContentError::Taken => Self::new(&NAME_TAKEN),
            ContentError::VersionMismatch => Self::new(&problem::VERSION_MISMATCH),
            ContentError::NotNow(status) => not_now(status),
            ContentError::InProgress => Self::new(&problem::REQUEST_IN_PROGRESS).retry_after(2),
            ContentError::Failed(failure) => failure.problem(),
            ContentError::Ended(kept) => crate::failure::problem_of(&kept),
            ContentError::Invalid(faults) => {
                let errors = faults.into_iter().map(|fault| FieldError {
                    pointer: fault.pointer,
                    detail: fault.detail,
                });
                Self::new(&problem::VALIDATION_FAILED).fields(errors.collect())
            }
            ContentError::Port(error) | ContentError::Write(WriteError::Port(error)) => {
                error.into()
            }
            ContentError::Write(error) => {
                tracing::warn!(%error, "a row was not written");
                Self::new(&problem::UNAVAILABLE).retry_after(1)
            }
        }
    }
}
