//! Events written in the same transaction as the state that they announce; the table's stream brings
//! them to the bus.

use domain::id::{Happening, Organisation};
use domain::{Envelope, Event, Id};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ids::Ids;
use crate::table::{If, Item, Key, Write};

/// The beginning of an event row's sort key: the stream's filter looks for it.
pub const SORT_PREFIX: &str = "event#";

/// How long an event row stays, for whoever has to look back.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Where an event comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The tenant that it happens in.
    pub org: Id<Organisation>,
    /// `traceparent` of the request.
    pub trace: Option<String>,
    /// The event that caused it.
    pub causation: Option<Id<Happening>>,
}

/// The row of an event. The envelope stands in an attribute of its own, because it has a `version` and
/// so has every row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Announced {
    /// What goes to the bus.
    pub envelope: Envelope,
}

/// The write that announces an event. It stands in the partition of the aggregate that it is about,
/// because a stream keeps order inside one partition only.
pub fn announce(
    ids: &dyn Ids,
    now: Timestamp,
    pk: impl ToString,
    origin: Origin,
    event: Event,
) -> Write {
    let envelope = Envelope {
        id: ids.next(now),
        time: now,
        version: 1,
        org: origin.org,
        trace: origin.trace,
        causation: origin.causation,
        event,
    };
    let key = Key::new(pk, format!("{SORT_PREFIX}{}", envelope.id));
    Write::Put(
        Item::new(key, &Announced { envelope })
            .expiring(now.saturating_add(KEPT).unwrap_or(Timestamp::MAX)),
        If::Absent,
    )
}
