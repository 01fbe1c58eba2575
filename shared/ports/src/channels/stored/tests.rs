//! What a subscriber gets, whatever fails and whoever speaks at the same time.

use futures::future::join_all;
use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::clock::ManualClock;
use crate::faults::Fault;
use crate::ids::SequentialIds;
use crate::sockets::MemorySockets;
use crate::table::MemoryTable;
use domain::Id;

const ANA: &str = "ana-1";

struct World {
    table: Arc<MemoryTable>,
    sockets: Arc<MemorySockets>,
    clock: Arc<ManualClock>,
    ids: Arc<dyn Ids>,
    channels: Arc<StoredChannels>,
}

impl World {
    fn new() -> Self {
        let (table, sockets) = (MemoryTable::shared(), MemorySockets::shared());
        let (clock, ids) = (
            ManualClock::at_text("2026-01-02T03:04:05Z"),
            SequentialIds::shared(),
        );
        let channels =
            StoredChannels::new(table.clone(), sockets.clone(), clock.clone(), ids.clone());
        sockets.open(ANA);
        Self {
            table,
            sockets,
            clock,
            ids,
            channels: Arc::new(channels),
        }
    }

    /// The same channels in another process.
    fn elsewhere(&self) -> StoredChannels {
        StoredChannels::new(
            self.table.clone(),
            self.sockets.clone(),
            self.clock.clone(),
            self.ids.clone(),
        )
    }

    fn until(&self) -> Timestamp {
        self.clock.now() + SignedDuration::from_mins(15)
    }

    async fn subscribe(&self, after: u64) {
        let (channel, until) = (channel(), self.until());
        let seat = self.channels.subscribe(&channel, ANA, until, Some(after));
        let seat = seat.await.unwrap();
        self.channels.begin(seat).await.unwrap();
    }

    async fn publish(&self, numbers: impl IntoIterator<Item = u64>) -> Result<u64, PortError> {
        let frames = numbers.into_iter().map(frame).collect();
        self.channels.publish(&channel(), frames).await
    }

    /// What Ana was sent, each as its type and its cursors.
    fn taken(&self) -> Vec<String> {
        let texts = self.sockets.take(ANA);
        let parsed = texts.iter().map(|text| serde_json::from_str(text).unwrap());
        parsed.map(|frame: Value| short(&frame)).collect()
    }

    fn subscription(&self) -> Option<Numbers> {
        let rows = self.table.rows();
        let row = rows
            .iter()
            .find(|row| row.key == subscription(&channel(), ANA))?;
        let numbers = row.attributes.iter();
        Some(
            numbers
                .filter_map(|(name, value)| Some((name.clone(), value.as_i64()?)))
                .collect(),
        )
    }
}

fn channel() -> Channel {
    Channel::content(Id::new(Uuid::from_u128(1)), Id::new(Uuid::from_u128(2)))
}

fn frame(n: u64) -> Frame {
    Frame::new("content.delta", json!({ "n": n }))
}

fn short(frame: &Value) -> String {
    match frame["type"].as_str().unwrap() {
        "event" => {
            assert_eq!(frame["data"]["n"], frame["cursor"]);
            frame["cursor"].to_string()
        }
        "gap" => format!("gap {}-{}", frame["from"], frame["to"]),
        other => other.to_owned(),
    }
}

