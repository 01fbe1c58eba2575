//! What the memory pool does over time, which no emulator could be asked.

use super::*;
use crate::clock::ManualClock;
use crate::ids::SequentialIds;

const PASSWORD: &str = "correct horse battery";

struct Stage {
    clock: Arc<ManualClock>,
    pool: Arc<MemoryIdentity>,
    email: Email,
}

impl Stage {
    async fn with_confirmed_person() -> Self {
        let clock = ManualClock::at_text("2026-01-02T03:04:05Z");
        let mint: TokenMint = Arc::new(|claims| serde_json::to_string(claims).unwrap());
        let pool = MemoryIdentity::shared(clock.clone(), SequentialIds::shared(), mint);
        let email: Email = "ana@example.com".parse().unwrap();
        let who = Credentials {
            email: email.clone(),
            password: PASSWORD.into(),
            name: "Ana".into(),
            locale: Locale::Es,
        };
        pool.sign_up(&who).await.unwrap();
        pool.confirm(&email, &pool.code_for(&email).unwrap())
            .await
            .unwrap();
        Self { clock, pool, email }
    }

    async fn sign_in(&self, password: &str) -> Result<SignIn, IdentityError> {
        self.pool.sign_in(&self.email, &password.into()).await
    }

    async fn tokens(&self) -> Tokens {
        match self.sign_in(PASSWORD).await.unwrap() {
            SignIn::Tokens(tokens) => tokens,
            SignIn::TotpChallenge { .. } => panic!("no second factor was set up"),
        }
    }
}

fn claims(tokens: &Tokens) -> serde_json::Value {
    serde_json::from_str(tokens.access.expose_secret()).unwrap()
}

#[tokio::test]
async fn a_refreshed_token_belongs_to_the_same_sign_in() {
    let stage = Stage::with_confirmed_person().await;
    let first = stage.tokens().await;
    stage.clock.advance(Duration::from_mins(10));

    let second = stage
        .pool
        .refresh(first.refresh.as_ref().unwrap())
        .await
        .unwrap();

    let (first, second) = (claims(&first), claims(&second));
    assert_eq!(first["token_use"], "access");
    assert_eq!(first["sub"], first["username"]);
    assert_eq!(first["origin_jti"], second["origin_jti"]);
    assert_eq!(first["auth_time"], second["auth_time"]);
    assert_ne!(first["jti"], second["jti"]);
    assert_eq!(
        second["exp"].as_i64().unwrap() - first["iat"].as_i64().unwrap(),
        1500
    );
}

#[tokio::test]
async fn a_sign_in_ends_after_thirty_days() {
    let stage = Stage::with_confirmed_person().await;
    let tokens = stage.tokens().await;

    stage.clock.advance(Duration::from_hours(30 * 24));

    let answer = stage.pool.refresh(tokens.refresh.as_ref().unwrap()).await;
    assert_eq!(answer.unwrap_err(), IdentityError::NotAuthorized);
}

#[tokio::test]
async fn after_five_wrong_passwords_even_the_right_one_has_to_wait() {
    let stage = Stage::with_confirmed_person().await;
    for _ in 0..5 {
        assert_eq!(
            stage.sign_in("a wrong password").await.unwrap_err(),
            IdentityError::NotAuthorized
        );
    }

    assert_eq!(
        stage.sign_in(PASSWORD).await.unwrap_err(),
        IdentityError::TooManyTries
    );
    stage.clock.advance(Duration::from_secs(1));
    assert!(stage.sign_in(PASSWORD).await.is_ok());
}

#[tokio::test]
async fn a_code_for_a_new_password_is_worth_nothing_after_an_hour() {
    let stage = Stage::with_confirmed_person().await;
    stage.pool.forgot_password(&stage.email).await.unwrap();
    let code = stage.pool.code_for(&stage.email).unwrap();

    stage.clock.advance(Duration::from_hours(1));

    let answer = stage
        .pool
        .reset_password(&stage.email, &code, &"another long password".into())
        .await;
    assert_eq!(answer, Err(IdentityError::CodeExpired));
}

#[tokio::test]
async fn a_code_cannot_be_guessed_by_trying() {
    let stage = Stage::with_confirmed_person().await;
    stage.pool.forgot_password(&stage.email).await.unwrap();
    let code = stage.pool.code_for(&stage.email).unwrap();
    let reset = async |code: &str| {
        stage
            .pool
            .reset_password(&stage.email, code, &"another long password".into())
            .await
    };

    for _ in 0..5 {
        assert_eq!(reset("not it").await, Err(IdentityError::CodeMismatch));
    }

    assert_eq!(reset(&code).await, Err(IdentityError::TooManyTries));
}

#[tokio::test]
async fn a_second_factor_is_asked_for_and_a_challenge_answers_once() {
    let stage = Stage::with_confirmed_person().await;
    let secret = stage.pool.enrol_totp(&stage.email);
    let SignIn::TotpChallenge { session } = stage.sign_in(PASSWORD).await.unwrap() else {
        panic!("a second factor was set up");
    };
    let answer = async |code: &str| stage.pool.answer_totp(&stage.email, &session, code).await;
    let code = totp::code(&secret, stage.clock.now());

    assert_eq!(
        answer("000000").await.unwrap_err(),
        IdentityError::CodeMismatch
    );
    assert!(answer(&code).await.is_ok());
    assert_eq!(
        answer(&code).await.unwrap_err(),
        IdentityError::NotAuthorized
    );
}

#[tokio::test]
async fn who_does_not_know_the_password_is_not_told_that_the_address_is_unconfirmed() {
    let stage = Stage::with_confirmed_person().await;
    let email: Email = "eva@example.com".parse().unwrap();
    let who = Credentials {
        email: email.clone(),
        password: PASSWORD.into(),
        name: "Eva".into(),
        locale: Locale::En,
    };
    stage.pool.sign_up(&who).await.unwrap();

    let answer = async |password: &str| stage.pool.sign_in(&email, &password.into()).await;

    assert_eq!(
        answer("a wrong password").await.unwrap_err(),
        IdentityError::NotAuthorized
    );
    assert_eq!(
        answer(PASSWORD).await.unwrap_err(),
        IdentityError::NotConfirmed
    );
}

#[tokio::test]
async fn a_confirmed_address_gets_no_further_code() {
    let stage = Stage::with_confirmed_person().await;

    assert_eq!(
        stage.pool.resend(&stage.email).await,
        Err(IdentityError::AlreadyConfirmed)
    );
}
