//! The problems that only `/v1/auth/*` and `/v1/api-keys*` answer with.

use domain::Text;
use runtime::{Code, Problem, problem};

use crate::AuthError;

/// Wrong address or password, or an address that is not confirmed.
pub static INVALID_CREDENTIALS: Code = Code {
    code: "invalid_credentials",
    status: 401,
    title: Text::fixed(
        "La dirección o la contraseña no son correctas, o la dirección no está confirmada",
        "The address or the password is wrong, or the address is not confirmed",
    ),
};

/// A code from a mail or an app that does not fit.
pub static INVALID_CODE: Code = Code {
    code: "invalid_code",
    status: 422,
    title: Text::fixed(
        "El código no es correcto o ha caducado",
        "The code is wrong or has expired",
    ),
};

/// A password outside the policy.
pub static WEAK_PASSWORD: Code = Code {
    code: "weak_password",
    status: 422,
    title: Text::fixed(
        "La contraseña debe tener entre 12 y 256 caracteres",
        "The password must have 12 to 256 characters",
    ),
};

/// The second factor was not asked for, or too long ago.
pub static INVALID_CHALLENGE: Code = Code {
    code: "invalid_challenge",
    status: 401,
    title: Text::fixed(
        "La verificación ha caducado; vuelve a iniciar sesión",
        "The challenge is over; sign in again",
    ),
};

/// Not a refresh token, or one of a session that has ended.
pub static REFRESH_INVALID: Code = Code {
    code: "refresh_invalid",
    status: 401,
    title: Text::fixed(
        "El token de renovación no es válido",
        "The refresh token is not valid",
    ),
};

/// The session is 30 days old, or was not used for 14.
pub static REFRESH_EXPIRED: Code = Code {
    code: "refresh_expired",
    status: 401,
    title: Text::fixed(
        "La sesión ha caducado; vuelve a iniciar sesión",
        "The session has expired; sign in again",
    ),
};

/// A refresh token was used twice, so two hold it: the session was ended for both.
pub static REFRESH_REUSED: Code = Code {
    code: "refresh_reused",
    status: 401,
    title: Text::fixed(
        "El token de renovación ya se había usado; la sesión se ha cerrado por seguridad",
        "The refresh token was used before; the session was ended for safety",
    ),
};

/// The organisation has as many keys as it may have.
pub static API_KEYS_EXHAUSTED: Code = Code {
    code: "api_keys_exhausted",
    status: 409,
    title: Text::fixed(
        "La organización ya tiene 100 claves de API; revoca alguna",
        "The organisation has 100 API keys already; revoke one",
    ),
};

/// A person asks what only a key can be told.
pub static API_KEY_REQUIRED: Code = Code {
    code: "api_key_required",
    status: 403,
    title: Text::fixed(
        "Esta petición se hace con una clave de API",
        "This request is made with an API key",
    ),
};

/// All of them.
pub static ALL: &[&Code] = &[
    &INVALID_CREDENTIALS,
    &INVALID_CODE,
    &WEAK_PASSWORD,
    &INVALID_CHALLENGE,
    &REFRESH_INVALID,
    &REFRESH_EXPIRED,
    &REFRESH_REUSED,
    &API_KEYS_EXHAUSTED,
    &API_KEY_REQUIRED,
];

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::InvalidCredentials => Self::new(&INVALID_CREDENTIALS),
            AuthError::InvalidCode => {
                Self::new(&INVALID_CODE).field("/code", INVALID_CODE.title.clone())
            }
            AuthError::WeakPassword => {
                Self::new(&WEAK_PASSWORD).field("/password", WEAK_PASSWORD.title.clone())
            }
            AuthError::InvalidChallenge => Self::new(&INVALID_CHALLENGE),
            AuthError::InvalidRefresh => Self::new(&REFRESH_INVALID),
            AuthError::ExpiredSession => Self::new(&REFRESH_EXPIRED),
            AuthError::ReusedRefresh => Self::new(&REFRESH_REUSED),
            AuthError::NoSession => Self::new(&problem::PERSON_REQUIRED),
            AuthError::NoSuchKey => Self::new(&problem::NOT_FOUND),
            AuthError::KeyBeyondCaller => {
                Self::new(&problem::PERMISSION_DENIED).detail(Text::fixed(
                    "La clave puede hacer más que tú, así que no puedes tener su secreto",
                    "The key may do more than you, so you cannot have its secret",
                ))
            }
            AuthError::TooManyKeys => Self::new(&API_KEYS_EXHAUSTED),
            AuthError::VersionMismatch => Self::new(&problem::VERSION_MISMATCH),
            AuthError::Busy => Self::new(&problem::UNAVAILABLE).retry_after(1),
            AuthError::Port(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Locale;
    use std::collections::BTreeSet;

    #[test]
    fn every_problem_has_a_code_of_its_own_and_both_languages() {
        let codes: BTreeSet<_> = ALL
            .iter()
            .chain(problem::PLATFORM)
            .map(|code| code.code)
            .collect();

        assert_eq!(codes.len(), ALL.len() + problem::PLATFORM.len());
        for code in ALL {
            assert_ne!(
                code.title.get(Locale::Es),
                code.title.get(Locale::En),
                "{}",
                code.code
            );
        }
    }
}
