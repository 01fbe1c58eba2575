//! One connection after the other: what it may, what it listens to, and when it ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::Text;
use jiff::SignedDuration;
use ports::PortError;
use ports::channels::{Channel, Seat, StoredChannels, wire};
use ports::clock::Clock;
use ports::sockets::{SocketError, Sockets};
use ports::table::{Count, Guard, If, Key, Table, Write, WriteError};
use runtime::rate_limit::{Limiter, Policy};
use runtime::serve::{Handshake, Moment, SocketEvent};
use runtime::{Fields, Problem, problem};

use crate::connection::{Connection, MOST_CHANNELS, Name};
use crate::message::{Ack, Auth, From, Message, Place, Subscribe, Unsubscribe};
use crate::names::{self, NoChannel};
use crate::tickets::{Found, Tickets};
use crate::{frames, message, problems};

/// What one person may say in a minute, on all their connections.
pub const MESSAGES: Policy = Policy {
    name: "socket",
    quota: 600,
    minutes: 1,
};

/// How long a connection whose token has expired may still bring a new ticket.
const GRACE: SignedDuration = SignedDuration::from_secs(30);

/// How long it is remembered what somebody acknowledged.
const ACKNOWLEDGED: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Tries before a connection that says many things at once counts as busy.
const TRIES: u32 = 10;

/// Serves connections.
pub struct Socket {
    /// This capability's own table.
    pub table: Arc<dyn Table>,
    /// What connections are opened with.
    pub tickets: Tickets,
    /// What they listen to.
    pub channels: Arc<StoredChannels>,
    /// Where answers are sent.
    pub sockets: Arc<dyn Sockets>,
    /// How much may be said: [`MESSAGES`].
    pub messages: Limiter,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Why a message got no answer.
enum Unanswered {
    /// It was wrong, or could not be done.
    Problem(Problem),
    /// The client is gone.
    Gone,
}

impl Socket {
    /// Reacts to what a connection did.
    ///
    /// # Errors
    /// A connection that opens is refused; at another moment, what we depend on fails and the client cannot
    /// be told.
    pub async fn on(&self, event: SocketEvent) -> Result<(), Problem> {
        match event.moment {
            Moment::Opens(handshake) => self.open(&event.connection, &handshake).await,
            Moment::Says(text) => self.hear(&event.connection, &text).await,
            Moment::Closes => self.close(&event.connection).await,
        }
    }

    async fn open(&self, id: &str, handshake: &Handshake) -> Result<(), Problem> {
        let parameter = |name: &str| handshake.query.get(name).map(String::as_str);
        if !matches!(parameter("version"), None | Some("1")) {
            return Err(Problem::new(&problems::PROTOCOL_UNKNOWN));
        }
        let refused = || Problem::new(&problems::TICKET_INVALID);
        let ticket = parameter("ticket").ok_or_else(refused)?;
        let found = self.tickets.find(ticket).await?;
        let Found { pass, spend } = found.ok_or_else(refused)?;
        let now = self.clock.now();
        if pass.until <= now {
            return Err(refused());
        }
        tracing::info!(user = %pass.user, org = %pass.organisation, "a connection opens");
        let row = Connection::of(pass, handshake.locale).row(id, now);
        // The ticket is gone when the connection is there, and not before.
        let parts = vec![spend, Write::Put(row, If::Absent)];
        match self.table.write(parts).await {
            Ok(()) => Ok(()),
            Err(WriteError::Condition(_) | WriteError::Conflict) => Err(refused()),
            Err(WriteError::Port(error)) => Err(error.into()),
        }
    }

    async fn hear(&self, id: &str, text: &str) -> Result<(), Problem> {
        let Some(row) = self.table.get(&Connection::key(id)).await? else {
            tracing::warn!("a connection without a row was closed");
            return Ok(self.sockets.close(id).await?);
        };
        let connection: Connection = row.parse()?;
        match self.answer(id, &connection, text).await {
            Ok(()) => Ok(()),
            Err(Unanswered::Gone) => self.close(id).await,
            Err(Unanswered::Problem(problem)) => Err(problem),
        }
    }

