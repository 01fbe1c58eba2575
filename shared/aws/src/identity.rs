//! Credentials and tokens in a Cognito user pool, asked as a public client.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::operation::initiate_auth::InitiateAuthOutput;
use aws_sdk_cognitoidentityprovider::types::{
    AttributeType, AuthFlowType, AuthenticationResultType, ChallengeNameType,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use domain::Email;
use ports::identity::{Credentials, Identity, IdentityError, SignIn, Tokens};
use ports::{Port, PortError};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::failure;

/// A user pool and the client that asks.
pub struct CognitoIdentity {
    client: Client,
    pool: String,
    client_id: String,
}

impl CognitoIdentity {
    /// The pool of this id, asked as its public client of that id.
    pub fn new(config: &SdkConfig, pool: String, client_id: String) -> Self {
        Self {
            client: Client::new(config),
            pool,
            client_id,
        }
    }
}

#[async_trait]
impl Identity for CognitoIdentity {
    async fn sign_up(&self, who: &Credentials) -> Result<Uuid, IdentityError> {
        let locale = who.locale.tag();
        let answer = self
            .client
            .sign_up()
            .client_id(&self.client_id)
            .username(who.email.as_str())
            .password(who.password.expose_secret())
            .user_attributes(attribute("email", who.email.as_str())?)
            .user_attributes(attribute("name", &who.name)?)
            .user_attributes(attribute("locale", locale)?)
            .client_metadata("locale", locale)
            .send()
            .await
            .map_err(|error| match failure::code(&error) {
                // A password that breaks the API's own pattern never reaches the pool's policy.
                "InvalidParameterException" if failure::message(&error).contains("password") => {
                    IdentityError::WeakPassword
                }
                _ => refusal(&error),
            })?;
        parse_subject(answer.user_sub())
    }

    async fn confirm(&self, email: &Email, code: &str) -> Result<(), IdentityError> {
        self.client
            .confirm_sign_up()
            .client_id(&self.client_id)
            .username(email.as_str())
            .confirmation_code(code)
            .send()
            .await
            .map_err(|error| match failure::code(&error) {
                "NotAuthorizedException" if failure::message(&error).contains("CONFIRMED") => {
                    IdentityError::AlreadyConfirmed
                }
                _ => code_refusal(&error),
            })?;
        Ok(())
    }

    async fn resend(&self, email: &Email) -> Result<(), IdentityError> {
        let sent = self
            .client
            .resend_confirmation_code()
            .client_id(&self.client_id)
            .username(email.as_str())
            .send()
            .await;
        match sent {
            Ok(_) => Ok(()),
            Err(error) => match failure::code(&error) {
                "UserNotFoundException" => Ok(()),
                "InvalidParameterException" if failure::message(&error).contains("confirmed") => {
                    Err(IdentityError::AlreadyConfirmed)
                }
                _ => Err(refusal(&error)),
            },
        }
    }

    async fn subject(&self, email: &Email) -> Result<Option<Uuid>, IdentityError> {
        let user = match self
            .client
            .admin_get_user()
            .user_pool_id(&self.pool)
            .username(email.as_str())
            .send()
            .await
        {
            Ok(user) => user,
            Err(error) if failure::code(&error) == "UserNotFoundException" => return Ok(None),
            Err(error) => return Err(refusal(&error)),
        };
        let subject = user
            .user_attributes()
            .iter()
            .find(|attribute| attribute.name() == "sub");
        parse_subject(subject.and_then(AttributeType::value).unwrap_or_default()).map(Some)
    }

    async fn sign_in(
        &self,
        email: &Email,
        password: &SecretString,
    ) -> Result<SignIn, IdentityError> {
        let answer = self
            .client
            .initiate_auth()
            .client_id(&self.client_id)
            .auth_flow(AuthFlowType::UserPasswordAuth)
            .auth_parameters("USERNAME", email.as_str())
            .auth_parameters("PASSWORD", password.expose_secret())
            .send()
            .await
            .map_err(|error| refusal(&error))?;
        match answer.authentication_result() {
            Some(result) => tokens(result).map(SignIn::Tokens),
            None => challenge(&answer),
        }
    }

    async fn answer_totp(
        &self,
        _email: &Email,
        session: &SecretString,
        code: &str,
    ) -> Result<Tokens, IdentityError> {
        let (user, session) = session
            .expose_secret()
            .split_once(SEPARATOR)
            .ok_or(IdentityError::NotAuthorized)?;
        let answer = self
            .client
            .respond_to_auth_challenge()
            .client_id(&self.client_id)
            .challenge_name(ChallengeNameType::SoftwareTokenMfa)
            .session(session)
            .challenge_responses("USERNAME", user)
            .challenge_responses("SOFTWARE_TOKEN_MFA_CODE", code)
            .send()
            .await
            .map_err(|error| match failure::code(&error) {
                // A session that is over or of nobody. The code's own errors have names of their own.
                "InvalidParameterException" => IdentityError::NotAuthorized,
                // The API calls a used code expired; to the person it is a wrong one.
                "ExpiredCodeException" => IdentityError::CodeMismatch,
                _ => refusal(&error),
            })?;
        tokens(
            answer
                .authentication_result()
                .ok_or_else(|| unexpected("no tokens after a second factor"))?,
        )
    }

    async fn refresh(&self, refresh: &SecretString) -> Result<Tokens, IdentityError> {
        let answer = self
            .client
            .initiate_auth()
            .client_id(&self.client_id)
            .auth_flow(AuthFlowType::RefreshTokenAuth)
            .auth_parameters("REFRESH_TOKEN", refresh.expose_secret())
            .send()
            .await
            .map_err(|error| refusal(&error))?;
        tokens(
            answer
                .authentication_result()
                .ok_or_else(|| unexpected("no tokens after a refresh"))?,
        )
    }

    async fn revoke(&self, refresh: &SecretString) -> Result<(), IdentityError> {
        let revoked = self
            .client
            .revoke_token()
            .client_id(&self.client_id)
            .token(refresh.expose_secret())
            .send()
            .await;
        match revoked {
            Ok(_) => Ok(()),
            Err(error) => match failure::code(&error) {
                "InvalidParameterException"
                | "NotAuthorizedException"
                | "UnsupportedTokenTypeException" => Ok(()),
                _ => Err(refusal(&error)),
            },
        }
    }

    async fn sign_out_everywhere(&self, email: &Email) -> Result<(), IdentityError> {
        let done = self
            .client
            .admin_user_global_sign_out()
            .user_pool_id(&self.pool)
            .username(email.as_str())
            .send()
            .await;
        match done {
            Ok(_) => Ok(()),
            Err(error) if failure::code(&error) == "UserNotFoundException" => Ok(()),
            Err(error) => Err(refusal(&error)),
        }
    }

    async fn forgot_password(&self, email: &Email) -> Result<(), IdentityError> {
        let sent = self
            .client
            .forgot_password()
            .client_id(&self.client_id)
            .username(email.as_str())
            .send()
            .await;
        match sent {
            Ok(_) => Ok(()),
            Err(error) => match failure::code(&error) {
                "UserNotFoundException" => Ok(()),
                // No verified address to send a code to.
                "InvalidParameterException" => Err(IdentityError::NotConfirmed),
                _ => Err(refusal(&error)),
            },
        }
    }

    async fn reset_password(
        &self,
        email: &Email,
        code: &str,
        password: &SecretString,
    ) -> Result<(), IdentityError> {
        self.client
            .confirm_forgot_password()
            .client_id(&self.client_id)
            .username(email.as_str())
            .confirmation_code(code)
            .password(password.expose_secret())
            .send()
            .await
            .map_err(|error| match failure::code(&error) {
                "InvalidParameterException" if failure::message(&error).contains("password") => {
                    IdentityError::WeakPassword
                }
                _ => code_refusal(&error),
            })?;
        Ok(())
    }
}

/// Between the pool's name for the person and its session: the answer to a challenge must name the
/// person as the pool does, and the caller knows only an address.
const SEPARATOR: char = ':';

fn challenge(answer: &InitiateAuthOutput) -> Result<SignIn, IdentityError> {
    let name = answer.challenge_name();
    if name != Some(&ChallengeNameType::SoftwareTokenMfa) {
        return Err(unexpected(name.map_or(
            "neither tokens nor a challenge",
            ChallengeNameType::as_str,
        )));
    }
    let user = answer
        .challenge_parameters()
        .and_then(|parameters| parameters.get("USER_ID_FOR_SRP"));
    let (user, session) = user
        .zip(answer.session())
        .ok_or_else(|| unexpected("a challenge without a session"))?;
    Ok(SignIn::TotpChallenge {
        session: format!("{user}{SEPARATOR}{session}").into(),
    })
}

fn tokens(result: &AuthenticationResultType) -> Result<Tokens, IdentityError> {
    let access = result
        .access_token()
        .ok_or_else(|| unexpected("no access token"))?;
    let seconds = u64::try_from(result.expires_in()).unwrap_or(0);
    Ok(Tokens {
        access: access.into(),
        refresh: result.refresh_token().map(SecretString::from),
        expires_in: Duration::from_secs(seconds),
    })
}

fn attribute(name: &str, value: &str) -> Result<AttributeType, IdentityError> {
    AttributeType::builder()
        .name(name)
        .value(value)
        .build()
        .map_err(|_| unexpected("an attribute without a name"))
}

fn parse_subject(text: &str) -> Result<Uuid, IdentityError> {
    Uuid::try_parse(text).map_err(|_| unexpected("a subject that is no UUID"))
}

fn unexpected(cause: &str) -> IdentityError {
    PortError::Refused {
        port: Port::Identity,
        cause: cause.into(),
    }
    .into()
}

/// What the pool says when a code does not fit. That the address is unknown is not told from that.
fn code_refusal<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> IdentityError {
    match failure::code(error) {
        "UserNotFoundException" => IdentityError::CodeMismatch,
        _ => refusal(error),
    }
}

/// What the pool's refusal means, wherever the call itself does not give it another meaning.
fn refusal<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> IdentityError {
    match failure::code(error) {
        "AliasExistsException" | "UsernameExistsException" => IdentityError::Taken,
        "CodeMismatchException" => IdentityError::CodeMismatch,
        "ExpiredCodeException" => IdentityError::CodeExpired,
        "InvalidPasswordException" => IdentityError::WeakPassword,
        "LimitExceededException" | "TooManyFailedAttemptsException" => IdentityError::TooManyTries,
        "NotAuthorizedException" if failure::message(error).contains("attempts exceeded") => {
            IdentityError::TooManyTries
        }
        "NotAuthorizedException" | "PasswordResetRequiredException" | "UserNotFoundException" => {
            IdentityError::NotAuthorized
        }
        "UserNotConfirmedException" => IdentityError::NotConfirmed,
        // The account may exist by now: only its message did not go out.
        code @ ("CodeDeliveryFailureException"
        | "InvalidLambdaResponseException"
        | "UnexpectedLambdaException"
        | "UserLambdaValidationException") => PortError::Unavailable {
            port: Port::Identity,
            cause: code.to_owned(),
        }
        .into(),
        _ => failure::of_call(Port::Identity, error).into(),
    }
}
