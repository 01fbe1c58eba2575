//! The WebSocket over memory ports: what clients say and hear.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use domain::id::Id;
use domain::{Caller, OrganisationRole, PlatformRole};
use notifications::api::{self, Desk};
use notifications::socket::MESSAGES;
use notifications::{Socket, Tickets};
use ports::channels::{Channel, Channels, Frame, StoredChannels};
use ports::clock::{Clock, ManualClock};
use ports::faults::Fault;
use ports::ids::SequentialIds;
use ports::sockets::MemorySockets;
use ports::table::MemoryTable;
use runtime::rate_limit::Limiter;
use runtime::serve::{Handshake, Moment, SocketEvent};
use runtime::testing::Call;
use runtime::{Api, Platform, Problem};
use serde_json::{Value, json};
use uuid::Uuid;

struct World {
    api: Api,
    socket: Socket,
    channels: Arc<StoredChannels>,
    sockets: Arc<MemorySockets>,
    table: Arc<MemoryTable>,
    clock: Arc<ManualClock>,
}

fn world() -> World {
    let (table, requests) = (MemoryTable::shared(), MemoryTable::shared());
    let sockets = MemorySockets::shared();
    let (clock, ids) = (
        ManualClock::at_text("2026-01-02T03:04:05Z"),
        SequentialIds::shared(),
    );
    let tickets = || Tickets {
        table: table.clone(),
        clock: clock.clone(),
        ids: ids.clone(),
    };
    let channels = Arc::new(StoredChannels::new(
        table.clone(),
        sockets.clone(),
        clock.clone(),
        ids.clone(),
    ));
    let desk = Arc::new(Desk {
        tickets: tickets(),
        url: api::url_of("https://abc.execute-api.eu-west-1.amazonaws.com/v1"),
    });
    let platform = Platform {
        requests: requests.clone(),
        clock: clock.clone(),
        ids: ids.clone(),
    };
    let socket = Socket {
        table: table.clone(),
        tickets: tickets(),
        channels: channels.clone(),
        sockets: sockets.clone(),
        messages: Limiter::new(requests, clock.clone(), MESSAGES),
        clock: clock.clone(),
    };
    World {
        api: Api::new(api::routes(desk), platform).unwrap(),
        socket,
        channels,
        sockets,
        table,
        clock,
    }
}

/// The owner of an organisation; equal numbers are the same one.
fn person(n: u128) -> Caller {
    member(n, n, OrganisationRole::Owner)
}

fn member(user: u128, organisation: u128, role: OrganisationRole) -> Caller {
    serde_json::from_value(json!({
        "user": format!("usr_{user:032x}"),
        "organisation": format!("org_{organisation:032x}"),
        "session": format!("ses_{user:032x}"),
        "platform_role": "user",
        "organisation_role": role,
        "permissions": domain::role::permissions(PlatformRole::User, Some(role)),
    }))
    .unwrap()
}

fn content(organisation: u128) -> Channel {
    let org = Id::new(Uuid::from_u128(organisation));
    Channel::content(org, Id::new(Uuid::from_u128(9)))
}

const CONTENT: &str = "content:con_00000000000000000000000000000009";

impl World {
    async fn ticket(&self, caller: &Caller) -> String {
        let answer = Call::post("/v1/ws/tickets", &json!({})).by(caller);
        let answer = answer.send(&self.api.router()).await;
        assert_eq!(answer.status.as_u16(), 201, "{:?}", answer.json());
        answer.json()["ticket"].as_str().unwrap().to_owned()
    }

    async fn on(&self, connection: &str, moment: Moment) -> Result<(), Problem> {
        let connection = connection.to_owned();
        self.socket.on(SocketEvent { connection, moment }).await
    }

