//! Channels that are kept in a table and pushed to open sockets.
//!
//! | `pk` | `sk` | row |
//! |---|---|---|
//! | `org_…/content:con_…` | `end` | its version is the cursor of the last frame |
//! | `org_…/content:con_…` | `frame#00000000000000000042` | a frame, for a day |
//! | `org_…/content:con_…` | `sub#…` | a connection that listens, and how far it was told |
//!
//! **Gapless.** Frames and the new `end` are written in one transaction under the condition that `end` is
//! still the old one; of two publishers one begins again behind the other.
//!
//! **Nothing lost between what was kept and what comes.** A publisher first keeps its frames and then reads
//! who listens; a subscriber first puts its row and then reads what is kept. Whichever comes first, one of
//! them sees the other.
//!
//! **In order, and once.** One deliverer at a time speaks to a subscription: it takes its turn with a
//! conditional count, pushes whatever lies behind `sent`, and notes down how far it came. Whoever finds the turn taken
//! leaves a note (`notes`) and goes; the deliverer cannot end its turn before it has looked behind every note. A
//! deliverer that died is replaced [`TURN`] later, by then a frame may come twice: see [`super::wire`].
//!
//! A push that fails stays undelivered until the next publication or the subscriber's return: publishing
//! does not fail by it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Channel, Channels, Frame, Told, wire};
use crate::clock::Clock;
use crate::ids::Ids;
use crate::sockets::{SocketError, Sockets};
use crate::table::{
    Count, Counted, Cursor, Guard, If, Item, Key, Numbers, Query, Table, Write, WriteError,
};
use crate::{Port, PortError};

/// How long a frame is kept.
pub const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// How long a channel's end is remembered after it was last spoken on. A channel that is silent for longer
/// begins anew at cursor 1.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(90 * 24);

/// How long a subscription's row stays if nobody takes it away: the gateway ends a connection after two hours.
const SUBSCRIBED: SignedDuration = SignedDuration::from_hours(3);

/// How long a deliverer may be silent before another takes over.
pub const TURN: SignedDuration = SignedDuration::from_secs(10);

/// How long a deliverer works before it notes down how far it came.
const NOTED: SignedDuration = SignedDuration::from_secs(3);

/// Frames of one transaction: with the end, and as long as they may be, far below what one takes.
const CHUNK: usize = 25;

/// Frames that a deliverer reads at once.
const PAGE: u32 = 100;

/// Tries before a channel that everybody speaks on counts as busy.
const TRIES: u32 = 40;

/// Subscribers that one publication speaks to at the same time.
const AT_ONCE: usize = 32;

/// Ends that one process remembers; beyond that it begins anew, which costs a read a channel.
const ENDS: usize = 10_000;

/// Turns that one microsecond can tell apart.
const STAMPS: i64 = 4096;

const END: &str = "end";
const FRAME: &str = "frame#";
const SUBSCRIPTION: &str = "sub#";

/// Channels over a table and the gateway's open connections.
pub struct StoredChannels {
    table: Arc<dyn Table>,
    sockets: Arc<dyn Sockets>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    ends: Mutex<HashMap<Channel, u64>>,
}

/// A subscription that was just made and waits for its holder to [begin](StoredChannels::begin): until then
/// nobody pushes to it.
#[derive(Debug)]
#[must_use = "nothing is pushed until the holder begins"]
pub struct Seat {
    /// What is pushed begins behind this cursor.
    pub from: u64,
    channel: Channel,
    connection: String,
    turn: Turn,
}

/// The right to speak to one subscription.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// What it is recognised by: a [stamp](StoredChannels::stamp) of when it was taken or last noted down.
    taken: i64,
    /// Everything up to this cursor was pushed.
    sent: u64,
    /// Notes that were seen.
    notes: i64,
    /// When the subscriber's access token expires, in milliseconds.
    until: i64,
    /// The subscriber was told that it has.
    told: bool,
}

/// What became of asking for a turn.
enum Asked {
    Taken(Turn),
    /// Somebody else delivers, or there is nothing to deliver, or nobody to deliver to.
    Others,
}

