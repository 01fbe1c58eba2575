//! Why there is no text: what models answer with ([`models::failure`]), and what the organisation's own rules
//! say.

use domain::Text;
pub use models::failure::{Kept, Place};
use runtime::problem::{Code, Problem};

use crate::guard::MODERATION;

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
    /// The models did not do it.
    Models(models::Failure),
    /// One of the organisation's own rules stopped it.
    Blocked {
        /// On which way.
        side: Side,
        /// Which guardrail.
        rule: &'static str,
    },
    /// The translation lost something that has to stay.
    PlaceholdersLost(Vec<String>),
}

impl From<models::Failure> for Failure {
    fn from(failure: models::Failure) -> Self {
        Self::Models(failure)
    }
}

/// See [`Failure::Blocked`].
pub static CONTENT_BLOCKED: Code = Code {
    code: "content_blocked",
    status: 422,
    title: Text::fixed(
        "Una regla de tu organización lo ha bloqueado",
        "A rule of your organisation blocked it",
    ),
};

/// See [`Failure::PlaceholdersLost`].
pub static PLACEHOLDERS_LOST: Code = Code {
    code: "placeholders_lost",
    status: 422,
    title: Text::fixed(
        "La traducción ha perdido marcadores",
        "The translation lost placeholders",
    ),
};

/// Every code that is kept besides those of models.
static CODES: [&Code; 2] = [&CONTENT_BLOCKED, &PLACEHOLDERS_LOST];

impl Failure {
    /// Whether it was refused before a model was asked, so that there is nothing to keep.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Models(failure) if failure.is_refusal())
    }

    /// The problem that a caller is told.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Models(failure) => failure.problem(),
            Self::Blocked { side, rule } => Problem::new(&CONTENT_BLOCKED).detail(match side {
                Side::Input if *rule == MODERATION => Text::fixed(
                    "La moderación ha rechazado la petición",
                    "Moderation refused the request",
                ),
                Side::Output if *rule == MODERATION => Text::fixed(
                    "La moderación ha rechazado la respuesta",
                    "Moderation refused the answer",
                ),
                Side::Input => Text::fixed(
                    "La petición contiene un término bloqueado",
                    "The request holds a blocked term",
                ),
                Side::Output => Text::fixed(
                    "La respuesta contenía un término bloqueado",
                    "The answer held a blocked term",
                ),
            }),
            Self::PlaceholdersLost(lost) => {
                let marks = lost.join(", ");
                Problem::new(&PLACEHOLDERS_LOST).detail(Text::with(
                    format!("Faltan o sobran: {marks}"),
                    format!("Missing or repeated: {marks}"),
                ))
            }
        }
    }

    /// What of it is kept with a text.
    pub fn kept(&self) -> Kept {
        Kept::of(&self.problem())
    }
}

/// The problem that was kept with a text.
pub fn problem_of(kept: &Kept) -> Problem {
    kept.problem(&CODES)
}

#[cfg(test)]
mod tests {
    use domain::Locale;

    use super::*;

    #[test]
    fn what_is_kept_becomes_the_same_problem_again() {
        for failure in [
            Failure::Models(models::Failure::TimedOut),
            Failure::Blocked {
                side: Side::Input,
                rule: "blocked_term",
            },
            Failure::PlaceholdersLost(vec!["{a}".into()]),
        ] {
            for locale in [Locale::Es, Locale::En] {
                let (fresh, kept) = (failure.problem(), problem_of(&failure.kept()));

                assert_eq!(
                    serde_json::to_value(kept.body(locale, "", "")).unwrap(),
                    serde_json::to_value(fresh.body(locale, "", "")).unwrap()
                );
            }
        }
    }
}
