//! Brings the events that stand in the tables to the bus: at least once, in order inside one aggregate.

use std::sync::Arc;

use ports::bus::Bus;
use runtime::serve::Change;

/// The way from a table's changes to the bus.
pub struct Outbox {
    /// Where to.
    pub bus: Arc<dyn Bus>,
}

impl Outbox {
    /// Publishes the events among these changes, in order.
    ///
    /// # Errors
    /// The index of the first change that was not done, and why. A row that is no event although it says
    /// so stops the stream there; Lambda bisects down to it and puts it into the dead letter queue.
    pub async fn publish(&self, changes: &[Change]) -> Result<(), (usize, String)> {
        let mut events = Vec::new();
        let mut indices = Vec::new();
        let mut broken = None;
        for (index, change) in changes.iter().enumerate() {
            match change.envelope() {
                None => {}
                Some(Ok(envelope)) => {
                    events.push(envelope);
                    indices.push(index);
                }
                Some(Err(error)) => {
                    broken = Some((index, error.to_string()));
                    break;
                }
            }
        }
        if !events.is_empty() {
            self.bus.publish(&events).await.map_err(|stopped| {
                let index = indices.get(stopped.published).copied().unwrap_or_default();
                (index, stopped.cause.to_string())
            })?;
        }
        tracing::info!(events = events.len(), "events published");
        broken.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Event;
    use ports::bus::MemoryBus;
    use ports::faults::Fault;
    use ports::ids::SequentialIds;
    use ports::outbox::{Origin, announce};
    use ports::table::Write;
    use runtime::serve::Position;
    use serde_json::{Value, json};

    fn event_row(n: u128) -> Change {
        let origin = Origin {
            org: "org_00000000000000000000000000000001".parse().unwrap(),
            trace: None,
            causation: None,
        };
        let user = format!("usr_{n:032x}").parse().unwrap();
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        let write = announce(
            &*SequentialIds::shared(),
            now,
            user,
            origin,
            Event::UserConfirmed { user },
        );
        let Write::Put(item, _) = write else {
            unreachable!("an announcement is a put")
        };
        let mut row = item.attributes;
        row.insert("sk".into(), json!(item.key.sk));
        Change {
            position: Position(n.to_string()),
            row: Some(row),
        }
    }

    fn other_row() -> Change {
        let row = [("sk".to_owned(), json!("profile"))].into_iter().collect();
        Change {
            position: Position("0".into()),
            row: Some(row),
        }
    }

    #[tokio::test]
    async fn events_reach_the_bus_in_order_and_other_rows_do_not() {
        let bus = MemoryBus::shared();
        let outbox = Outbox { bus: bus.clone() };

        outbox
            .publish(&[event_row(1), other_row(), event_row(2)])
            .await
            .unwrap();

        let users: Vec<Value> = bus
            .published()
            .iter()
            .map(|e| serde_json::to_value(e).unwrap()["data"]["user"].clone())
            .collect();
        assert_eq!(
            users,
            [
                json!(format!("usr_{:032x}", 1)),
                json!(format!("usr_{:032x}", 2))
            ]
        );
    }

    #[tokio::test]
    async fn a_bus_that_is_down_leaves_the_batch_to_come_again() {
        let bus = MemoryBus::shared();
        bus.faults().fail_next(Fault::Before);
        let outbox = Outbox { bus: bus.clone() };
        let changes = [other_row(), event_row(1)];

        let (index, _) = outbox.publish(&changes).await.unwrap_err();
        outbox.publish(&changes[index..]).await.unwrap();

        assert_eq!(bus.published().len(), 1);
    }

    #[tokio::test]
    async fn a_broken_event_stops_the_stream_after_the_good_ones_before_it() {
        let bus = MemoryBus::shared();
        let outbox = Outbox { bus: bus.clone() };
        let mut broken = event_row(2);
        broken
            .row
            .as_mut()
            .unwrap()
            .insert("envelope".into(), json!({}));

        let (index, _) = outbox
            .publish(&[event_row(1), broken, event_row(3)])
            .await
            .unwrap_err();

        assert_eq!(index, 1);
        assert_eq!(bus.published().len(), 1);
    }
}