/// How a turn ended.
enum Ended {
    Released,
    /// Somebody left a note meanwhile: look again.
    Noted(i64),
    /// The row is gone, or another deliverer has taken over.
    Lost,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    frame: String,
}

impl StoredChannels {
    /// Channels in this table, pushed to these sockets, by this clock.
    pub fn new(
        table: Arc<dyn Table>,
        sockets: Arc<dyn Sockets>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Self {
        Self {
            table,
            sockets,
            clock,
            ids,
            ends: Mutex::default(),
        }
    }

    /// Makes a connection a subscriber of what lies behind a cursor, or of what comes from now on. A
    /// cursor that the channel has not come to counts as its end. Repeated, it begins again from there.
    ///
    /// # Errors
    /// If the table fails; the subscription may or may not stand.
    pub async fn subscribe(
        &self,
        channel: &Channel,
        connection: &str,
        until: Timestamp,
        after: Option<u64>,
    ) -> Result<Seat, PortError> {
        let end = self.end(channel).await?;
        let from = after.map_or(end, |after| after.min(end));
        let now = self.clock.now();
        let turn = Turn {
            taken: self.stamp(),
            sent: from,
            notes: 0,
            until: until.as_millisecond(),
            told: false,
        };
        let row = json!({"live": 1, "sent": from, "turn": turn.taken, "until": turn.until});
        let item = Item::new(subscription(channel, connection), &row)
            .expiring(now.saturating_add(SUBSCRIBED).unwrap_or(now));
        self.put(vec![Write::Put(item, If::Always)]).await?;
        Ok(Seat {
            from,
            channel: channel.clone(),
            connection: connection.to_owned(),
            turn,
        })
    }

    /// Pushes what is kept behind the seat's cursor; from then on whoever publishes does.
    ///
    /// # Errors
    /// If the table or the gateway fails: the next publication, or the subscriber's return, goes on from there.
    pub async fn begin(&self, seat: Seat) -> Result<(), PortError> {
        self.speak(&seat.channel, &seat.connection, seat.turn, &[])
            .await
    }

    /// Ends a subscription, if there is one.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn unsubscribe(&self, channel: &Channel, connection: &str) -> Result<(), PortError> {
        let key = subscription(channel, connection);
        self.put(vec![Write::Delete(key, If::Always)]).await
    }

    /// Moves the expiry of a subscriber's access token, and pushes what has waited for it.
    ///
    /// # Errors
    /// If the table or the gateway fails.
    pub async fn renew(
        &self,
        channel: &Channel,
        connection: &str,
        until: Timestamp,
    ) -> Result<(), PortError> {
        let row = self
            .count(channel, connection, vec![live()], |count| {
                count.set = vec![("until".into(), until.as_millisecond())];
                count.remove = vec!["told".into()];
            })
            .await?;
        match row {
            Counted::Done(row) => self.deliver(channel, connection, &row, &[]).await,
            Counted::Refused(_) => Ok(()),
        }
    }

    /// Keeps some frames at the end, and gives the cursor of the last.
    async fn keep(&self, channel: &Channel, texts: &[String]) -> Result<u64, PortError> {
        let mut end = match self.remembered(channel) {
            Some(end) => end,
            None => self.end(channel).await?,
        };
        for attempt in 0..TRIES {
            match self
                .table
                .write(self.transaction(channel, end, texts))
                .await
            {
                Ok(()) => {
                    let last = end + texts.len() as u64;
                    self.remember(channel, last);
                    return Ok(last);
                }
                Err(WriteError::Condition(_) | WriteError::Conflict) => {
                    self.clock.sleep(self.patience(attempt)).await;
                    end = self.end(channel).await?;
                }
                Err(WriteError::Port(error)) => {
                    self.forget(channel);
                    return Err(error);
                }
            }
        }
        Err(PortError::Throttled {
            port: Port::Channels,
            cause: "everybody speaks on this channel".into(),
        })
    }