    /// Does what was said, or says why not.
    async fn answer(
        &self,
        id: &str,
        connection: &Connection,
        text: &str,
    ) -> Result<(), Unanswered> {
        let (done, action) = match self.understand(connection, text).await {
            Ok(message) => {
                let action = message.action();
                tracing::info!(user = %connection.user, org = %connection.organisation, action, "a message");
                let done = if self.waits_for_a_ticket(connection, &message) {
                    self.ask_for_a_ticket(id, connection).await
                } else {
                    self.act(id, connection, message).await
                };
                (done, Some(action.to_owned()))
            }
            Err((problem, action)) => (Err(Unanswered::Problem(problem)), action),
        };
        match done {
            Err(Unanswered::Problem(problem)) => {
                tracing::info!(code = problem.code().code, "a message was not done");
                let error = frames::error(&problem, action.as_deref(), connection.locale);
                self.say(id, &error).await
            }
            done => done,
        }
    }

    async fn understand(
        &self,
        connection: &Connection,
        text: &str,
    ) -> Result<Message, (Problem, Option<String>)> {
        let admitted = self.messages.admit(&connection.user.to_string()).await;
        admitted.map_err(|denied| (Problem::from(denied), None))?;
        message::read(text)
    }

    /// With an expired token there is one thing to say.
    fn waits_for_a_ticket(&self, connection: &Connection, message: &Message) -> bool {
        connection.until <= self.clock.now() && !matches!(message, Message::Auth(_))
    }

    async fn ask_for_a_ticket(&self, id: &str, connection: &Connection) -> Result<(), Unanswered> {
        self.say(id, &wire::reauth()).await?;
        let last = connection.until.saturating_add(GRACE);
        if last.is_ok_and(|last| last <= self.clock.now()) {
            self.sockets.close(id).await?;
        }
        Ok(())
    }

    async fn act(
        &self,
        id: &str,
        connection: &Connection,
        message: Message,
    ) -> Result<(), Unanswered> {
        match message {
            Message::Ping => self.say(id, &frames::pong(connection.until)).await,
            Message::Subscribe(asked) => self.subscribe(id, connection, &asked).await,
            Message::Unsubscribe(asked) => self.unsubscribe(id, connection, &asked).await,
            Message::Ack(ack) => self.acknowledge(connection, &ack).await,
            Message::Auth(auth) => self.renew(id, connection, &auth).await,
        }
    }

    async fn subscribe(
        &self,
        id: &str,
        connection: &Connection,
        asked: &Subscribe,
    ) -> Result<(), Unanswered> {
        let channels = wanted(connection, asked)?;
        let names: BTreeSet<Name> = channels.iter().map(Name::from).collect();
        let changed = self
            .change(id, vec![], |connection| {
                connection.channels.extend(names.iter().cloned());
                if connection.channels.len() > MOST_CHANNELS {
                    let detail = Text::fixed(
                        "Como máximo 50 canales por conexión",
                        "At most 50 channels on one connection",
                    );
                    return Err(
                        Problem::new(&problem::VALIDATION_FAILED).field("/channels", detail)
                    );
                }
                Ok(())
            })
            .await?;
        let mut seats: Vec<(&Channel, Seat)> = Vec::with_capacity(channels.len());
        for channel in &channels {
            let after = match asked.from(channel.told_as()) {
                From::Cursor(cursor) => Some(cursor),
                From::Place(Place::Now) => None,
                From::Place(Place::Ack) => Some(self.acknowledged(connection, channel).await?),
            };
            let seat = self.channels.subscribe(channel, id, changed.until, after);
            seats.push((channel, seat.await?));
        }
        let told = seats.iter().map(|(channel, seat)| (*channel, seat.from));
        self.say(id, &frames::subscribed(told, changed.until))
            .await?;
        for (_, seat) in seats {
            self.channels.begin(seat).await?;
        }
        Ok(())
    }

    async fn unsubscribe(
        &self,
        id: &str,
        connection: &Connection,
        asked: &Unsubscribe,
    ) -> Result<(), Unanswered> {
        let listened = connection.channels.iter().map(Channel::from);
        let left: Vec<Channel> = listened
            .filter(|channel| asked.channels.iter().any(|name| name == channel.told_as()))
            .collect();
        for channel in &left {
            self.channels.unsubscribe(channel, id).await?;
        }
        let names: BTreeSet<Name> = left.iter().map(Name::from).collect();
        self.change(id, vec![], |connection| {
            connection.channels.retain(|name| !names.contains(name));
            Ok(())
        })
        .await?;
        self.say(id, &frames::unsubscribed(&asked.channels)).await
    }

