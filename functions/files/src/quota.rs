//! What an organisation's files take up, in one row of counters that is never read before it is written.
//!
//! | number | what |
//! |---|---|
//! | `taken` | octets of stored files and of rooms set aside: what the quota bounds |
//! | `bytes`, `files` | octets and number of stored files |
//! | `reserved`, `open` | octets and number of rooms set aside |
//! | `fil_…` | the room set aside for one upload: what makes setting it aside twice impossible |
//! | `warned` | 1 from reaching 80 % until falling below it |

use domain::Id;
use domain::id::{File, Organisation};
use ports::PortError;
use ports::table::{Count, Counted, Guard, Key, Numbers};

use crate::{Files, FilesError, TRIES};

/// The most uploads that an organisation may have open at once: each stands in the row of counters.
pub const MOST_OPEN: u64 = 200;

/// How the numbers of stored files change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// A room becomes a stored file.
    Settle,
    /// A room is given back.
    Release,
    /// A stored file is deleted.
    Delete,
}

/// What an organisation's files take up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Octets of stored files.
    pub bytes: u64,
    /// Stored files.
    pub files: u64,
    /// Octets set aside for uploads under way.
    pub reserved: u64,
    /// What stored files and uploads under way may take up together, in octets.
    pub quota: u64,
}

impl Files {
    /// Sets room aside for an upload, once, however often it is asked.
    pub(crate) async fn reserve(
        &self,
        org: Id<Organisation>,
        id: Id<File>,
        bytes: u64,
    ) -> Result<(), FilesError> {
        if bytes > self.quota {
            let (asked, free) = (bytes, self.quota);
            return Err(FilesError::QuotaExceeded { asked, free });
        }
        let (name, room) = (id.to_string(), number(bytes));
        let count = Count {
            guards: vec![
                Guard::AtMost("taken".into(), number(self.quota - bytes)),
                Guard::AtMost("open".into(), number(MOST_OPEN - 1)),
                Guard::Absent(name.clone()),
            ],
            add: vec![
                ("taken".into(), room),
                ("reserved".into(), room),
                ("open".into(), 1),
            ],
            set: vec![(name.clone(), room)],
            ..Count::of(row_key(org))
        };
        match self.count(count).await? {
            Counted::Done(_) => Ok(()),
            // An earlier attempt, whose answer was lost.
            Counted::Refused(numbers) if numbers.contains_key(&name) => Ok(()),
            Counted::Refused(numbers) if get(&numbers, "open") >= MOST_OPEN => {
                Err(FilesError::TooManyOpen)
            }
            Counted::Refused(numbers) => Err(FilesError::QuotaExceeded {
                asked: bytes,
                free: self.quota.saturating_sub(get(&numbers, "taken")),
            }),
        }
    }