    fn transaction(&self, channel: &Channel, end: u64, texts: &[String]) -> Vec<Write> {
        let now = self.clock.now();
        let still = if end == 0 {
            If::Absent
        } else {
            If::VersionIs(end)
        };
        let new_end = Item {
            version: end + texts.len() as u64,
            ..Item::new(Key::new(channel, END), &json!({}))
        };
        let new_end = new_end.expiring(now.saturating_add(REMEMBERED).unwrap_or(now));
        let frames = (end + 1..).zip(texts).map(|(cursor, text)| {
            let kept = Kept {
                frame: text.clone(),
            };
            let item = Item::new(place(channel, cursor), &kept);
            Write::Put(
                item.expiring(now.saturating_add(KEPT).unwrap_or(now)),
                If::Always,
            )
        });
        std::iter::once(Write::Put(new_end, still))
            .chain(frames)
            .collect()
    }

    /// A wait that grows, and that is not the same for two publishers who met.
    fn patience(&self, attempt: u32) -> Duration {
        let most = 1 << attempt.min(5);
        let by_chance = u64::from(self.clock.now().subsec_nanosecond().unsigned_abs()) % 1000;
        Duration::from_micros(most * (500 + by_chance))
    }

    /// The cursor of the last frame, from the table.
    async fn end(&self, channel: &Channel) -> Result<u64, PortError> {
        let row = self.table.get(&Key::new(channel, END)).await?;
        let end = row.map_or(0, |row| row.version);
        self.remember(channel, end);
        Ok(end)
    }

