//! Why a model's work was not done, as every capability that asks models tells its callers: each reason
//! with a code that programs tell apart and words for people.

use domain::{Locale, Text};
use runtime::problem::{self, Code, FieldError, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ModelError;
use crate::targets::TargetsError;

/// A reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The operator has named no model.
    NoModel,
    /// The organisation wants its texts looked at, and the operator has named no model that does.
    NoModeration,
    /// The operator's list of models cannot be read.
    BrokenTargets,
    /// There is no model of the name that was asked for.
    UnknownModel,
    /// A budget has no room for it.
    Budget {
        /// Which: `org`, `user:usr_…`, `key:key_…`, `model:…`.
        scope: String,
    },
    /// No model answers at the moment.
    Unavailable {
        /// When to come back, in seconds.
        retry_after: u64,
    },
    /// The models were too slow for the time that there was.
    TimedOut,
    /// The model does not accept what it was asked.
    Refused,
    /// The question does not fit into any model that may be asked.
    TooLong,
    /// The provider filtered the question or the answer.
    Filtered,
    /// The answer does not fit the schema, even after it was asked for again.
    Unfit(Vec<FieldError>),
    /// Whoever worked on it died. What it cost by then is settled; it is not begun again by itself, so
    /// that nothing is paid twice without being asked for.
    Interrupted,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal $code:literal, $es:literal, $en:literal;)*) => {
        $($(#[$doc])* pub static $name: Code = Code { code: $code, status: $status, title: Text::fixed($es, $en) };)*
    };
}

codes! {
    /// See [`Failure::NoModel`].
    NO_MODEL_CONFIGURED = 503 "no_model_configured", "No hay ningún modelo configurado", "No model is configured";
    /// See [`Failure::NoModeration`].
    NO_MODERATION_CONFIGURED = 503 "no_moderation_configured", "No hay ningún modelo de moderación configurado", "No moderation model is configured";
    /// See [`Failure::Budget`].
    BUDGET_EXHAUSTED = 402 "budget_exhausted", "El presupuesto está agotado", "The budget is exhausted";
    /// See [`Failure::Unavailable`].
    MODELS_UNAVAILABLE = 503 "models_unavailable", "Ningún modelo responde por el momento", "No model answers at the moment";
    /// See [`Failure::TimedOut`].
    MODEL_TIMED_OUT = 504 "model_timed_out", "El modelo ha tardado demasiado", "The model took too long";
    /// See [`Failure::Refused`].
    MODEL_REFUSED = 422 "model_refused", "El modelo no acepta esta petición", "The model does not accept this request";
    /// See [`Failure::TooLong`].
    CONTEXT_TOO_LONG = 422 "context_too_long", "El texto no cabe en ningún modelo disponible", "The text does not fit into any available model";
    /// See [`Failure::Filtered`].
    CONTENT_FILTERED = 422 "content_filtered", "El proveedor ha filtrado el contenido", "The provider filtered the content";
    /// See [`Failure::Unfit`].
    OUTPUT_UNFIT = 422 "output_unfit", "La respuesta del modelo no cumple el esquema", "The model's answer does not fit the schema";
    /// See [`Failure::Interrupted`].
    INTERRUPTED = 503 "interrupted", "La generación se ha interrumpido", "The generation was interrupted";
}

impl Failure {
    /// Whether it was refused before a model was asked, so that there is nothing to keep.
    pub const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::NoModel
                | Self::NoModeration
                | Self::BrokenTargets
                | Self::UnknownModel
                | Self::Budget { .. }
        )
    }

    /// The problem that a caller is told.
    pub fn problem(&self) -> Problem {
        match self {
            Self::NoModel => Problem::new(&NO_MODEL_CONFIGURED)
                .detail(NO_MODEL)
                .retry_after(30),
            Self::NoModeration => Problem::new(&NO_MODERATION_CONFIGURED)
                .detail(NO_MODERATION)
                .retry_after(60),
            Self::BrokenTargets => Problem::new(&NO_MODEL_CONFIGURED)
                .detail(BROKEN_TARGETS)
                .retry_after(60),
            Self::UnknownModel => Problem::new(&problem::VALIDATION_FAILED).field(
                "/model",
                Text::fixed(
                    "No hay ningún modelo con este nombre; la lista está en GET /v1/models",
                    "There is no model of this name; the list is at GET /v1/models",
                ),
            ),
            Self::Budget { scope } => Problem::new(&BUDGET_EXHAUSTED).detail(Text::with(
                format!("No queda presupuesto para esta petición en «{scope}»"),
                format!("There is no budget left for this request in \"{scope}\""),
            )),
            Self::Unavailable { retry_after } => {
                Problem::new(&MODELS_UNAVAILABLE).retry_after(*retry_after)
            }
            Self::TimedOut => Problem::new(&MODEL_TIMED_OUT),
            Self::Refused => Problem::new(&MODEL_REFUSED),
            Self::TooLong => Problem::new(&CONTEXT_TOO_LONG),
            Self::Filtered => Problem::new(&CONTENT_FILTERED),
            Self::Unfit(places) => Problem::new(&OUTPUT_UNFIT).fields(places.clone()),
            Self::Interrupted => Problem::new(&INTERRUPTED)
                .detail(INTERRUPTED_DETAIL)
                .retry_after(1),
        }
    }

    /// What of it is kept with the work.
    pub fn kept(&self) -> Kept {
        Kept::of(&self.problem())
    }
}

