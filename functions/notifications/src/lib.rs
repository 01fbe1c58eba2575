//! What people and programs are told while it happens: tickets, and the WebSocket.
//!
//! **In:** nothing. **Out:** nothing: what is told comes from [`ports::channels::Channels`], which every
//! capability publishes to by itself.
//!
//! | `pk` | `sk` | row |
//! |---|---|---|
//! | `usr_…` | `ticket#…` | [`tickets::Pass`], under the hash of its ticket, for a minute |
//! | `usr_…` | `ack#org_…/content:con_…` | how far the person says to have read |
//! | `connection#…` | `connection` | [`connection::Connection`], under the id that the gateway gave it |
//! | `org_…/content:con_…` | `end`, `frame#…`, `sub#…` | see [`ports::channels::stored`] |
//!
//! No caller can name a connection's key: the gateway says which connection speaks. What a connection may
//! reach follows from its row: every channel's key begins with the row's organisation.
//!
//! # The protocol, version 1
//!
//! `POST /v1/ws/tickets` gives a ticket; `wss://…/v1?ticket=…` opens a connection with it, once and within a
//! minute. Texts are JSON objects, at most 8 KiB from the client and 128 KiB to it.
//!
//! | client says | and hears |
//! |---|---|
//! | `{"action":"ping"}` | `{"type":"pong","expires_at"}` |
//! | `{"action":"subscribe","channels":["inbox","job:…","doc:…","content:con_…","metrics:org_…"],"since"?}` | `{"type":"subscribed","channels":[{"channel","cursor"}],"expires_at"}`, then what lies behind the cursors |
//! | `{"action":"unsubscribe","channels":[…]}` | `{"type":"unsubscribed","channels":[…]}` |
//! | `{"action":"ack","cursor","channel"?}` | nothing |
//! | `{"action":"auth","ticket"}` | `{"type":"authenticated","expires_at"}`, then what has waited |
//!
//! `since` is a cursor, `"ack"` (what the person acknowledged last), `"now"`, or one of these for each channel
//! by name. Without it everything is told that is kept: a day's frames. `ack` needs no `channel` on a
//! connection that listens to one. A channel that does not exist is as silent as one that belongs to another
//! organisation.
//!
//! | server says | when |
//! |---|---|
//! | `{"type":"event","channel","id","cursor","event","data"}` | something was told: `event` says what, for example `content.delta` |
//! | `{"type":"gap","channel","from","to"}` | these cursors are no longer kept |
//! | `{"type":"reauth"}` | the access token has expired: answer with `auth`; 30 s later whoever says something else is closed |
//! | `{"type":"error","action"?,"code","detail","errors"?}` | a message was not done; nothing of it was |
//!
//! A channel's cursors count from 1. A client keeps the last one that it saw of each channel, ignores events up to
//! it, and after a loss of connection subscribes with `since` set to them: then nothing is lost and nothing
//! comes twice.

pub mod api;
pub mod connection;
pub mod socket;
pub mod tickets;

mod frames;
mod message;
mod names;
mod problems;

pub use socket::Socket;
pub use tickets::Tickets;
