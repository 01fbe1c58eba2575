//! Why there is no text: each reason with a code that programs tell apart and words for people.

use domain::{Locale, Text};
use runtime::problem::{self, Code, FieldError, Problem};
use serde::{Deserialize, Serialize};

use crate::Fault;

/// Which way a text was going when a guardrail stopped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// To a model.
    Input,
    /// From a model.
    Output,
}

impl Side {
    /// As events and answers call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

/// A reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The operator has named no model.
    NoModel,
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
    /// One of the organisation's own rules stopped it.
    Blocked {
        /// On which way.
        side: Side,
        /// Which guardrail.
        rule: &'static str,
    },
    /// The answer does not fit the schema, even after it was asked for again.
    Unfit(Vec<Fault>),
    /// The translation lost something that has to stay.
    PlaceholdersLost(Vec<String>),
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
    /// See [`Failure::Blocked`].
    CONTENT_BLOCKED = 422 "content_blocked", "Una regla de tu organización lo ha bloqueado", "A rule of your organisation blocked it";
    /// See [`Failure::Unfit`].
    OUTPUT_UNFIT = 422 "output_unfit", "La respuesta del modelo no cumple el esquema", "The model's answer does not fit the schema";
    /// See [`Failure::PlaceholdersLost`].
    PLACEHOLDERS_LOST = 422 "placeholders_lost", "La traducción ha perdido marcadores", "The translation lost placeholders";
    /// See [`Failure::Interrupted`].
    INTERRUPTED = 503 "interrupted", "La generación se ha interrumpido", "The generation was interrupted";
}

impl Failure {
    /// Whether it was refused before a model was asked, so that there is nothing to keep.
    pub const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::NoModel | Self::BrokenTargets | Self::UnknownModel | Self::Budget { .. }
        )
    }

    /// The problem that a caller is told.
    pub fn problem(&self) -> Problem {
        match self {
            Self::NoModel => Problem::new(&NO_MODEL_CONFIGURED)
                .detail(NO_MODEL)
                .retry_after(30),
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
            Self::Blocked { side, .. } => Problem::new(&CONTENT_BLOCKED).detail(match side {
                Side::Input => Text::fixed(
                    "La petición contiene un término bloqueado",
                    "The request holds a blocked term",
                ),
                Side::Output => Text::fixed(
                    "La respuesta contenía un término bloqueado",
                    "The answer held a blocked term",
                ),
            }),
            Self::Unfit(faults) => {
                let errors = faults.iter().map(|fault| FieldError {
                    pointer: fault.pointer.clone(),
                    detail: fault.detail.clone(),
                });
                Problem::new(&OUTPUT_UNFIT).fields(errors.collect())
            }
            Self::PlaceholdersLost(lost) => {
                let marks = lost.join(", ");
                Problem::new(&PLACEHOLDERS_LOST).detail(Text::with(
                    format!("Faltan o sobran: {marks}"),
                    format!("Missing or repeated: {marks}"),
                ))
            }
            Self::Interrupted => Problem::new(&INTERRUPTED)
                .detail(INTERRUPTED_DETAIL)
                .retry_after(1),
        }
    }

    /// What of it is kept with a text.
    pub fn kept(&self) -> Kept {
        let problem = self.problem();
        let [es, en] = [Locale::Es, Locale::En].map(|locale| problem.body(locale, "", ""));
        Kept {
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
}

/// A reason as it is kept with a text that was not made.
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
    /// What it says in one language.
    pub fn detail(&self, reader: Locale) -> &str {
        match reader {
            Locale::Es => &self.es,
            Locale::En => &self.en,
        }
    }

    /// The problem that it was.
    pub fn problem(&self) -> Problem {
        let known = CODES.iter().find(|known| known.code == self.code);
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

/// Every code that can be kept.
static CODES: [&Code; 12] = [
    &NO_MODEL_CONFIGURED,
    &BUDGET_EXHAUSTED,
    &MODELS_UNAVAILABLE,
    &MODEL_TIMED_OUT,
    &MODEL_REFUSED,
    &CONTEXT_TOO_LONG,
    &CONTENT_FILTERED,
    &CONTENT_BLOCKED,
    &OUTPUT_UNFIT,
    &PLACEHOLDERS_LOST,
    &INTERRUPTED,
    &problem::VALIDATION_FAILED,
];

const NO_MODEL: Text = Text::fixed(
    "Quien opera la plataforma debe indicar al menos un modelo: en AWS, en el secreto ModelTargets; en local, \
     con FLEET_MODEL_TARGETS o esperando a que «cargo fleet status» muestre el modelo local listo",
    "Whoever operates the platform has to name a model: in AWS in the secret ModelTargets; on a developer's \
     machine with FLEET_MODEL_TARGETS, or by waiting until `cargo fleet status` shows the local model ready",
);

const BROKEN_TARGETS: Text = Text::fixed(
    "La lista de modelos (el secreto ModelTargets) no es válida; el registro dice dónde",
    "The list of models (the secret ModelTargets) is not valid; the log says where",
);

const INTERRUPTED_DETAIL: Text = Text::fixed(
    "El proceso que lo generaba terminó antes de tiempo. Lo gastado queda anotado; puedes pedirlo de nuevo",
    "The process that made it ended before its time. What was spent is accounted for; you may ask again",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_becomes_the_same_problem_again() {
        let missing = Text::fixed("Falta este campo", "This field is missing");
        for failure in [
            Failure::NoModel,
            Failure::UnknownModel,
            Failure::Budget {
                scope: "org".into(),
            },
            Failure::Unavailable { retry_after: 5 },
            Failure::TimedOut,
            Failure::Refused,
            Failure::TooLong,
            Failure::Filtered,
            Failure::Blocked {
                side: Side::Input,
                rule: "blocked_term",
            },
            Failure::Unfit(vec![Fault::at("/data/title", missing)]),
            Failure::PlaceholdersLost(vec!["{a}".into()]),
            Failure::Interrupted,
        ] {
            for locale in [Locale::Es, Locale::En] {
                let (fresh, kept) = (failure.problem(), failure.kept().problem());

                assert_eq!(
                    serde_json::to_value(kept.body(locale, "", "")).unwrap(),
                    serde_json::to_value(fresh.body(locale, "", "")).unwrap()
                );
            }
        }
    }
}