    async fn acknowledge(&self, connection: &Connection, ack: &Ack) -> Result<(), Unanswered> {
        let channel = acknowledged_channel(connection, ack)?;
        let cursor = i64::try_from(ack.cursor).map_err(|_| {
            let detail = Text::fixed("No es un cursor", "Not a cursor");
            Problem::new(&problem::VALIDATION_FAILED).field("/cursor", detail)
        })?;
        let expires = self.clock.now().saturating_add(ACKNOWLEDGED);
        let count = Count {
            key: ack_key(connection, &channel),
            // What came late and is older changes nothing.
            guards: vec![Guard::AtMost("cursor".into(), cursor)],
            add: vec![],
            set: vec![("cursor".into(), cursor)],
            remove: vec![],
            expires_at: expires.ok(),
        };
        self.table.count(count).await?;
        Ok(())
    }

    /// How far somebody says to have read a channel, on whichever connection.
    async fn acknowledged(
        &self,
        connection: &Connection,
        channel: &Channel,
    ) -> Result<u64, PortError> {
        let row = self.table.get(&ack_key(connection, channel)).await?;
        let row = row.filter(|row| !row.is_expired(self.clock.now()));
        Ok(row
            .and_then(|row| row.attributes.get("cursor")?.as_u64())
            .unwrap_or_default())
    }

    async fn renew(
        &self,
        id: &str,
        connection: &Connection,
        auth: &Auth,
    ) -> Result<(), Unanswered> {
        let refused = || Problem::new(&problems::TICKET_INVALID);
        let found = self.tickets.find(&auth.ticket).await?;
        let Found { pass, spend } = found.ok_or_else(refused)?;
        let same = (pass.user, pass.organisation) == (connection.user, connection.organisation);
        // Somebody else's ticket stays theirs.
        if !same || pass.until <= self.clock.now() {
            return Err(refused().into());
        }
        let changed = self
            .change(id, vec![spend], |connection| {
                connection.permissions.clone_from(&pass.permissions);
                connection.until = pass.until;
                let kept = connection
                    .channels
                    .iter()
                    .filter(|name| may_listen(name, connection));
                connection.channels = kept.cloned().collect();
                Ok(())
            })
            .await?;
        let lost = connection.channels.difference(&changed.channels);
        let lost: Vec<Channel> = lost.map(Channel::from).collect();
        for channel in &lost {
            self.channels.unsubscribe(channel, id).await?;
        }
        self.say(id, &frames::authenticated(changed.until)).await?;
        if !lost.is_empty() {
            let names: Vec<String> = lost.iter().map(|c| c.told_as().to_owned()).collect();
            self.say(id, &frames::unsubscribed(&names)).await?;
        }
        for name in &changed.channels {
            self.channels
                .renew(&Channel::from(name), id, changed.until)
                .await?;
        }
        Ok(())
    }

    /// Takes away what a connection leaves behind. What a lost closing leaves is taken away by the first
    /// push that finds nobody, or by its time.
    async fn close(&self, id: &str) -> Result<(), Problem> {
        let key = Connection::key(id);
        let Some(row) = self.table.get(&key).await? else {
            return Ok(());
        };
        let connection: Connection = row.parse()?;
        for name in &connection.channels {
            self.channels.unsubscribe(&Channel::from(name), id).await?;
        }
        match self.table.write(vec![Write::Delete(key, If::Always)]).await {
            Ok(()) => Ok(()),
            Err(WriteError::Port(error)) => Err(error.into()),
            Err(_) => Err(Problem::new(&problem::UNAVAILABLE)),
        }
    }

    async fn say(&self, id: &str, text: &str) -> Result<(), Unanswered> {
        match self.sockets.send(id, text).await {
            Ok(()) => Ok(()),
            Err(SocketError::Gone) => Err(Unanswered::Gone),
            Err(SocketError::Port(error)) => Err(error.into()),
        }
    }