    /// Tells everybody who listens now. What goes wrong is one subscriber's affair and is logged.
    async fn pass_on(&self, channel: &Channel, fresh: &[(u64, String)]) {
        let mut query = Query {
            limit: 1000,
            ..Query::prefix(channel, SUBSCRIPTION)
        };
        loop {
            let page = match self.table.query(&query).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, %channel, "nobody was told, because nobody knows who listens");
                    return;
                }
            };
            stream::iter(&page.items)
                .for_each_concurrent(AT_ONCE, |row| self.tell(channel, row, fresh))
                .await;
            match page.next {
                Some(next) => query.after = Some(next),
                None => return,
            }
        }
    }

    async fn tell(&self, channel: &Channel, row: &Item, fresh: &[(u64, String)]) {
        let Some(connection) = row.key.sk.strip_prefix(SUBSCRIPTION) else {
            return;
        };
        let numbers: Numbers = row
            .attributes
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.as_i64()?)))
            .collect();
        if let Err(error) = self.deliver(channel, connection, &numbers, fresh).await {
            tracing::warn!(%error, %channel, "a subscriber was not told");
        }
    }

    /// Delivers what one subscriber has not been told, unless somebody does already.
    async fn deliver(
        &self,
        channel: &Channel,
        connection: &str,
        row: &Numbers,
        fresh: &[(u64, String)],
    ) -> Result<(), PortError> {
        let newest = fresh.last().map(|(cursor, _)| *cursor);
        match self.ask(channel, connection, row, newest).await? {
            Asked::Taken(turn) => self.speak(channel, connection, turn, fresh).await,
            Asked::Others => Ok(()),
        }
    }

    /// Asks for the turn. `row` is the subscription as it was seen last.
    async fn ask(
        &self,
        channel: &Channel,
        connection: &str,
        row: &Numbers,
        newest: Option<u64>,
    ) -> Result<Asked, PortError> {
        let mut row = row.clone();
        for _ in 0..TRIES {
            let told_all = newest.is_some_and(|newest| cursor(&row, "sent") >= newest);
            if !row.contains_key("live") || told_all || self.waits(&row) {
                return Ok(Asked::Others);
            }
            let busy = row.get("turn").copied();
            let over = busy.is_some_and(|taken| self.is_older(taken, TURN));
            let mine = self.stamp();
            let answer = match busy {
                Some(taken) if !over => {
                    self.count(
                        channel,
                        connection,
                        vec![live(), is("turn", taken)],
                        |count| {
                            count.add = vec![("notes".into(), 1)];
                        },
                    )
                    .await?
                }
                _ => {
                    let free = busy
                        .map_or_else(|| Guard::Absent("turn".into()), |taken| is("turn", taken));
                    self.count(channel, connection, vec![live(), free], |count| {
                        count.set = vec![("turn".into(), mine)];
                    })
                    .await?
                }
            };
            match answer {
                Counted::Done(_) if busy.is_some() && !over => return Ok(Asked::Others),
                Counted::Done(seen) => return Ok(Asked::Taken(Turn::of(&seen))),
                // Our own: its acknowledgement was lost and the call repeated.
                Counted::Refused(seen) if seen.get("turn") == Some(&mine) => {
                    return Ok(Asked::Taken(Turn::of(&seen)));
                }
                Counted::Refused(seen) => row = seen,
            }
        }
        Err(PortError::Throttled {
            port: Port::Channels,
            cause: "everybody speaks to this subscriber".into(),
        })
    }

    /// Whether the subscriber's token has expired and it knows.
    fn waits(&self, row: &Numbers) -> bool {
        let until = row.get("until").copied().unwrap_or_default();
        row.contains_key("told") && until <= self.clock.now().as_millisecond()
    }

    /// Pushes everything behind `sent`, and ends the turn.
    async fn speak(
        &self,
        channel: &Channel,
        connection: &str,
        mut turn: Turn,
        fresh: &[(u64, String)],
    ) -> Result<(), PortError> {
        let outcome = self.push_all(channel, connection, &mut turn, fresh).await;
        match outcome {
            Ok(()) => Ok(()),
            Err(SocketError::Gone) => self.unsubscribe(channel, connection).await,
            Err(SocketError::Port(error)) => {
                // What was pushed is noted down, so that whoever comes next does not repeat it.
                let end = self.release(channel, connection, &turn, true).await;
                end.map(|_| ()).and(Err(error))
            }
        }
    }

    async fn push_all(
        &self,
        channel: &Channel,
        connection: &str,
        turn: &mut Turn,
        fresh: &[(u64, String)],
    ) -> Result<(), SocketError> {
        let follows = fresh
            .first()
            .is_some_and(|(first, _)| *first == turn.sent + 1);
        let mut batch = if follows { Some(fresh.to_vec()) } else { None };
        loop {
            if turn.until <= self.clock.now().as_millisecond() {
                self.ask_for_a_ticket(channel, connection, turn).await?;
            } else {
                loop {
                    let texts = match batch.take() {
                        Some(texts) => texts,
                        None => self.behind(channel, connection, turn).await?,
                    };
                    if texts.is_empty() {
                        break;
                    }
                    if !self.push(channel, connection, turn, &texts).await? {
                        return Ok(());
                    }
                    // What follows its own frames is not looked for: whoever told it left a note.
                    if follows
                        && texts.last().map(|(last, _)| *last)
                            == fresh.last().map(|(last, _)| *last)
                    {
                        break;
                    }
                }
            }
            match self.release(channel, connection, turn, false).await? {
                Ended::Released | Ended::Lost => return Ok(()),
                Ended::Noted(notes) => turn.notes = notes,
            }
        }
    }

    async fn ask_for_a_ticket(
        &self,
        channel: &Channel,
        connection: &str,
        turn: &mut Turn,
    ) -> Result<(), SocketError> {
        if turn.told {
            return Ok(());
        }
        self.sockets.send(connection, &wire::reauth()).await?;
        turn.told = true;
        // Not if a new ticket has come meanwhile.
        let guards = vec![live(), is("turn", turn.taken), is("until", turn.until)];
        self.count(channel, connection, guards, |count| {
            count.set = vec![("told".into(), 1)];
        })
        .await?;
        Ok(())
    }

    /// The moment in microseconds and twelve bits by chance, so that no two turns have the same.
    fn stamp(&self) -> i64 {
        let chance = i64::from(u16::from_be_bytes(self.ids.octets())) % STAMPS;
        self.clock
            .now()
            .as_microsecond()
            .saturating_mul(STAMPS)
            .saturating_add(chance)
    }

    fn is_older(&self, stamp: i64, than: SignedDuration) -> bool {
        let age = self.clock.now().as_microsecond() - stamp / STAMPS;
        i128::from(age) > than.as_micros()
    }

    /// Pushes texts, one after the other; false if the turn was lost on the way.
    async fn push(
        &self,
        channel: &Channel,
        connection: &str,
        turn: &mut Turn,
        texts: &[(u64, String)],
    ) -> Result<bool, SocketError> {
        for (cursor, text) in texts {
            self.sockets.send(connection, text).await?;
            turn.sent = *cursor;
            if !self.still_mine(channel, connection, turn).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Notes down how far a long turn has come, so that nobody takes it for dead.
    async fn still_mine(
        &self,
        channel: &Channel,
        connection: &str,
        turn: &mut Turn,
    ) -> Result<bool, PortError> {
        if !self.is_older(turn.taken, NOTED) {
            return Ok(true);
        }
        let now = self.stamp();
        let guards = vec![live(), is("turn", turn.taken)];
        let sent = number(turn.sent);
        let noted = self
            .count(channel, connection, guards, |count| {
                count.set = vec![("turn".into(), now), ("sent".into(), sent)];
            })
            .await?;
        turn.taken = now;
        Ok(match noted {
            Counted::Done(_) => true,
            Counted::Refused(seen) => seen.get("turn") == Some(&now),
        })
    }

    /// Ends the turn, unless there is a note that has not been seen and must be.
    async fn release(
        &self,
        channel: &Channel,
        connection: &str,
        turn: &Turn,
        whatever_the_notes: bool,
    ) -> Result<Ended, PortError> {
        let mut guards = vec![live(), is("turn", turn.taken)];
        if !whatever_the_notes {
            guards.push(match turn.notes {
                0 => Guard::Absent("notes".into()),
                seen => is("notes", seen),
            });
        }
        let sent = number(turn.sent);
        let released = self
            .count(channel, connection, guards, |count| {
                count.set = vec![("sent".into(), sent)];
                count.remove = vec!["turn".into(), "notes".into()];
            })
            .await?;
        Ok(match released {
            Counted::Done(_) => Ended::Released,
            Counted::Refused(seen) if seen.get("turn") == Some(&turn.taken) => {
                Ended::Noted(seen.get("notes").copied().unwrap_or_default())
            }
            Counted::Refused(_) => Ended::Lost,
        })
    }

    /// What is kept behind `sent`, as it is pushed. What has expired is named first.
    async fn behind(
        &self,
        channel: &Channel,
        connection: &str,
        turn: &mut Turn,
    ) -> Result<Vec<(u64, String)>, SocketError> {
        let mut frames = self.read(channel, turn.sent, PAGE).await?;
        let whole =
            |frames: &[(u64, Frame)], sent| frames.first().is_some_and(|(at, _)| *at == sent + 1);
        if !whole(&frames, turn.sent) {
            let end = self.end(channel).await?;
            if end <= turn.sent {
                return Ok(vec![]);
            }
            // A reader may pass by a place a moment before it is filled; a second look tells that from a hole.
            frames = self.read(channel, turn.sent, PAGE).await?;
            if !whole(&frames, turn.sent) {
                let to = frames.first().map_or(end, |(first, _)| first - 1);
                let gap = wire::gap(channel, turn.sent + 1, to);
                self.sockets.send(connection, &gap).await?;
                turn.sent = to;
            }
        }
        Ok(frames
            .into_iter()
            .map(|(cursor, frame)| (cursor, wire::event(channel, cursor, &frame)))
            .collect())
    }

    /// Frames behind a cursor that have not expired.
    async fn read(
        &self,
        channel: &Channel,
        cursor: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Frame)>, PortError> {
        let now = self.clock.now();
        let mut query = Query {
            limit,
            after: (cursor > 0).then(|| Cursor {
                key: place(channel, cursor),
                index: None,
            }),
            ..Query::prefix(channel, FRAME)
        };
        let mut frames = Vec::new();
        loop {
            let page = self.table.query(&query).await?;
            for row in page.items.iter().filter(|row| !row.is_expired(now)) {
                frames.push(frame(row)?);
            }
            match page.next {
                Some(next) if frames.len() < limit as usize => query.after = Some(next),
                _ => break,
            }
        }
        frames.truncate(limit as usize);
        Ok(frames)
    }

    async fn count(
        &self,
        channel: &Channel,
        connection: &str,
        guards: Vec<Guard>,
        change: impl FnOnce(&mut Count),
    ) -> Result<Counted, PortError> {
        let mut count = Count {
            key: subscription(channel, connection),
            guards,
            add: vec![],
            set: vec![],
            remove: vec![],
            expires_at: None,
        };
        change(&mut count);
        self.table.count(count).await
    }

    async fn put(&self, parts: Vec<Write>) -> Result<(), PortError> {
        match self.table.write(parts).await {
            Ok(()) => Ok(()),
            Err(WriteError::Port(error)) => Err(error),
            Err(error) => Err(PortError::Throttled {
                port: Port::Channels,
                cause: error.to_string(),
            }),
        }
    }

    fn remembered(&self, channel: &Channel) -> Option<u64> {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.get(channel).copied()
    }

    fn remember(&self, channel: &Channel, end: u64) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if ends.len() >= ENDS {
            ends.clear();
        }
        ends.insert(channel.clone(), end);
    }

    fn forget(&self, channel: &Channel) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.remove(channel);
    }
}