    async fn open_with(
        &self,
        connection: &str,
        query: &[(&str, &str)],
    ) -> Result<(), &'static str> {
        let query = query
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let handshake = Handshake {
            query: query.collect(),
            ..Handshake::default()
        };
        let opened = self.on(connection, Moment::Opens(handshake)).await;
        opened.map_err(|problem| problem.code().code)?;
        self.sockets.open(connection);
        Ok(())
    }

    /// Opens a connection of somebody.
    async fn open(&self, connection: &str, caller: &Caller) {
        let ticket = self.ticket(caller).await;
        self.open_with(connection, &[("ticket", &ticket)])
            .await
            .unwrap();
    }

    /// Says something, and gives what came back until now.
    async fn say(&self, connection: &str, message: Value) -> Vec<Value> {
        let said = self.on(connection, Moment::Says(message.to_string())).await;
        said.unwrap();
        self.heard(connection)
    }

    fn heard(&self, connection: &str) -> Vec<Value> {
        let texts = self.sockets.take(connection);
        texts
            .iter()
            .map(|text| serde_json::from_str(text).unwrap())
            .collect()
    }

    async fn publish(&self, channel: &Channel, count: usize) {
        for _ in 0..count {
            let frame = Frame::new("content.delta", json!({"text": "hola"}));
            self.channels.publish(channel, vec![frame]).await.unwrap();
        }
    }

    /// The rows of a kind.
    fn rows(&self, pk: &str, sk: &str) -> usize {
        let rows = self.table.rows();
        let of_kind = |key: &ports::table::Key| key.pk.starts_with(pk) && key.sk.starts_with(sk);
        rows.iter().filter(|row| of_kind(&row.key)).count()
    }
}

fn subscribe(channels: &[&str], since: &Value) -> Value {
    match since {
        Value::Null => json!({"action": "subscribe", "channels": channels}),
        since => json!({"action": "subscribe", "channels": channels, "since": since}),
    }
}

/// Each frame as its type, an event as its cursor.
fn short(frames: &[Value]) -> Vec<String> {
    let of = |frame: &Value| match frame["type"].as_str().unwrap() {
        "event" => frame["cursor"].to_string(),
        "error" => frame["code"].as_str().unwrap().to_owned(),
        other => other.to_owned(),
    };
    frames.iter().map(of).collect()
}

#[tokio::test]
async fn a_ticket_opens_one_connection_within_a_minute() {
    let world = world();
    let answer = Call::post("/v1/ws/tickets", &json!({})).by(&person(1));
    let issued = answer.send(&world.api.router()).await.json();
    let ticket = issued["ticket"].as_str().unwrap();
    assert_eq!(
        issued["url"],
        format!("wss://abc.execute-api.eu-west-1.amazonaws.com/v1?ticket={ticket}")
    );
    assert_eq!(issued["expires_at"], "2026-01-02T03:05:05Z");
    let late = world.ticket(&person(1)).await;

    assert_eq!(world.open_with("a", &[("ticket", ticket)]).await, Ok(()));
    let again = world.open_with("b", &[("ticket", ticket)]).await;
    world.clock.advance(Duration::from_mins(1));
    let late = world.open_with("c", &[("ticket", &late)]).await;

    assert_eq!(
        (again, late),
        (Err("ticket_invalid"), Err("ticket_invalid"))
    );
    assert_eq!(world.rows("connection#", ""), 1);
}

#[tokio::test]
async fn what_is_no_ticket_opens_nothing() {
    let world = world();
    let ticket = world.ticket(&person(1)).await;
    let mut forged = ticket.clone();
    forged.replace_range(50..51, if &ticket[50..51] == "A" { "B" } else { "A" });

    for query in [
        vec![],
        vec![("ticket", "")],
        vec![("ticket", "rubbish")],
        vec![("ticket", forged.as_str())],
    ] {
        assert_eq!(world.open_with("a", &query).await, Err("ticket_invalid"));
    }
    let old = [("ticket", ticket.as_str()), ("version", "2")];
    assert_eq!(world.open_with("a", &old).await, Err("protocol_unknown"));
    let new = [("ticket", ticket.as_str()), ("version", "1")];
    assert_eq!(world.open_with("a", &new).await, Ok(()));
}

#[tokio::test]
async fn a_ticket_is_not_kept_in_the_clear() {
    let world = world();

    let ticket = world.ticket(&person(1)).await;

    assert!(!format!("{:?}", world.table.rows()).contains(&ticket));
}

#[tokio::test]
async fn a_failure_while_opening_never_opens_twice() {
    for fault in [Fault::Before, Fault::After, Fault::Throttled] {
        for call in 0..2 {
            let world = world();
            let ticket = world.ticket(&person(1)).await;
            world.table.faults().fail_call(call, fault);

            let query = [("ticket", ticket.as_str())];
            let opened = [
                world.open_with("a", &query).await,
                world.open_with("b", &query).await,
                world.open_with("c", &query).await,
            ];

            let open = opened.iter().filter(|opened| opened.is_ok()).count();
            assert!(open <= 1, "{fault:?} at {call}: {opened:?}");
            assert_eq!(world.rows("connection#", ""), 1, "{fault:?} at {call}");
        }
    }
}

