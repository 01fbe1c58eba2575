//! The capability over memory ports, for its tests.

use std::sync::Arc;

use domain::id::{Id, Session, User};
use domain::{Account, Caller, Email, Event, Locale, OrganisationRole, PlatformRole};
use jiff::Timestamp;
use ports::clock::{Clock, ManualClock};
use ports::identity::MemoryIdentity;
use ports::identity::memory::{AccessClaims, PoolSettings};
use ports::ids::{Ids, SequentialIds};
use ports::keys::MemoryKeys;
use ports::outbox::Announced;
use ports::secrets::MemorySecrets;
use ports::table::MemoryTable;
use runtime::{Api, Platform};
use secrecy::ExposeSecret;

use crate::session::SessionRow;
use crate::token::forge::{self, Forge};
use crate::{Auth, NewUser, SignedIn, Tokens, token};

pub const PASSWORD: &str = "correct horse battery";
pub const REFRESH_SECRET: &str = "refresh-secret";

/// Every port in memory.
pub struct World {
    pub auth: Arc<Auth>,
    pub identity: Arc<MemoryIdentity>,
    pub table: Arc<MemoryTable>,
    pub requests: Arc<MemoryTable>,
    pub keys: Arc<MemoryKeys>,
    pub secrets: Arc<MemorySecrets>,
    pub clock: Arc<ManualClock>,
    pub platform: Platform,
}

impl World {
    /// Nobody has signed up.
    pub fn new() -> Self {
        let clock = ManualClock::at(forge::now());
        let ids: Arc<dyn Ids> = SequentialIds::shared();
        let pool = Forge::pool();
        let mint = move |claims: &AccessClaims| {
            pool.token(&forge::header(), &serde_json::to_value(claims).unwrap())
        };
        let settings = PoolSettings {
            issuer: forge::ISSUER.into(),
            client_id: forge::CLIENT.into(),
            ..PoolSettings::default()
        };
        let identity =
            MemoryIdentity::with_settings(clock.clone(), ids.clone(), Arc::new(mint), settings);
        let (table, keys, secrets) = (
            MemoryTable::shared(),
            MemoryKeys::shared(),
            MemorySecrets::shared(),
        );
        secrets.set(REFRESH_SECRET, "the secret of these tests");
        let auth = Arc::new(Auth {
            identity: identity.clone(),
            table: table.clone(),
            keys: keys.clone(),
            secrets: secrets.clone(),
            refresh_secret_id: REFRESH_SECRET.into(),
            clock: clock.clone(),
            ids: ids.clone(),
        });
        let requests = MemoryTable::shared();
        let platform = Platform {
            requests: requests.clone(),
            clock: clock.clone(),
            ids,
        };
        Self {
            auth,
            identity,
            table,
            requests,
            keys,
            secrets,
            clock,
            platform,
        }
    }

    /// The API in front of it.
    pub fn api(&self) -> Api {
        Api::new(
            crate::api::routes(self.auth.clone(), &self.platform),
            self.platform.clone(),
        )
        .unwrap()
    }

    pub async fn sign_up(&self, email: &str) -> Id<User> {
        self.auth.sign_up(new_user(email)).await.unwrap()
    }

    /// A person who has confirmed their address.
    pub async fn member(&self, email: &str) -> Id<User> {
        let user = self.sign_up(email).await;
        self.auth
            .confirm(&address(email), &self.code(email), Locale::En)
            .await
            .unwrap();
        user
    }

    /// The code in the newest mail.
    pub fn code(&self, email: &str) -> String {
        self.identity.code_for(&address(email)).unwrap()
    }

    pub async fn sign_in(&self, email: &str) -> Tokens {
        match self
            .auth
            .sign_in(&address(email), &PASSWORD.into(), Locale::En)
            .await
            .unwrap()
        {
            SignedIn::Tokens(tokens) => tokens,
            SignedIn::Totp { .. } => panic!("no second factor was set up"),
        }
    }

    pub async fn refresh(&self, tokens: &Tokens) -> Result<Tokens, crate::AuthError> {
        self.auth.refresh(tokens.refresh.expose_secret()).await
    }

    pub fn account(&self, user: Id<User>) -> Option<Account> {
        self.rows(user, Account::SORT)
            .pop()
            .map(|row| row.parse().unwrap())
    }

    pub fn sessions(&self, user: Id<User>) -> Vec<SessionRow> {
        self.rows(user, "session#")
            .iter()
            .map(|row| row.parse().unwrap())
            .collect()
    }

    pub fn alive(&self, user: Id<User>) -> usize {
        let not_before = self.account(user).and_then(|account| account.not_before);
        self.sessions(user)
            .iter()
            .filter(|row| row.is_alive(self.clock.now(), not_before))
            .count()
    }

    /// What was announced, in order.
    pub fn events(&self) -> Vec<Event> {
        let announced = self
            .table
            .changes()
            .into_iter()
            .filter(|row| row.key.sk.starts_with("event#"));
        announced
            .map(|row| row.parse::<Announced>().unwrap().envelope.event)
            .collect()
    }

    fn rows(&self, user: Id<User>, sort: &str) -> Vec<ports::table::Item> {
        let mut rows = self.table.rows();
        rows.retain(|row| row.key.pk == user.to_string() && row.key.sk.starts_with(sort));
        rows
    }
}

pub fn address(email: &str) -> Email {
    email.parse().unwrap()
}

pub fn new_user(email: &str) -> NewUser {
    NewUser {
        email: address(email),
        password: PASSWORD.into(),
        name: "Ana".into(),
        locale: Locale::Es,
    }
}

/// The caller that the authorizer would make of these tokens.
pub fn caller(tokens: &Tokens) -> Caller {
    let (user, session) = origin(tokens);
    Caller::new(
        user,
        Id::new(uuid::Uuid::nil()),
        session,
        PlatformRole::User,
        Some(OrganisationRole::Owner),
    )
}

pub fn origin(tokens: &Tokens) -> (Id<User>, Id<Session>) {
    token::origin_of(tokens.access.expose_secret()).unwrap()
}

pub fn later(clock: &ManualClock, seconds: u64) -> Timestamp {
    clock.advance(std::time::Duration::from_secs(seconds));
    clock.now()
}
