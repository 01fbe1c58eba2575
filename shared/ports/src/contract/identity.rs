//! What every identity provider must do: the life of an account.

use std::time::Duration;

use domain::{Email, Locale};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use uuid::Uuid;

use crate::identity::{Credentials, Identity, IdentityError, SignIn, Tokens};

const PASSWORD: &str = "Correct horse 7 battery!";
const SECOND_PASSWORD: &str = "Another horse 8 battery!";

/// A provider, and what only its caller can look at.
pub struct Stage<'a> {
    /// The provider.
    pub identity: &'a dyn Identity,
    /// The code in the newest message to this address.
    pub code_for: &'a (dyn Fn(&Email) -> String + Sync),
    /// The claims of an access token.
    pub claims: &'a (dyn Fn(&str) -> Value + Sync),
}

impl Stage<'_> {
    /// Runs every check on a pool where nobody has signed up. What no emulator does is checked on memory
    /// only: waiting after wrong passwords, old codes, and the password's check before the address's.
    pub async fn holds(&self) {
        self.nobody_is_told_who_has_an_account().await;
        let subject = self.an_account_is_made_and_confirmed().await;
        self.signing_in_takes_the_right_password(subject).await;
        self.a_sign_in_can_be_refreshed_until_it_is_revoked().await;
        self.signing_out_everywhere_ends_every_sign_in().await;
        self.a_forgotten_password_is_replaced_by_a_code().await;
    }

    async fn nobody_is_told_who_has_an_account(&self) {
        let nobody = email("nobody@example.com");

        assert_eq!(self.identity.subject(&nobody).await, Ok(None));
        assert_eq!(
            self.refusal(&nobody, PASSWORD).await,
            IdentityError::NotAuthorized
        );
        assert_eq!(
            self.identity.confirm(&nobody, "123456").await,
            Err(IdentityError::CodeMismatch)
        );
        assert_eq!(self.identity.resend(&nobody).await, Ok(()));
        assert_eq!(self.identity.forgot_password(&nobody).await, Ok(()));
        assert_eq!(
            self.reset(&nobody, "123456", PASSWORD).await,
            Err(IdentityError::CodeMismatch)
        );
        assert_eq!(self.identity.sign_out_everywhere(&nobody).await, Ok(()));
    }

    async fn an_account_is_made_and_confirmed(&self) -> Uuid {
        let ana = ana();
        assert_eq!(
            self.sign_up("short").await,
            Err(IdentityError::WeakPassword)
        );
        assert_eq!(self.identity.subject(&ana).await, Ok(None));

        let subject = self.sign_up(PASSWORD).await.expect("a new account");
        assert_eq!(self.identity.subject(&ana).await, Ok(Some(subject)));
        assert_eq!(self.sign_up(PASSWORD).await, Err(IdentityError::Taken));
        assert_eq!(
            self.refusal(&ana, PASSWORD).await,
            IdentityError::NotConfirmed
        );

        let first = (self.code_for)(&ana);
        assert_eq!(
            self.identity.confirm(&ana, &other_than(&first)).await,
            Err(IdentityError::CodeMismatch)
        );
        assert_eq!(self.identity.resend(&ana).await, Ok(()));
        let second = (self.code_for)(&ana);
        assert_eq!(self.identity.confirm(&ana, &second).await, Ok(()));
        assert_eq!(
            self.identity.confirm(&ana, &second).await,
            Err(IdentityError::AlreadyConfirmed)
        );
        assert_eq!(self.sign_up(PASSWORD).await, Err(IdentityError::Taken));
        subject
    }

    async fn signing_in_takes_the_right_password(&self, subject: Uuid) {
        assert_eq!(
            self.refusal(&ana(), SECOND_PASSWORD).await,
            IdentityError::NotAuthorized
        );

        let tokens = self.sign_in(PASSWORD).await;

        let claims = (self.claims)(tokens.access.expose_secret());
        assert_eq!(claims["sub"], subject.to_string());
        assert_eq!(claims["token_use"], "access");
        let lifetime = claims["exp"]
            .as_u64()
            .zip(claims["iat"].as_u64())
            .map(|(exp, iat)| exp - iat);
        assert_eq!(lifetime.map(Duration::from_secs), Some(tokens.expires_in));
        assert!(
            claims["origin_jti"].is_string() && claims["jti"].is_string(),
            "{claims}"
        );
        assert!(
            claims["client_id"].is_string() && claims["auth_time"].is_u64(),
            "{claims}"
        );
    }

    async fn a_sign_in_can_be_refreshed_until_it_is_revoked(&self) {
        let (kept, ended) = (self.sign_in(PASSWORD).await, self.sign_in(PASSWORD).await);
        let refresh = |tokens: &Tokens| tokens.refresh.clone().expect("a refresh token");
        let origin =
            |tokens: &Tokens| (self.claims)(tokens.access.expose_secret())["origin_jti"].clone();

        let renewed = self
            .identity
            .refresh(&refresh(&ended))
            .await
            .expect("new tokens");
        assert_eq!(origin(&renewed), origin(&ended));
        assert_ne!(renewed.access.expose_secret(), ended.access.expose_secret());

        for _ in 0..2 {
            assert_eq!(self.identity.revoke(&refresh(&ended)).await, Ok(()));
        }
        assert_eq!(
            self.renewal(&refresh(&ended)).await,
            Err(IdentityError::NotAuthorized)
        );
        assert_eq!(
            self.renewal(&"no token of anybody's".into()).await,
            Err(IdentityError::NotAuthorized)
        );
        assert_eq!(
            self.identity.revoke(&"no token of anybody's".into()).await,
            Ok(())
        );
        assert_eq!(self.renewal(&refresh(&kept)).await, Ok(()));
    }

    async fn signing_out_everywhere_ends_every_sign_in(&self) {
        let sign_ins = [self.sign_in(PASSWORD).await, self.sign_in(PASSWORD).await];

        assert_eq!(self.identity.sign_out_everywhere(&ana()).await, Ok(()));

        for tokens in sign_ins {
            let refresh = tokens.refresh.expect("a refresh token");
            assert_eq!(
                self.renewal(&refresh).await,
                Err(IdentityError::NotAuthorized)
            );
        }
        self.sign_in(PASSWORD).await;
    }

    async fn a_forgotten_password_is_replaced_by_a_code(&self) {
        let ana = ana();
        assert_eq!(self.identity.forgot_password(&ana).await, Ok(()));
        let code = (self.code_for)(&ana);

        assert_eq!(
            self.reset(&ana, &other_than(&code), SECOND_PASSWORD).await,
            Err(IdentityError::CodeMismatch)
        );
        assert_eq!(
            self.reset(&ana, &code, "short").await,
            Err(IdentityError::WeakPassword)
        );
        assert_eq!(self.reset(&ana, &code, SECOND_PASSWORD).await, Ok(()));
        assert!(
            self.reset(&ana, &code, PASSWORD).await.is_err(),
            "a code works once"
        );
        assert_eq!(
            self.refusal(&ana, PASSWORD).await,
            IdentityError::NotAuthorized
        );
        self.sign_in(SECOND_PASSWORD).await;
    }

    async fn sign_up(&self, password: &str) -> Result<Uuid, IdentityError> {
        let who = Credentials {
            email: ana(),
            password: password.into(),
            name: "Ana Pérez".into(),
            locale: Locale::Es,
        };
        self.identity.sign_up(&who).await
    }

    async fn sign_in(&self, password: &str) -> Tokens {
        match self.identity.sign_in(&ana(), &password.into()).await {
            Ok(SignIn::Tokens(tokens)) => tokens,
            other => panic!("expected tokens, got {other:?}"),
        }
    }

    async fn refusal(&self, email: &Email, password: &str) -> IdentityError {
        self.identity
            .sign_in(email, &password.into())
            .await
            .expect_err("a refusal")
    }

    async fn renewal(&self, refresh: &SecretString) -> Result<(), IdentityError> {
        self.identity.refresh(refresh).await.map(drop)
    }

    async fn reset(&self, email: &Email, code: &str, password: &str) -> Result<(), IdentityError> {
        self.identity
            .reset_password(email, code, &password.into())
            .await
    }
}

fn ana() -> Email {
    email("ana.contract@example.com")
}

fn email(text: &str) -> Email {
    text.parse().expect("an address")
}

/// A code of the same length that is not this one.
fn other_than(code: &str) -> String {
    code.chars()
        .map(|digit| if digit == '1' { '2' } else { '1' })
        .collect()
}
