//! What every bus must do.

use domain::{Envelope, Event, Id};
use uuid::Uuid;

use crate::bus::Bus;

/// Runs every check. `published` takes that many events at the far end, or fewer if there are no more.
pub async fn holds_for(bus: &dyn Bus, published: impl AsyncFn(usize) -> Vec<Envelope>) {
    every_event_arrives_whole(bus, published).await;
}

async fn every_event_arrives_whole(bus: &dyn Bus, published: impl AsyncFn(usize) -> Vec<Envelope>) {
    let sent: Vec<Envelope> = (1..=25).map(envelope).collect();

    assert_eq!(bus.publish(&sent).await, Ok(()));
    assert_eq!(bus.publish(&[]).await, Ok(()), "nothing to publish");

    let mut arrived = published(sent.len()).await;
    arrived.sort_by_key(|envelope| envelope.id);
    assert_eq!(arrived, sent);
}

fn envelope(n: u128) -> Envelope {
    Envelope {
        id: Id::new(Uuid::from_u128(n)),
        time: "2026-01-02T03:04:05.678Z".parse().expect("a moment"),
        version: 1,
        org: Id::new(Uuid::from_u128(1)),
        trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into())
            .filter(|_| n.is_multiple_of(2)),
        causation: None,
        event: Event::UserConfirmed {
            user: Id::new(Uuid::from_u128(n)),
        },
    }
}