impl From<TargetsError> for Failure {
    fn from(error: TargetsError) -> Self {
        match error {
            TargetsError::NoModel => Self::NoModel,
            TargetsError::Broken => Self::BrokenTargets,
            TargetsError::Port(_) => Self::Unavailable { retry_after: 1 },
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        failure.problem()
    }
}

impl From<TargetsError> for Problem {
    fn from(error: TargetsError) -> Self {
        match error {
            TargetsError::Port(error) => error.into(),
            error => Failure::from(error).problem(),
        }
    }
}

impl From<&ModelError> for Failure {
    fn from(error: &ModelError) -> Self {
        let unfit = |pointer: String, detail| Self::Unfit(vec![FieldError { pointer, detail }]);
        match error {
            ModelError::NoTarget => Self::NoModel,
            ModelError::UnknownModel => Self::UnknownModel,
            ModelError::Refused { .. } | ModelError::Invalid(_) | ModelError::BadSchema { .. } => {
                Self::Refused
            }
            ModelError::ContextTooLong => Self::TooLong,
            ModelError::Filtered => Self::Filtered,
            ModelError::Unfit { path, .. } => unfit(
                format!("/data{path}"),
                Text::fixed("No cumple el esquema", "Does not fit the schema"),
            ),
            ModelError::TooShort => unfit(
                "/max_tokens".to_owned(),
                Text::fixed(
                    "La respuesta no cabe en estos tokens",
                    "The answer does not fit into these tokens",
                ),
            ),
            ModelError::TimedOut => Self::TimedOut,
            ModelError::CallUsed | ModelError::Interrupted { .. } => Self::Interrupted,
            ModelError::Busy | ModelError::Port(_) => Self::Unavailable { retry_after: 1 },
            ModelError::Failed { retry_after } => Self::Unavailable {
                retry_after: retry_after.unwrap_or(5),
            },
            ModelError::Exhausted { scope, .. } => Self::Budget {
                scope: scope.to_string(),
            },
        }
    }
}

/// A reason as it is kept with work that was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The problem's code.
    pub code: String,
    /// What it says in Spanish.
    pub es: String,
    /// What it says in English.
    pub en: String,
    /// The places that are meant: of an answer that did not fit its schema, or of the request.
    #[serde(default)]
    pub places: Vec<Place>,
}

/// One place that is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// JSON pointer.
    pub pointer: String,
    /// What is wrong there, in Spanish.
    pub es: String,
    /// And in English.
    pub en: String,
}

impl Kept {
    /// What of this problem is kept.
    pub fn of(problem: &Problem) -> Self {
        let [es, en] = [Locale::Es, Locale::En].map(|locale| problem.body(locale, "", ""));
        Self {
            code: problem.code().code.to_owned(),
            es: es.detail,
            en: en.detail,
            places: es
                .errors
                .into_iter()
                .zip(en.errors)
                .map(|(es, en)| Place {
                    pointer: en.pointer,
                    es: es.detail,
                    en: en.detail,
                })
                .collect(),
        }
    }