    /// Counts, however many transactions are under way on the same row.
    async fn count(&self, count: Count) -> Result<Counted, PortError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.table.count(count.clone()).await {
                Err(PortError::Throttled { .. }) if tries < TRIES => self.wait(tries).await,
                answer => return answer,
            }
        }
    }

    /// The numbers as they stand.
    pub(crate) async fn numbers(&self, org: Id<Organisation>) -> Result<Numbers, PortError> {
        let row = self.table.get(&row_key(org)).await?;
        let attributes = row.map(|row| row.attributes).unwrap_or_default();
        let numbers = attributes.into_iter();
        Ok(numbers
            .filter_map(|(name, value)| Some((name, value.as_i64()?)))
            .collect())
    }

    /// Gives back a room whose upload has no row: nobody will ever use it.
    pub(crate) async fn give_back(
        &self,
        org: Id<Organisation>,
        id: Id<File>,
        bytes: u64,
    ) -> Result<(), PortError> {
        self.count(change(org, id, bytes, Move::Release))
            .await
            .map(drop)
    }

    pub(crate) fn usage_of(&self, numbers: &Numbers) -> Usage {
        Usage {
            bytes: get(numbers, "bytes"),
            files: get(numbers, "files"),
            reserved: get(numbers, "reserved"),
            quota: self.quota,
        }
    }

    /// From how many octets of stored files on an organisation is told.
    const fn near(&self) -> u64 {
        self.quota / 10 * 8
    }

    /// The part of a transaction that counts a file as stored, and whether that brings the organisation near
    /// its quota. What is read here is guarded there: if it changed, the transaction does not happen.
    pub(crate) fn settling(
        &self,
        numbers: &Numbers,
        org: Id<Organisation>,
        id: Id<File>,
        bytes: u64,
    ) -> (Count, bool) {
        let mut count = change(org, id, bytes, Move::Settle);
        if !numbers.contains_key(&id.to_string()) {
            // A room that was never set aside, or given back too early: the file is there all the same.
            count.guards = vec![Guard::Absent(id.to_string())];
            count.remove.clear();
            count.add = vec![
                ("taken".into(), number(bytes)),
                ("bytes".into(), number(bytes)),
                ("files".into(), 1),
            ];
        }
        if numbers.contains_key("warned") {
            return (count, false);
        }
        let is_near = get(numbers, "bytes") + bytes >= self.near();
        if is_near {
            count.guards.push(Guard::Absent("warned".into()));
            count.set.push(("warned".into(), 1));
        } else {
            let most = number(self.near()) - 1 - number(bytes);
            count.guards.push(Guard::AtMost("bytes".into(), most));
        }
        (count, is_near)
    }

    /// The part of a transaction that counts a stored file no more.
    pub(crate) fn deleting(
        &self,
        numbers: &Numbers,
        org: Id<Organisation>,
        id: Id<File>,
        bytes: u64,
    ) -> Count {
        let mut count = change(org, id, bytes, Move::Delete);
        if get(numbers, "bytes").saturating_sub(bytes) < self.near() {
            count.remove.push("warned".into());
        }
        count
    }
}

/// The change of one move, for a room or file of that many octets.
pub(crate) fn change(org: Id<Organisation>, id: Id<File>, bytes: u64, what: Move) -> Count {
    let (name, room) = (id.to_string(), number(bytes));
    let add = |numbers: &[(&str, i64)]| {
        numbers
            .iter()
            .map(|(name, by)| ((*name).to_owned(), *by))
            .collect()
    };
    let count = Count::of(row_key(org));
    match what {
        Move::Settle => Count {
            guards: vec![Guard::Is(name.clone(), room)],
            add: add(&[
                ("reserved", -room),
                ("open", -1),
                ("bytes", room),
                ("files", 1),
            ]),
            remove: vec![name],
            ..count
        },
        Move::Release => Count {
            guards: vec![Guard::Is(name.clone(), room)],
            add: add(&[("taken", -room), ("reserved", -room), ("open", -1)]),
            remove: vec![name],
            ..count
        },
        Move::Delete => Count {
            add: add(&[("taken", -room), ("bytes", -room), ("files", -1)]),
            ..count
        },
    }
}

/// The rooms set aside: whose, and of how many octets.
pub(crate) fn rooms(numbers: &Numbers) -> impl Iterator<Item = (Id<File>, u64)> {
    numbers.iter().filter_map(|(name, room)| {
        let id = name.parse().ok()?;
        Some((id, u64::try_from(*room).unwrap_or_default()))
    })
}

fn row_key(org: Id<Organisation>) -> Key {
    Key::new(org, "usage")
}

fn get(numbers: &Numbers, name: &str) -> u64 {
    let number = numbers.get(name).copied().unwrap_or_default();
    u64::try_from(number).unwrap_or_default()
}

/// Octets as a counter keeps them; what does not fit is more than any quota.
fn number(octets: u64) -> i64 {
    i64::try_from(octets).unwrap_or(i64::MAX)
}