#[async_trait]
impl Channels for StoredChannels {
    async fn publish(&self, channel: &Channel, frames: Vec<Frame>) -> Result<u64, PortError> {
        let texts = frames
            .iter()
            .map(Frame::to_text)
            .collect::<Result<Vec<_>, _>>()?;
        if texts.is_empty() {
            return self.end(channel).await;
        }
        let mut last = 0;
        for (texts, frames) in texts.chunks(CHUNK).zip(frames.chunks(CHUNK)) {
            last = self.keep(channel, texts).await?;
            let first = last + 1 - texts.len() as u64;
            let fresh: Vec<(u64, String)> = (first..)
                .zip(frames)
                .map(|(cursor, frame)| (cursor, wire::event(channel, cursor, frame)))
                .collect();
            self.pass_on(channel, &fresh).await;
        }
        Ok(last)
    }

    async fn since(&self, channel: &Channel, cursor: u64, limit: u32) -> Result<Told, PortError> {
        let end = self.end(channel).await?;
        let frames = self.read(channel, cursor, limit).await?;
        let end = frames.last().map_or(end, |(last, _)| end.max(*last));
        Ok(Told { frames, end })
    }
}

impl Turn {
    /// The turn of a row that was just taken.
    fn of(row: &Numbers) -> Self {
        let value = |name: &str| row.get(name).copied().unwrap_or_default();
        Self {
            taken: value("turn"),
            sent: cursor(row, "sent"),
            notes: value("notes"),
            until: value("until"),
            told: row.contains_key("told"),
        }
    }
}

