//! The open connections of a WebSocket API of API Gateway.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_apigatewaymanagement::Client;
use aws_sdk_apigatewaymanagement::config::Builder;
use aws_sdk_apigatewaymanagement::primitives::Blob;
use ports::sockets::{SocketError, Sockets, check};
use ports::{Port, PortError};

use crate::failure;

/// What the gateway calls a connection that is closed.
const GONE: &str = "GoneException";

/// The connections of one API.
pub struct GatewaySockets {
    client: Client,
}

impl GatewaySockets {
    /// The API behind this management endpoint: `https://….execute-api.….amazonaws.com/stage`.
    pub fn new(config: &SdkConfig, endpoint: String) -> Self {
        let settings = Builder::from(config).endpoint_url(endpoint).build();
        Self {
            client: Client::from_conf(settings),
        }
    }
}

#[async_trait]
impl Sockets for GatewaySockets {
    async fn send(&self, connection: &str, text: &str) -> Result<(), SocketError> {
        check(text)?;
        let posted = self
            .client
            .post_to_connection()
            .connection_id(connection)
            .data(Blob::new(text))
            .send()
            .await;
        match posted {
            Ok(_) => Ok(()),
            Err(error) if failure::code(&error) == GONE => Err(SocketError::Gone),
            Err(error) => Err(failure::of_call(Port::Sockets, &error).into()),
        }
    }

    async fn close(&self, connection: &str) -> Result<(), PortError> {
        let closed = self
            .client
            .delete_connection()
            .connection_id(connection)
            .send()
            .await;
        match closed {
            Ok(_) => Ok(()),
            Err(error) if failure::code(&error) == GONE => Ok(()),
            Err(error) => Err(failure::of_call(Port::Sockets, &error)),
        }
    }
}
