//! The last line of every `main`: what kind of invocation the function answers.

mod batch;
mod events;
mod http;
mod queue;
mod schedule;
mod socket;
mod stream;
mod trigger;

pub(crate) use events::events_of;
pub use events::{event_of, events};
pub use http::http;
pub use queue::{Delivery, queue};
pub use schedule::{Tick, schedule};
pub(crate) use socket::socket_event_of;
pub use socket::{Handshake, Moment, SocketEvent, socket};
pub(crate) use stream::changes_of;
pub use stream::{Change, Position, changes, stream};
pub use trigger::trigger;