fn place(channel: &Channel, cursor: u64) -> Key {
    Key::new(channel, format!("{FRAME}{cursor:020}"))
}

fn subscription(channel: &Channel, connection: &str) -> Key {
    Key::new(channel, format!("{SUBSCRIPTION}{connection}"))
}

fn frame(row: &Item) -> Result<(u64, Frame), PortError> {
    let refused = || PortError::Refused {
        port: Port::Channels,
        cause: format!("row {}/{} is no frame", row.key.pk, row.key.sk),
    };
    let cursor = row
        .key
        .sk
        .strip_prefix(FRAME)
        .and_then(|text| text.parse().ok());
    let kept: Kept = row.parse()?;
    let frame = serde_json::from_str(&kept.frame).map_err(|_| refused())?;
    Ok((cursor.ok_or_else(refused)?, frame))
}

/// A row that nobody subscribed, or that was taken away, must not come into being by a count.
fn live() -> Guard {
    is("live", 1)
}

fn is(name: &str, number: i64) -> Guard {
    Guard::Is(name.into(), number)
}

fn cursor(row: &Numbers, name: &str) -> u64 {
    row.get(name)
        .and_then(|number| u64::try_from(*number).ok())
        .unwrap_or_default()
}

fn number(cursor: u64) -> i64 {
    i64::try_from(cursor).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
