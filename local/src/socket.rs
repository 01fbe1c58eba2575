//! The WebSocket of the running cloud, as a front end hears it.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use crate::failure::{Failure, Outcome, While};

/// How long nothing may be heard: a processor may take half a minute to read a prompt.
const PATIENCE: Duration = Duration::from_mins(2);

/// An open connection.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Opens the address of a ticket.
    ///
    /// # Errors
    /// It is refused.
    pub async fn open(url: &str) -> Outcome<Self> {
        let (stream, _) = connect_async(url).await.during("opening the WebSocket")?;
        Ok(Self(stream))
    }

    /// Says something.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn say(&mut self, message: &Value) -> Outcome {
        let text = Message::text(message.to_string());
        self.0.send(text).await.during("speaking on the WebSocket")
    }

    /// The next frame.
    ///
    /// # Errors
    /// The connection is gone, or silent for two minutes.
    pub async fn hear(&mut self) -> Outcome<Value> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.0.next());
            let next = next.await.during("listening to the WebSocket")?;
            let message = next.ok_or_else(|| Failure::new("the WebSocket was closed"))?;
            if let Message::Text(text) = message.during("listening to the WebSocket")? {
                return serde_json::from_str(text.as_str()).during("reading a frame");
            }
        }
    }
}