#[tokio::test]
async fn whoever_subscribes_hears_what_was_told_and_what_is_told() {
    let world = world();
    world.publish(&content(1), 3).await;
    world.open("a", &person(1)).await;

    let heard = world
        .say("a", subscribe(&[CONTENT, "inbox"], &Value::Null))
        .await;
    world.publish(&content(1), 2).await;

    assert_eq!(
        heard[0],
        json!({"type": "subscribed", "expires_at": "2026-01-02T03:19:05Z",
               "channels": [{"channel": CONTENT, "cursor": 0}, {"channel": "inbox", "cursor": 0}]})
    );
    assert_eq!(short(&heard[1..]), ["1", "2", "3"]);
    assert_eq!(heard[1]["data"], json!({"text": "hola"}));
    assert_eq!(short(&world.heard("a")), ["4", "5"]);
}

#[tokio::test]
async fn since_says_from_where_on() {
    let world = world();
    world.publish(&content(1), 3).await;
    for (since, from) in [
        (json!(2), vec!["subscribed", "3"]),
        (json!("now"), vec!["subscribed"]),
        (json!({CONTENT: 1}), vec!["subscribed", "2", "3"]),
        (json!({CONTENT: "now"}), vec!["subscribed"]),
        (json!("ack"), vec!["subscribed", "1", "2", "3"]),
    ] {
        world.open("a", &person(1)).await;
        let heard = world.say("a", subscribe(&[CONTENT], &since)).await;
        assert_eq!(short(&heard), from, "{since}");
        world.on("a", Moment::Closes).await.unwrap();
    }
}

#[tokio::test]
async fn a_reconnection_goes_on_from_what_was_acknowledged() {
    let world = world();
    world.open("a", &person(1)).await;
    world.say("a", subscribe(&[CONTENT], &Value::Null)).await;
    world.publish(&content(1), 4).await;
    world.heard("a");

    assert_eq!(
        world.say("a", json!({"action": "ack", "cursor": 3})).await,
        [json!(null); 0]
    );
    let older = json!({"action": "ack", "cursor": 1, "channel": CONTENT});
    assert_eq!(world.say("a", older).await, [json!(null); 0]);
    world.on("a", Moment::Closes).await.unwrap();
    world.open("b", &person(1)).await;

    let heard = world.say("b", subscribe(&[CONTENT], &json!("ack"))).await;
    assert_eq!(short(&heard), ["subscribed", "4"]);
    let stray = world
        .say(
            "b",
            json!({"action": "ack", "cursor": 1, "channel": "inbox"}),
        )
        .await;
    assert_eq!(stray[0]["errors"][0]["pointer"], "/channel");
}

#[tokio::test]
async fn another_organisation_hears_nothing() {
    let world = world();
    world.publish(&content(1), 2).await;
    world.open("eve", &person(2)).await;

    let heard = world.say("eve", subscribe(&[CONTENT], &Value::Null)).await;
    world.publish(&content(1), 2).await;

    assert_eq!(short(&heard), ["subscribed"]);
    assert_eq!(world.heard("eve"), [json!(null); 0]);
}

#[tokio::test]
async fn an_inbox_is_one_persons() {
    let world = world();
    let (ana, bob) = (
        member(1, 1, OrganisationRole::Owner),
        member(2, 1, OrganisationRole::Viewer),
    );
    world.open("ana", &ana).await;
    world.open("bob", &bob).await;
    for connection in ["ana", "bob"] {
        world
            .say(connection, subscribe(&["inbox"], &Value::Null))
            .await;
    }

    let inbox = Channel::inbox(ana.organisation, ana.user);
    world.publish(&inbox, 1).await;

    assert_eq!(short(&world.heard("ana")), ["1"]);
    assert_eq!(world.heard("bob"), [json!(null); 0]);
}

