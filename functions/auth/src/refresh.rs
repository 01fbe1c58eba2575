//! Exchanging a refresh token for the next one and a fresh access token.
//!
//! Each token works once. One that comes back is judged by evidence ([`SessionRow::judge`]): a lost
//! answer and two tabs that wake up together sign nobody out, a stolen copy ends the session for both
//! who hold it.

use data_encoding::BASE64;
use domain::Event;
use ports::identity::IdentityError;
use ports::table::{If, Item, Write};
use secrecy::SecretString;

use crate::account::Person;
use crate::refresh_token::RefreshToken;
use crate::refusals::unexpected;
use crate::session::{self, SessionRow, Verdict};
use crate::sign_in::odd;
use crate::{Auth, AuthError, Step, Tokens};

/// What became of the session's row.
enum Outcome {
    /// The session goes on with this row.
    GoesOn(SessionRow),
    /// The token came back from somebody who should not have it; this was the session's last state.
    Ended(SessionRow),
    /// The session is over by age or rest.
    Expired,
    /// There is no such session any more.
    Gone,
}

impl Auth {
    /// New tokens for a refresh token.
    ///
    /// The exchange is written before the pool is asked: if the pool or the way back fails, the caller
    /// comes again with the old token, which counts as a lost answer.
    pub async fn refresh(&self, text: &str) -> Result<Tokens, AuthError> {
        let secret = self.secrets.get(&self.refresh_secret_id).await?;
        let token = RefreshToken::open(text, &secret).ok_or(AuthError::InvalidRefresh)?;
        let person = self
            .person(token.user)
            .await?
            .ok_or(AuthError::InvalidRefresh)?;
        match self.exchange(token, &person).await? {
            Outcome::GoesOn(row) => self.renew(row, &person).await,
            Outcome::Ended(row) => {
                self.revoke_at_pool(&row).await;
                Err(AuthError::ReusedRefresh)
            }
            Outcome::Expired => Err(AuthError::ExpiredSession),
            Outcome::Gone => Err(AuthError::InvalidRefresh),
        }
    }

    async fn exchange(&self, token: RefreshToken, person: &Person) -> Result<Outcome, AuthError> {
        self.change(&session::key(token.user, token.session), |item| {
            let now = self.clock.now();
            let Some(item) = item else {
                return Ok(Step::Done(Outcome::Gone));
            };
            let row: SessionRow = item.parse()?;
            if row.ended_at.is_some() || row.is_cut_off(person.cut_off(now)) {
                return Ok(Step::Done(Outcome::Gone));
            }
            if now >= row.ends_at() {
                return Ok(Step::Done(Outcome::Expired));
            }
            Ok(match row.judge(token.generation, now) {
                Verdict::Exchange => {
                    let next = row.exchange(now);
                    Step::Write(vec![replace(&item, &next)], Outcome::GoesOn(next))
                }
                Verdict::HandOutAgain => Step::Done(Outcome::GoesOn(row)),
                Verdict::Unknown => Step::Done(Outcome::Gone),
                Verdict::Reuse => {
                    let event = Event::RefreshReuse {
                        user: row.user,
                        session: row.session,
                    };
                    let announced = self.announce(&person.account, now, event);
                    Step::Write(
                        vec![replace(&item, &row.end(now)), announced],
                        Outcome::Ended(row),
                    )
                }
            })
        })
        .await
    }

    /// Gets an access token from the pool for a session that goes on.
    async fn renew(&self, row: SessionRow, person: &Person) -> Result<Tokens, AuthError> {
        let pool_token = self.pool_token(&row).await?;
        match self.identity.refresh(&pool_token).await {
            Ok(tokens) => {
                if let Some(rotated) = &tokens.refresh {
                    self.keep_pool_token(&row, rotated).await?;
                }
                self.hand_out(&row, tokens.access, tokens.expires_in).await
            }
            // The pool ended the sign-in on its own: the account was disabled or deleted, or its token expired.
            Err(IdentityError::NotAuthorized) => {
                self.end_session(&row, &person.account).await?;
                Err(AuthError::InvalidRefresh)
            }
            Err(error) => Err(unexpected("refresh", error)),
        }
    }

    /// Keeps the pool's next token, if the pool rotates too.
    async fn keep_pool_token(
        &self,
        row: &SessionRow,
        rotated: &SecretString,
    ) -> Result<(), AuthError> {
        let sealed = self
            .encrypt_pool_token(&row.session.to_string(), rotated)
            .await?;
        self.change(&session::key(row.user, row.session), |item| {
            let Some(item) = item else {
                return Ok(Step::Done(()));
            };
            let known: SessionRow = item.parse()?;
            if known.ended_at.is_some() {
                return Ok(Step::Done(()));
            }
            let next = SessionRow {
                pool_token: sealed.clone(),
                ..known
            };
            Ok(Step::Write(vec![replace(&item, &next)], ()))
        })
        .await
    }

    /// Ends a session, with its event, unless it has ended. Gives the row as it was before.
    pub(crate) async fn end_session(
        &self,
        row: &SessionRow,
        account: &domain::Account,
    ) -> Result<Option<SessionRow>, AuthError> {
        self.change(&session::key(row.user, row.session), |item| {
            let now = self.clock.now();
            let Some(item) = item else {
                return Ok(Step::Done(None));
            };
            let known: SessionRow = item.parse()?;
            if known.ended_at.is_some() {
                return Ok(Step::Done(None));
            }
            let event = Event::SessionRevoked {
                user: known.user,
                session: Some(known.session),
            };
            let writes = vec![
                replace(&item, &known.end(now)),
                self.announce(account, now, event),
            ];
            Ok(Step::Write(writes, Some(known)))
        })
        .await
    }

    /// Tells the pool that a session is over. Best effort: our own row has ended, so that the pool's
    /// token, which never leaves us, is of no use to anybody.
    pub(crate) async fn revoke_at_pool(&self, row: &SessionRow) {
        let revoked = match self.pool_token(row).await {
            Ok(token) => self
                .identity
                .revoke(&token)
                .await
                .map_err(|error| unexpected("revoke", error)),
            Err(error) => Err(error),
        };
        if let Err(error) = revoked {
            tracing::warn!(%error, session = %row.session, "a session was not revoked at the user pool");
        }
    }

    async fn pool_token(&self, row: &SessionRow) -> Result<SecretString, AuthError> {
        let sealed = BASE64
            .decode(row.pool_token.as_bytes())
            .map_err(|_| odd("a pool token that is not base64"))?;
        let plain = self.keys.decrypt(&row.session.to_string(), &sealed).await?;
        String::from_utf8(plain)
            .map(SecretString::from)
            .map_err(|_| odd("a pool token that is no text"))
    }
}

/// The write that puts the next state of a session in the place of the one that was read.
pub(crate) fn replace(item: &Item, next: &SessionRow) -> Write {
    Write::Put(item.next(next), If::VersionIs(item.version))
}

#[cfg(test)]
mod races;
