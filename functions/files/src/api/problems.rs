//! What is refused, and how it is said.

use domain::Text;
use ports::table::WriteError;
use runtime::problem::{self, Code, Problem};

use crate::{FilesError, Status};

/// The file cannot be downloaded or copied in its state.
pub static FILE_NOT_CLEAN: Code = Code {
    code: "file_not_clean",
    status: 409,
    title: Text::fixed("El archivo no está disponible", "The file is not available"),
};

/// The organisation's files and uploads would take up more than they may.
pub static QUOTA_EXCEEDED: Code = Code {
    code: "quota_exceeded",
    status: 409,
    title: Text::fixed(
        "No queda espacio suficiente",
        "There is not enough room left",
    ),
};

/// The organisation has as many open uploads as it may.
pub static TOO_MANY_UPLOADS: Code = Code {
    code: "too_many_uploads",
    status: 409,
    title: Text::fixed(
        "Hay demasiadas subidas abiertas",
        "Too many uploads are open",
    ),
};

/// The upload's time is over.
pub static UPLOAD_EXPIRED: Code = Code {
    code: "upload_expired",
    status: 409,
    title: Text::fixed("La subida ha caducado", "The upload has expired"),
};

/// What was agreed has not arrived yet.
pub static UPLOAD_INCOMPLETE: Code = Code {
    code: "upload_incomplete",
    status: 409,
    title: Text::fixed(
        "El archivo no ha llegado entero",
        "The file has not arrived whole",
    ),
};

impl From<FilesError> for Problem {
    fn from(error: FilesError) -> Self {
        match error {
            FilesError::NotFound => Self::new(&problem::NOT_FOUND),
            FilesError::VersionMismatch => Self::new(&problem::VERSION_MISMATCH),
            FilesError::NotClean(status) => Self::new(&FILE_NOT_CLEAN).detail(why(status)),
            FilesError::QuotaExceeded { asked, free } => {
                Self::new(&QUOTA_EXCEEDED).detail(Text::with(
                    format!("Se piden {asked} octetos y quedan {free}"),
                    format!("{asked} octets are asked for and {free} are left"),
                ))
            }
            FilesError::TooManyOpen => Self::new(&TOO_MANY_UPLOADS).retry_after(60),
            FilesError::Expired => Self::new(&UPLOAD_EXPIRED),
            FilesError::Incomplete { arrived, agreed } => {
                Self::new(&UPLOAD_INCOMPLETE).detail(Text::with(
                    format!("Han llegado {arrived} octetos de {agreed}"),
                    format!("{arrived} of {agreed} octets have arrived"),
                ))
            }
            FilesError::NoSuchPart(number) => Self::new(&problem::VALIDATION_FAILED).field(
                "/parts",
                Text::with(
                    format!("Esta subida no tiene una parte {number}"),
                    format!("This upload has no part {number}"),
                ),
            ),
            FilesError::Port(error) | FilesError::Write(WriteError::Port(error)) => error.into(),
            FilesError::Write(error @ (WriteError::Condition(_) | WriteError::Conflict)) => {
                tracing::warn!(%error, "a file's row was not written");
                Self::new(&problem::UNAVAILABLE).retry_after(1)
            }
        }
    }
}

/// The state in words that begin with it, so that a program finds it too.
fn why(status: Status) -> Text {
    match status {
        Status::Uploading => Text::fixed(
            "uploading: todavía no ha llegado",
            "uploading: it has not arrived yet",
        ),
        Status::Pending => Text::fixed(
            "pending: todavía no se ha analizado",
            "pending: it has not been looked at yet",
        ),
        Status::Clean => Text::fixed("clean: está disponible", "clean: it is available"),
        Status::Infected => Text::fixed(
            "infected: contiene código dañino",
            "infected: it carries something harmful",
        ),
        Status::Quarantined => Text::fixed(
            "quarantined: no es lo que se dijo que era",
            "quarantined: it is not what it was said to be",
        ),
        Status::Error => Text::fixed(
            "error: no se ha podido analizar",
            "error: nobody could look into it",
        ),
    }
}
