//! What a browser opens a WebSocket with, in the place of a token: addresses end up in logs.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use data_encoding::HEXLOWER;
use domain::Caller;
use domain::id::{Id, Organisation, User};
use jiff::{SignedDuration, Timestamp};
use ports::PortError;
use ports::clock::Clock;
use ports::ids::Ids;
use ports::table::{If, Item, Key, Table, Write, WriteError};
use ring::digest;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How long a ticket may be used.
const VALID: SignedDuration = SignedDuration::from_secs(60);

/// How long a connection may live without a new ticket, whatever opened it.
const LONGEST: SignedDuration = SignedDuration::from_mins(15);

/// Secret octets of a ticket.
const SECRET: usize = 32;

/// Octets of a person's id, which stand before the secret so that a ticket is found in its person's partition.
const PERSON: usize = 16;

/// Makes tickets and finds them again.
pub struct Tickets {
    /// This capability's own table.
    pub table: Arc<dyn Table>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub ids: Arc<dyn Ids>,
}

/// What a ticket stands for. The ticket itself is not kept, only its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// Who asked for it.
    pub user: Id<User>,
    /// The organisation that they act for.
    pub organisation: Id<Organisation>,
    /// What they may do there.
    pub permissions: BTreeSet<String>,
    /// When the access token expires that it was asked for with.
    pub until: Timestamp,
}

/// A new ticket.
#[derive(Clone)]
pub struct Issued {
    /// What opens a connection: 64 letters and digits, `-` and `_`.
    pub ticket: String,
    /// Until when.
    pub expires_at: Timestamp,
}

/// A pass that was found, and what makes its ticket worthless.
#[derive(Clone, Debug)]
pub struct Found {
    /// What the ticket stands for.
    pub pass: Pass,
    /// To be written with what the ticket is used for: its condition does not hold a second time.
    pub spend: Write,
}

impl Tickets {
    /// Makes a ticket for somebody whose token is good until then; nothing if that is not known.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn issue(
        &self,
        caller: &Caller,
        token_expires: Option<Timestamp>,
    ) -> Result<Issued, PortError> {
        let now = self.clock.now();
        let longest = now.saturating_add(LONGEST).unwrap_or(now);
        let pass = Pass {
            user: caller.user,
            organisation: caller.organisation,
            permissions: caller.permissions.clone(),
            until: token_expires.map_or(longest, |at| at.min(longest)),
        };
        let secret: [u8; SECRET] = self.ids.octets();
        let octets = [caller.user.uuid().as_bytes().as_slice(), &secret].concat();
        // The store keeps whole seconds.
        let expires_at = now.saturating_add(VALID).unwrap_or(now);
        let expires_at = Timestamp::from_second(expires_at.as_second()).unwrap_or(expires_at);
        let row = Item::new(key(caller.user, &octets), &pass).expiring(expires_at);
        match self.table.write(vec![Write::Put(row, If::Always)]).await {
            Ok(()) => Ok(Issued {
                ticket: BASE64_URL_SAFE_NO_PAD.encode(&octets),
                expires_at,
            }),
            Err(WriteError::Port(error)) => Err(error),
            Err(error) => Err(PortError::Throttled {
                port: ports::Port::Table,
                cause: error.to_string(),
            }),
        }
    }

    /// The pass of a ticket that can still be used.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn find(&self, ticket: &str) -> Result<Option<Found>, PortError> {
        let octets = BASE64_URL_SAFE_NO_PAD.decode(ticket).unwrap_or_default();
        if octets.len() != PERSON + SECRET {
            return Ok(None);
        }
        let Ok(person) = Uuid::from_slice(&octets[..PERSON]) else {
            return Ok(None);
        };
        let row = self.table.get(&key(Id::new(person), &octets)).await?;
        let Some(row) = row.filter(|row| !row.is_expired(self.clock.now())) else {
            return Ok(None);
        };
        Ok(Some(Found {
            pass: row.parse()?,
            spend: Write::Delete(row.key, If::Present),
        }))
    }
}

/// A secret of 256 bits needs no salt.
fn key(user: Id<User>, ticket: &[u8]) -> Key {
    let hash = digest::digest(&digest::SHA256, ticket);
    Key::new(user, format!("ticket#{}", HEXLOWER.encode(hash.as_ref())))
}