    /// Changes a connection's row, and with it whatever else is to be written; again from the start if another
    /// of its messages was in between.
    async fn change(
        &self,
        id: &str,
        also: Vec<Write>,
        decide: impl Fn(&mut Connection) -> Result<(), Problem> + Send + Sync,
    ) -> Result<Connection, Unanswered> {
        for attempt in 0..TRIES {
            let row = self.table.get(&Connection::key(id)).await?;
            let row = row.ok_or(Unanswered::Gone)?;
            let mut connection: Connection = row.parse()?;
            let before = connection.clone();
            decide(&mut connection)?;
            if connection == before && also.is_empty() {
                return Ok(connection);
            }
            let next = Write::Put(row.next(&connection), If::VersionIs(row.version));
            let parts = std::iter::once(next).chain(also.iter().cloned());
            match self.table.write(parts.collect()).await {
                Ok(()) => return Ok(connection),
                Err(WriteError::Condition(failed)) if failed.iter().any(|part| *part > 0) => {
                    return Err(Problem::new(&problems::TICKET_INVALID).into());
                }
                Err(WriteError::Condition(_) | WriteError::Conflict) => {
                    self.clock.sleep(Duration::from_millis(2 << attempt)).await;
                }
                Err(WriteError::Port(error)) => return Err(error.into()),
            }
        }
        Err(Problem::new(&problem::UNAVAILABLE).into())
    }
}

/// The channels that somebody asks for, if they may listen to all of them.
fn wanted(connection: &Connection, asked: &Subscribe) -> Result<Vec<Channel>, Problem> {
    let (mut unknown, mut denied) = (Fields::new(), vec![]);
    unknown.check(
        !asked.channels.is_empty(),
        "/channels",
        Text::fixed("Al menos un canal", "At least one channel"),
    );
    let mut channels: Vec<Channel> = Vec::with_capacity(asked.channels.len());
    for (index, name) in asked.channels.iter().enumerate() {
        let pointer = format!("/channels/{index}");
        match names::channel(name, connection) {
            Ok(channel) if channels.contains(&channel) => {}
            Ok(channel) => channels.push(channel),
            Err(NoChannel::Unknown) => unknown.wrong(
                pointer,
                Text::fixed("No es el nombre de un canal", "Not the name of a channel"),
            ),
            Err(NoChannel::Denied) => denied.push(pointer),
        }
    }
    for stray in asked.strays() {
        let pointer = format!("/since/{}", stray.replace('~', "~0").replace('/', "~1"));
        unknown.wrong(
            pointer,
            Text::fixed(
                "Este canal no está en la lista",
                "This channel is not in the list",
            ),
        );
    }
    unknown.finish()?;
    if denied.is_empty() {
        return Ok(channels);
    }
    let detail = Text::fixed(
        "No tienes permiso para escuchar este canal",
        "You may not listen to this channel",
    );
    let problem = Problem::new(&problem::PERMISSION_DENIED);
    Err(denied.into_iter().fold(problem, |problem, pointer| {
        problem.field(pointer, detail.clone())
    }))
}

/// The channel that an acknowledgement is about.
fn acknowledged_channel(connection: &Connection, ack: &Ack) -> Result<Channel, Problem> {
    let mut listened = connection.channels.iter().map(Channel::from);
    let found = match &ack.channel {
        Some(name) => listened.find(|channel| channel.told_as() == name),
        None => listened.next().filter(|_| connection.channels.len() == 1),
    };
    found.ok_or_else(|| {
        let detail = Text::fixed(
            "Debe ser un canal que esta conexión escucha",
            "Has to be a channel that this connection listens to",
        );
        Problem::new(&problem::VALIDATION_FAILED).field("/channel", detail)
    })
}

/// Whether a connection may still listen to a channel that it listens to.
fn may_listen(name: &Name, connection: &Connection) -> bool {
    let channel = Channel::from(name);
    names::channel(channel.told_as(), connection) == Ok(channel)
}

fn ack_key(connection: &Connection, channel: &Channel) -> Key {
    Key::new(connection.user, format!("ack#{channel}"))
}

impl std::convert::From<Problem> for Unanswered {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl std::convert::From<PortError> for Unanswered {
    fn from(error: PortError) -> Self {
        Self::Problem(error.into())
    }
}