    /// What it says in one language.
    pub fn detail(&self, reader: Locale) -> &str {
        match reader {
            Locale::Es => &self.es,
            Locale::En => &self.en,
        }
    }

    /// The problem that it was; `own` are the codes that the capability keeps besides those of models.
    pub fn problem(&self, own: &[&'static Code]) -> Problem {
        let mut known = CODES.iter().chain(own);
        let known = known.find(|known| known.code == self.code);
        let code = known.copied().unwrap_or(&problem::INTERNAL_ERROR);
        let text = |es: &String, en: &String| Text::with(es.clone(), en.clone());
        let errors = self.places.iter().map(|place| FieldError {
            pointer: place.pointer.clone(),
            detail: text(&place.es, &place.en),
        });
        let problem = Problem::new(code)
            .detail(text(&self.es, &self.en))
            .fields(errors.collect());
        if code.status == 503 {
            problem.retry_after(5)
        } else {
            problem
        }
    }
}

/// Every code of this module that can be kept.
static CODES: [&Code; 11] = [
    &NO_MODEL_CONFIGURED,
    &NO_MODERATION_CONFIGURED,
    &BUDGET_EXHAUSTED,
    &MODELS_UNAVAILABLE,
    &MODEL_TIMED_OUT,
    &MODEL_REFUSED,
    &CONTEXT_TOO_LONG,
    &CONTENT_FILTERED,
    &OUTPUT_UNFIT,
    &INTERRUPTED,
    &problem::VALIDATION_FAILED,
];

const NO_MODEL: Text = Text::fixed(
    "Quien opera la plataforma debe indicar al menos un modelo: en AWS, en el secreto ModelTargets; en local, \
     con FLEET_MODEL_TARGETS o esperando a que «cargo fleet status» muestre el modelo local listo",
    "Whoever operates the platform has to name a model: in AWS in the secret ModelTargets; on a developer's \
     machine with FLEET_MODEL_TARGETS, or by waiting until `cargo fleet status` shows the local model ready",
);

const NO_MODERATION: Text = Text::fixed(
    "Las reglas de la organización piden moderación; quien opera la plataforma debe indicar un modelo para ello \
     (el campo moderation de un modelo del secreto ModelTargets)",
    "The organisation's rules ask for moderation; whoever operates the platform has to name a model for it \
     (the field moderation of a model in the secret ModelTargets)",
);

const BROKEN_TARGETS: Text = Text::fixed(
    "La lista de modelos (el secreto ModelTargets) no es válida; el registro dice dónde",
    "The list of models (the secret ModelTargets) is not valid; the log says where",
);

const INTERRUPTED_DETAIL: Text = Text::fixed(
    "El proceso que lo generaba terminó antes de tiempo. Lo gastado queda anotado; puedes pedirlo de nuevo",
    "The process that made it ended before its time. What was spent is accounted for; you may ask again",
);

/// A reason as callers are shown it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Reason {
    /// The problem's code.
    #[schema(example = "model_timed_out")]
    pub code: String,
    /// In words, in the language of the request.
    pub detail: String,
    /// The places of the answer that did not fit its schema.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
}

impl Reason {
    /// What was kept, in the reader's language.
    pub fn of(kept: Kept, reader: Locale) -> Self {
        Self {
            detail: kept.detail(reader).to_owned(),
            code: kept.code,
            places: kept.places.into_iter().map(|place| place.pointer).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_becomes_the_same_problem_again() {
        let missing = Text::fixed("Falta este campo", "This field is missing");
        for failure in [
            Failure::NoModel,
            Failure::NoModeration,
            Failure::UnknownModel,
            Failure::Budget {
                scope: "org".into(),
            },
            Failure::Unavailable { retry_after: 5 },
            Failure::TimedOut,
            Failure::Refused,
            Failure::TooLong,
            Failure::Filtered,
            Failure::Unfit(vec![FieldError {
                pointer: "/data/title".into(),
                detail: missing,
            }]),
            Failure::Interrupted,
        ] {
            for locale in [Locale::Es, Locale::En] {
                let (fresh, kept) = (failure.problem(), failure.kept().problem(&[]));

                assert_eq!(
                    serde_json::to_value(kept.body(locale, "", "")).unwrap(),
                    serde_json::to_value(fresh.body(locale, "", "")).unwrap()
                );
            }
        }
    }
}