fn cursors(range: std::ops::RangeInclusive<u64>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[tokio::test]
async fn a_frame_says_where_it_belongs() {
    let world = World::new();
    world.subscribe(0).await;
    let org = Id::new(Uuid::from_u128(1));
    let inbox = Channel::inbox(org, Id::new(Uuid::from_u128(3)));
    let seat = world.channels.subscribe(&inbox, ANA, world.until(), None);
    world.channels.begin(seat.await.unwrap()).await.unwrap();

    world.publish([1]).await.unwrap();
    let told = Frame::new("inbox.added", json!({"title": "ñ"}));
    world.channels.publish(&inbox, vec![told]).await.unwrap();

    let texts = world.sockets.take(ANA);
    let frames: Vec<Value> = texts
        .iter()
        .map(|t| serde_json::from_str(t).unwrap())
        .collect();
    let name = "content:con_00000000000000000000000000000002";
    assert_eq!(
        frames,
        [
            json!({"type": "event", "channel": name, "id": format!("{name}/1"), "cursor": 1,
                   "event": "content.delta", "data": {"n": 1}}),
            json!({"type": "event", "channel": "inbox", "id": "inbox/1", "cursor": 1,
                   "event": "inbox.added", "data": {"title": "ñ"}}),
        ]
    );
}

#[tokio::test]
async fn what_was_told_before_comes_before_what_is_told_now() {
    let world = World::new();
    world.publish(1..=130).await.unwrap();
    world.subscribe(7).await;
    world.publish([131]).await.unwrap();

    assert_eq!(world.taken(), cursors(8..=131));
}

#[tokio::test]
async fn a_frame_to_one_subscriber_costs_five_calls() {
    let world = World::new();
    world.subscribe(0).await;
    world.publish([1]).await.unwrap();
    let before = world.table.faults().calls() + world.sockets.faults().calls();

    world.publish([2]).await.unwrap();

    // Keep, who listens, take the turn, push, end the turn.
    let calls = world.table.faults().calls() + world.sockets.faults().calls() - before;
    assert_eq!(calls, 5);
    assert_eq!(world.taken(), cursors(1..=2));
}

#[tokio::test]
async fn whatever_meets_a_subscriber_sees_every_frame_once_and_in_order() {
    // Publishers in processes of their own speak while a subscriber comes, at every step of theirs.
    for delay in 0..60 {
        let world = World::new();
        world.publish(1..=3).await.unwrap();
        let processes: Vec<StoredChannels> = (0..3).map(|_| world.elsewhere()).collect();
        let publisher = async |process: &StoredChannels| {
            for _ in 0..5 {
                let told = Frame::new("content.delta", json!({}));
                process.publish(&channel(), vec![told]).await.unwrap();
            }
        };
        let subscriber = async {
            for _ in 0..delay {
                tokio::task::yield_now().await;
            }
            world.subscribe(1).await;
        };

        tokio::join!(join_all(processes.iter().map(publisher)), subscriber);

        let texts = world.sockets.take(ANA);
        let seen: Vec<u64> = texts
            .iter()
            .map(|text| {
                serde_json::from_str::<Value>(text).unwrap()["cursor"]
                    .as_u64()
                    .unwrap()
            })
            .collect();
        assert_eq!(seen, (2..=18).collect::<Vec<_>>(), "delay {delay}");
    }
}

#[tokio::test]
async fn a_thousand_frames_of_several_publishers_arrive_in_order() {
    let world = World::new();
    world.subscribe(0).await;
    let processes: Vec<StoredChannels> = (0..4).map(|_| world.elsewhere()).collect();
    let publisher = async |process: &StoredChannels| {
        for _ in 0..125 {
            let told = vec![Frame::new("job.progress", json!({})); 2];
            process.publish(&channel(), told).await.unwrap();
        }
    };

    join_all(processes.iter().map(publisher)).await;

    let texts = world.sockets.take(ANA);
    let seen = texts.iter().map(|text| {
        serde_json::from_str::<Value>(text).unwrap()["cursor"]
            .as_u64()
            .unwrap()
    });
    assert_eq!(seen.collect::<Vec<_>>(), (1..=1000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_failure_at_any_call_of_a_publication_loses_nothing_in_the_end() {
    for fault in [Fault::Before, Fault::After, Fault::Throttled] {
        for call in 0..4 {
            let world = World::new();
            world.subscribe(0).await;
            world.publish([1]).await.unwrap();
            world.table.faults().fail_call(call, fault);

            // Not knowing whether it was kept, the publisher looks before it says it again.
            if world.publish([2]).await.is_err() {
                let told = world.channels.since(&channel(), 1, 10).await.unwrap();
                if told.end < 2 {
                    world.publish([2]).await.unwrap();
                }
            }
            // Whoever died in its turn is replaced.
            world.clock.advance(Duration::from_secs(11));
            world.publish([3]).await.unwrap();

            let mut seen = world.taken();
            seen.dedup();
            assert_eq!(seen, cursors(1..=3), "{fault:?} at {call}");
        }
    }
}

#[tokio::test]
async fn a_push_that_fails_does_not_fail_the_publisher_and_comes_with_the_next() {
    for fault in [Fault::Before, Fault::Throttled] {
        let world = World::new();
        world.subscribe(0).await;
        world.sockets.faults().fail_next(fault);

        assert_eq!(world.publish([1]).await, Ok(1));
        assert_eq!(world.taken(), [""; 0]);
        assert_eq!(world.publish([2]).await, Ok(2));

        assert_eq!(world.taken(), cursors(1..=2));
    }
}

#[tokio::test]
async fn a_subscriber_who_vanished_is_forgotten() {
    let world = World::new();
    world.subscribe(0).await;
    world.sockets.vanish(ANA);

    assert_eq!(world.publish([1]).await, Ok(1));

    assert_eq!(world.subscription(), None);
    world.publish([2]).await.unwrap();
    assert_eq!(world.sockets.faults().calls(), 1);
}

#[tokio::test]
async fn whoever_left_is_told_nothing_and_does_not_come_back_by_itself() {
    let world = World::new();
    world.subscribe(0).await;
    world.channels.unsubscribe(&channel(), ANA).await.unwrap();

    world.publish([1]).await.unwrap();
    world
        .channels
        .renew(&channel(), ANA, world.until())
        .await
        .unwrap();

    assert_eq!((world.taken(), world.subscription()), (vec![], None));
}

#[tokio::test]
async fn what_has_expired_is_named_although_its_rows_still_stand_there() {
    let world = World::new();
    world.publish(1..=3).await.unwrap();
    world.clock.advance(Duration::from_hours(24));
    world.publish(4..=5).await.unwrap();

    world.subscribe(1).await;
    assert_eq!(world.taken(), ["gap 2-3", "4", "5"]);

    world.clock.advance(Duration::from_hours(24));
    world.subscribe(4).await;
    assert_eq!(world.taken(), ["gap 5-5"]);
    world.publish([6]).await.unwrap();
    assert_eq!(world.taken(), ["6"]);
}

#[tokio::test]
async fn a_cursor_that_the_channel_has_not_come_to_is_its_end() {
    let world = World::new();
    world.publish(1..=3).await.unwrap();
    world.subscribe(70).await;
    world.publish([4]).await.unwrap();

    assert_eq!(world.taken(), ["4"]);
}

#[tokio::test]
async fn an_expired_token_gets_one_question_and_nothing_else_until_it_is_answered() {
    let world = World::new();
    world.subscribe(0).await;
    world.publish([1]).await.unwrap();
    world.clock.advance(Duration::from_mins(15));

    world.publish([2]).await.unwrap();
    world.publish([3]).await.unwrap();
    assert_eq!(world.taken(), ["1", "reauth"]);

    world
        .channels
        .renew(&channel(), ANA, world.until())
        .await
        .unwrap();
    assert_eq!(world.taken(), ["2", "3"]);
    world.clock.advance(Duration::from_mins(15));
    world.publish([4]).await.unwrap();
    assert_eq!(world.taken(), ["reauth"]);
}

#[tokio::test]
async fn a_deliverer_that_died_is_replaced() {
    let world = World::new();
    // It subscribed and never began.
    let (channel, until) = (channel(), world.until());
    let seat = world.channels.subscribe(&channel, ANA, until, Some(0));
    drop(seat.await.unwrap());
    world.publish([1]).await.unwrap();
    assert_eq!(world.taken(), [""; 0]);

    world.clock.advance(Duration::from_secs(11));
    world.publish([2]).await.unwrap();

    assert_eq!(world.taken(), cursors(1..=2));
    assert!(!world.subscription().unwrap().contains_key("turn"));
}
