//! What all channels must do.

use domain::Id;
use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;

use super::assert_refused;
use crate::channels::{Channel, Channels, Frame, LARGEST_FRAME, Told};

/// Runs every check on channels that nobody has spoken on.
pub async fn holds_for(channels: &dyn Channels) {
    what_was_told_comes_back_in_order(channels).await;
    another_organisations_channel_is_another(channels).await;
    a_frame_that_is_too_long_leaves_nothing_behind(channels).await;
    publishers_who_meet_leave_no_gap(channels).await;
}

/// The channel of a text, by organisation and number.
fn channel(org: u128, content: u128) -> Channel {
    Channel::content(
        Id::new(Uuid::from_u128(org)),
        Id::new(Uuid::from_u128(content)),
    )
}

fn frame(n: usize) -> Frame {
    Frame::new(
        "content.delta",
        json!({"n": n, "text": "ñ 🦤", "": [0.5, 1e-7, 2.0, null]}),
    )
}

async fn everything(channels: &dyn Channels, channel: &Channel, limit: u32) -> Vec<(u64, Frame)> {
    let mut frames: Vec<(u64, Frame)> = Vec::new();
    loop {
        let cursor = frames.last().map_or(0, |(last, _)| *last);
        let page = channels.since(channel, cursor, limit).await;
        let page = page.expect("a page").frames;
        assert!(page.len() <= limit as usize, "a page of {}", page.len());
        if page.is_empty() {
            return frames;
        }
        frames.extend(page);
    }
}

async fn what_was_told_comes_back_in_order(channels: &dyn Channels) {
    let channel = channel(1, 1);
    let nothing = Told {
        frames: vec![],
        end: 0,
    };
    assert_eq!(channels.since(&channel, 0, 10).await, Ok(nothing));
    assert_eq!(channels.publish(&channel, vec![]).await, Ok(0));

    assert_eq!(channels.publish(&channel, vec![frame(1)]).await, Ok(1));
    let many: Vec<Frame> = (2..=60).map(frame).collect();
    assert_eq!(channels.publish(&channel, many).await, Ok(60));
    assert_eq!(channels.publish(&channel, vec![]).await, Ok(60));

    let wanted: Vec<(u64, Frame)> = (1..=60).map(|n| (n as u64, frame(n))).collect();
    assert_eq!(everything(channels, &channel, 7).await, wanted);
    let last = Told {
        frames: wanted[59..].to_vec(),
        end: 60,
    };
    assert_eq!(channels.since(&channel, 59, 10).await, Ok(last));
    let beyond = channels.since(&channel, 60, 10).await.expect("a page");
    assert_eq!((beyond.frames, beyond.end), (vec![], 60));
}

async fn another_organisations_channel_is_another(channels: &dyn Channels) {
    let (ours, theirs) = (channel(1, 2), channel(2, 2));

    assert_eq!(channels.publish(&ours, vec![frame(1)]).await, Ok(1));

    assert_eq!(everything(channels, &theirs, 10).await, vec![]);
    assert_eq!(channels.publish(&theirs, vec![frame(2)]).await, Ok(1));
    assert_eq!(everything(channels, &ours, 10).await, [(1, frame(1))]);
}

async fn a_frame_that_is_too_long_leaves_nothing_behind(channels: &dyn Channels) {
    let channel = channel(1, 3);
    let long = Frame::new("content.delta", json!("x".repeat(LARGEST_FRAME)));

    let answer = channels.publish(&channel, vec![frame(1), long]).await;

    assert_refused(answer, "a frame that is too long");
    assert_eq!(everything(channels, &channel, 10).await, vec![]);
}

async fn publishers_who_meet_leave_no_gap(channels: &dyn Channels) {
    let channel = channel(1, 4);
    let publisher = async |p: usize| {
        for n in 0..10 {
            let told = channels.publish(&channel, vec![frame(100 * p + n)]).await;
            told.expect("a cursor");
        }
    };

    join_all((0..4).map(publisher)).await;

    let frames = everything(channels, &channel, 25).await;
    let cursors: Vec<u64> = frames.iter().map(|(cursor, _)| *cursor).collect();
    assert_eq!(cursors, (1..=40).collect::<Vec<_>>());
    for p in 0..4 {
        let of_p = frames
            .iter()
            .filter_map(|(_, frame)| frame.data["n"].as_u64())
            .filter(|n| n / 100 == p);
        assert_eq!(
            of_p.collect::<Vec<_>>(),
            (100 * p..100 * p + 10).collect::<Vec<_>>()
        );
    }
}
