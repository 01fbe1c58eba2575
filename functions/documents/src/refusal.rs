//! Why a document could not be made, kept for whoever asks later: the problem that a caller who waited would
//! have been answered, in both languages.

use domain::Locale;
use runtime::Problem;
use serde::{Deserialize, Serialize};

use crate::DocumentsError;

/// The most places that are named.
const MOST_FAULTS: usize = 20;

/// Why a document could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The kind of problem, for programs.
    pub code: String,
    /// Every place that is wrong, at least one.
    pub faults: Vec<Fault>,
}

/// What is wrong at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// JSON pointer (RFC 6901) into the request's body.
    pub pointer: String,
    /// For people, in Spanish.
    pub es: String,
    /// For people, in English.
    pub en: String,
}

impl Refusal {
    /// The refusal of a document with data of its own.
    pub fn of(error: DocumentsError) -> Self {
        Self::of_problem(&error.into())
    }

    /// What of this problem is kept.
    pub fn of_problem(problem: &Problem) -> Self {
        let [es, en] = [Locale::Es, Locale::En].map(|locale| problem.body(locale, "", ""));
        let mut faults: Vec<Fault> = es
            .errors
            .into_iter()
            .zip(en.errors)
            .take(MOST_FAULTS)
            .map(|(es, en)| Fault {
                pointer: es.pointer,
                es: es.detail,
                en: en.detail,
            })
            .collect();
        if faults.is_empty() {
            faults.push(Fault {
                pointer: "/data".to_owned(),
                es: es.detail,
                en: en.detail,
            });
        }
        Self {
            code: es.code,
            faults,
        }
    }

    /// The same refusal where the data stands at another place of the body.
    #[must_use]
    pub fn at(mut self, place: &str) -> Self {
        for fault in &mut self.faults {
            if let Some(inside) = fault.pointer.strip_prefix("/data") {
                fault.pointer = format!("{place}{inside}");
            }
        }
        self
    }
}

impl Fault {
    /// What is wrong, in one language.
    pub fn detail(&self, locale: Locale) -> &str {
        match locale {
            Locale::Es => &self.es,
            Locale::En => &self.en,
        }
    }
}