#[tokio::test]
async fn what_is_wrong_is_named_and_nothing_is_done() {
    let world = world();
    world.open("a", &person(1)).await;
    let many: Vec<String> = (0..51).map(|n| format!("doc:doc_{n:032x}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let other = "metrics:org_00000000000000000000000000000009";
    for (message, code, pointer) in [
        (json!({"action": "dance"}), "action_unknown", "/action"),
        (json!({"channels": []}), "body_invalid", "/action"),
        (json!([]), "body_invalid", ""),
        (json!({"action": "ping", "x": 1}), "body_invalid", "/x"),
        (
            subscribe(&[], &Value::Null),
            "validation_failed",
            "/channels",
        ),
        (
            subscribe(&["inbox", "weather"], &Value::Null),
            "validation_failed",
            "/channels/1",
        ),
        (
            subscribe(&["inbox", other], &Value::Null),
            "permission_denied",
            "/channels/1",
        ),
        (subscribe(&["inbox"], &json!(-1)), "body_invalid", "/since"),
        (
            subscribe(&["inbox"], &json!({CONTENT: 1})),
            "validation_failed",
            &format!("/since/{CONTENT}"),
        ),
        (
            subscribe(&many, &Value::Null),
            "validation_failed",
            "/channels",
        ),
        (
            json!({"action": "auth", "ticket": "rubbish"}),
            "ticket_invalid",
            "",
        ),
        (
            json!({"action": "ping", "x": "y".repeat(9000)}),
            "message_too_large",
            "",
        ),
    ] {
        let heard = world.say("a", message.clone()).await;
        assert_eq!(short(&heard), [code], "{message}");
        let named = heard[0]["errors"][0]["pointer"]
            .as_str()
            .unwrap_or_default();
        assert_eq!(named, pointer, "{message}");
    }
    let broken = world.on("a", Moment::Says("{\"action\": ".into())).await;
    broken.unwrap();
    assert_eq!(short(&world.heard("a")), ["body_invalid"]);
    assert_eq!(world.rows("org_", "sub#"), 0);
}

#[tokio::test]
async fn whoever_left_a_channel_hears_it_no_more() {
    let world = world();
    world.open("a", &person(1)).await;
    world
        .say("a", subscribe(&[CONTENT, "inbox"], &Value::Null))
        .await;

    let left = json!({"action": "unsubscribe", "channels": [CONTENT]});
    let heard = world.say("a", left).await;
    world.publish(&content(1), 1).await;

    assert_eq!(
        heard,
        [json!({"type": "unsubscribed", "channels": [CONTENT]})]
    );
    assert_eq!(world.heard("a"), [json!(null); 0]);
    assert_eq!(world.rows("org_", "sub#"), 1);
}

#[tokio::test]
async fn a_connection_that_closes_leaves_nothing_behind() {
    let world = world();
    world.open("a", &person(1)).await;
    world
        .say("a", subscribe(&[CONTENT, "inbox"], &Value::Null))
        .await;
    assert_eq!(
        (world.rows("org_", "sub#"), world.rows("connection#", "")),
        (2, 1)
    );

    world.sockets.vanish("a");
    for _ in 0..2 {
        world.on("a", Moment::Closes).await.unwrap();
    }

    assert_eq!(
        (world.rows("org_", "sub#"), world.rows("connection#", "")),
        (0, 0)
    );
}

#[tokio::test]
async fn a_connection_that_vanished_is_cleared_away_when_it_is_answered() {
    let world = world();
    world.open("a", &person(1)).await;
    world.say("a", subscribe(&["inbox"], &Value::Null)).await;
    world.sockets.vanish("a");

    let said = world.on("a", Moment::Says(json!({"action": "ping"}).to_string()));
    said.await.unwrap();

    assert_eq!(
        (world.rows("org_", "sub#"), world.rows("connection#", "")),
        (0, 0)
    );
}

#[tokio::test]
async fn an_expired_token_is_asked_for_and_then_closes_the_connection() {
    let world = world();
    world.open("a", &person(1)).await;
    let pong = world.say("a", json!({"action": "ping"})).await;
    assert_eq!(
        pong,
        [json!({"type": "pong", "expires_at": "2026-01-02T03:19:05Z"})]
    );

    world.clock.advance(Duration::from_mins(15));
    let asked = world.say("a", subscribe(&["inbox"], &Value::Null)).await;
    assert_eq!(asked, [json!({"type": "reauth"})]);
    assert!(world.sockets.is_open("a"));
    assert_eq!(world.rows("org_", "sub#"), 0);

    world.clock.advance(Duration::from_secs(30));
    let said = world.on("a", Moment::Says(json!({"action": "ping"}).to_string()));
    said.await.unwrap();
    assert!(!world.sockets.is_open("a"));
}

#[tokio::test]
async fn a_new_ticket_goes_on_where_the_old_one_ended() {
    let world = world();
    world.open("a", &person(1)).await;
    world.say("a", subscribe(&[CONTENT], &Value::Null)).await;
    world.clock.advance(Duration::from_mins(15));
    world.publish(&content(1), 2).await;
    assert_eq!(short(&world.heard("a")), ["reauth"]);

    let ticket = world.ticket(&person(1)).await;
    let heard = world
        .say("a", json!({"action": "auth", "ticket": ticket}))
        .await;
    world.publish(&content(1), 1).await;

    assert_eq!(heard[0]["expires_at"], "2026-01-02T03:34:05Z");
    assert_eq!(short(&heard), ["authenticated", "1", "2"]);
    assert_eq!(short(&world.heard("a")), ["3"]);
    let again = world
        .say("a", json!({"action": "auth", "ticket": ticket}))
        .await;
    assert_eq!(short(&again), ["ticket_invalid"]);
}

#[tokio::test]
async fn a_ticket_of_somebody_else_neither_prolongs_nor_is_spent() {
    let world = world();
    world.open("a", &person(1)).await;
    let ticket = world.ticket(&person(2)).await;

    let heard = world
        .say("a", json!({"action": "auth", "ticket": ticket}))
        .await;

    assert_eq!(short(&heard), ["ticket_invalid"]);
    assert_eq!(world.open_with("b", &[("ticket", &ticket)]).await, Ok(()));
}

#[tokio::test]
async fn whoever_may_less_with_the_new_ticket_hears_less() {
    let world = world();
    let owner = member(1, 1, OrganisationRole::Owner);
    let mut guest = owner.clone();
    guest.permissions = domain::role::permissions(PlatformRole::Guest, None);
    world.open("a", &owner).await;
    world
        .say("a", subscribe(&[CONTENT, "inbox"], &Value::Null))
        .await;

    let ticket = world.ticket(&guest).await;
    let heard = world
        .say("a", json!({"action": "auth", "ticket": ticket}))
        .await;
    world.publish(&content(1), 1).await;

    assert_eq!(short(&heard), ["authenticated", "unsubscribed"]);
    assert_eq!(heard[1]["channels"], json!([CONTENT]));
    assert_eq!(world.heard("a"), [json!(null); 0]);
}

#[tokio::test]
async fn a_token_that_ends_sooner_ends_the_connection_sooner() {
    let world = world();
    let until = world.clock.now() + jiff::SignedDuration::from_mins(3);
    let claims = json!({ "exp": until.as_second() }).to_string();
    let claims = data_encoding::BASE64URL_NOPAD.encode(claims.as_bytes());
    let call = Call::post("/v1/ws/tickets", &json!({})).by(&person(1));
    let call = call.header("authorization", &format!("Bearer e30.{claims}.c2ln"));
    let issued = call.send(&world.api.router()).await.json();
    let ticket = issued["ticket"].as_str().unwrap();
    world.open_with("a", &[("ticket", ticket)]).await.unwrap();

    let pong = world.say("a", json!({"action": "ping"})).await;

    assert_eq!(pong[0]["expires_at"], until.to_string());
}

#[tokio::test]
async fn nobody_without_a_token_gets_a_ticket() {
    let world = world();
    let answer = Call::post("/v1/ws/tickets", &json!({}));
    let answer = answer.send(&world.api.router()).await;

    assert_eq!(answer.code().as_deref(), Some("token_missing"));
}

#[tokio::test]
async fn whoever_talks_too_much_is_told_so() {
    let world = world();
    world.open("a", &person(1)).await;
    let mut codes = vec![];
    for _ in 0..=MESSAGES.quota {
        codes = short(&world.say("a", json!({"action": "ping"})).await);
    }

    assert_eq!(codes, ["rate_limited"]);
    world.open("b", &person(2)).await;
    assert_eq!(
        short(&world.say("b", json!({"action": "ping"})).await),
        ["pong"]
    );
}

#[tokio::test]
async fn a_failure_at_any_call_of_a_subscription_loses_nothing_once_it_is_repeated() {
    for fault in [Fault::Before, Fault::After, Fault::Throttled] {
        let mut calls = 0;
        // Until the first request has fewer calls than that: the fault must not strike the repetition.
        loop {
            let call = calls;
            let world = world();
            world.publish(&content(1), 3).await;
            world.open("a", &person(1)).await;
            let before = world.table.faults().calls();
            world.table.faults().fail_call(call, fault);

            let said = Moment::Says(subscribe(&[CONTENT], &Value::Null).to_string());
            let first = world.on("a", said.clone()).await;
            if world.table.faults().calls() - before <= call {
                break;
            }
            calls += 1;
            // A table that fails on the row itself leaves nothing to be said in the client's language.
            assert!(first.is_ok() || call == 0, "{fault:?} at {call}");
            world.heard("a");
            world.on("a", said).await.unwrap();

            let heard = short(&world.heard("a"));
            assert_eq!(heard, ["subscribed", "1", "2", "3"], "{fault:?} at {call}");
        }
        assert!(calls >= 5, "{fault:?} struck {calls} calls");
    }
}
