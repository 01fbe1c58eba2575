//! Answers from memory: the very same question of the very same organisation, if the caller asks for that.

use data_encoding::HEXLOWER;
use domain::Id;
use domain::id::Organisation;
use jiff::{SignedDuration, Timestamp};
use ports::PortError;
use ports::table::{If, Item, Key, Table, Write, WriteError};
use ring::digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::reply::{Completion, Finish};
use crate::request::ChatRequest;
use crate::target::Target;

/// The longest that an answer is kept.
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// An answer as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub text: String,
    pub data: Option<Value>,
    pub message: Value,
    pub finish: Finish,
    pub model: String,
    pub target: String,
}

impl Kept {
    pub(crate) fn of(completion: &Completion) -> Self {
        Self {
            text: completion.text.clone(),
            data: completion.data.clone(),
            message: completion.message.clone(),
            finish: completion.finish,
            model: completion.model.clone(),
            target: completion.target.clone(),
        }
    }
}

/// Where the answer to a question is kept. The organisation is part of the name and of the row's partition;
/// each part is preceded by its length, so that no two questions share a name.
pub(crate) fn key<'a>(
    org: Id<Organisation>,
    request: &ChatRequest,
    targets: impl Iterator<Item = &'a Target>,
) -> Key {
    let mut name = digest::Context::new(&digest::SHA256);
    let mut part = |octets: &[u8]| {
        name.update(&(octets.len() as u64).to_be_bytes());
        name.update(octets);
    };
    part(org.to_string().as_bytes());
    for target in targets {
        part(target.name.as_bytes());
        part(target.base_url.as_bytes());
        // All that is sent, in the order of the fields' names.
        part(request.body(target, false).to_string().as_bytes());
    }
    Key::new(
        format!("{org}#answers"),
        HEXLOWER.encode(name.finish().as_ref()),
    )
}

/// The answer that is kept there, if its time is not over.
pub(crate) async fn read(
    table: &dyn Table,
    key: &Key,
    now: Timestamp,
) -> Result<Option<Kept>, PortError> {
    let row = table.get(key).await?;
    row.filter(|row| !row.is_expired(now))
        .map(|row| row.parse())
        .transpose()
}

/// Keeps an answer. One that does not fit a row is not kept.
pub(crate) async fn write(
    table: &dyn Table,
    key: Key,
    kept: &Kept,
    until: Timestamp,
) -> Result<(), WriteError> {
    let row = Item::new(key, kept).expiring(until);
    table.write(vec![Write::Put(row, If::Always)]).await
}

/// Until when an answer is kept.
pub(crate) fn until(now: Timestamp, kept: std::time::Duration) -> Timestamp {
    let kept = SignedDuration::try_from(kept).map_or(LONGEST, |kept| kept.min(LONGEST));
    now.saturating_add(kept).unwrap_or(now)
}
