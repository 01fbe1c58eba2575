//! What all clients share: configuration, time-outs, retries and one pool of connections.

use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use ports::blobs::uploads::Uploads;
use ports::blobs::{Assembly, Blobs};
use ports::bus::Bus;
use ports::channels::StoredChannels;
use ports::clock::{Clock, SystemClock};
use ports::identity::Identity;
use ports::ids::RandomIds;
use ports::keys::Keys;
use ports::mailer::Mailer;
use ports::queue::Queue;
use ports::secrets::Secrets;
use ports::sockets::Sockets;
use ports::table::Table;

use crate::blobs::S3Blobs;
use crate::bus::EventBridgeBus;
use crate::identity::CognitoIdentity;
use crate::keys::KmsKeys;
use crate::mailer::SesMailer;
use crate::queue::SqsQueue;
use crate::secrets::ManagerSecrets;
use crate::sockets::GatewaySockets;
use crate::table::DynamoTable;

/// The authorities that sign for AWS, and nobody else: parsing five certificates takes a fraction of
/// the time that the whole list of the web's authorities takes at every cold start.
/// <https://www.amazontrust.com/repository/>
const ROOTS: &[u8] = include_bytes!("roots.pem");

/// A connection inside one region that takes longer is not coming.
const CONNECT: Duration = Duration::from_secs(1);
/// One try of one call.
const ATTEMPT: Duration = Duration::from_secs(5);
/// All tries of one call: under the shortest time-out of a function, so that it can still answer.
const OPERATION: Duration = Duration::from_secs(9);
/// The first wait before a retry is a random part of this; it doubles from try to try.
const BACKOFF: Duration = Duration::from_millis(50);

/// Makes ports on AWS.
#[derive(Clone)]
pub struct Clients {
    config: SdkConfig,
    clock: Arc<dyn Clock>,
}

impl Clients {
    /// Reads region, credentials and endpoint from where the SDK looks for them: the variables that
    /// Lambda sets, and `AWS_ENDPOINT_URL` for a cloud on this machine.
    pub async fn from_environment() -> Self {
        Self::load(aws_config::defaults(BehaviorVersion::latest())).await
    }

    /// Reads what the loader was not told, and talks as every function does.
    pub async fn load(loader: ConfigLoader) -> Self {
        let retries = RetryConfig::standard()
            .with_max_attempts(3)
            .with_initial_backoff(BACKOFF);
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(OPERATION)
            .build();
        let config = loader
            .http_client(http_client())
            .retry_config(retries)
            .timeout_config(timeouts)
            .load()
            .await;
        Self::new(config, SystemClock::shared())
    }

    /// Ports of this configuration, by this clock.
    pub fn new(config: SdkConfig, clock: Arc<dyn Clock>) -> Self {
        Self { config, clock }
    }

    /// The configuration that they share.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// The `DynamoDB` table of this name.
    pub fn table(&self, name: impl Into<String>) -> Arc<dyn Table> {
        Arc::new(DynamoTable::new(&self.config, name.into()))
    }

    /// The S3 bucket of this name.
    pub fn blobs(&self, bucket: impl Into<String>) -> Arc<dyn Blobs> {
        Arc::new(S3Blobs::new(
            &self.config,
            bucket.into(),
            self.clock.clone(),
        ))
    }

    /// The S3 bucket of this name, which takes files straight from their owners.
    pub fn uploads(&self, bucket: impl Into<String>) -> Arc<dyn Uploads> {
        Arc::new(S3Blobs::new(
            &self.config,
            bucket.into(),
            self.clock.clone(),
        ))
    }

    /// The same bucket, for files in parts.
    pub fn assembly(&self, bucket: impl Into<String>) -> Arc<dyn Assembly> {
        Arc::new(S3Blobs::new(
            &self.config,
            bucket.into(),
            self.clock.clone(),
        ))
    }

    /// The SQS queue of this URL.
    pub fn queue(&self, url: impl Into<String>) -> Arc<dyn Queue> {
        Arc::new(SqsQueue::new(&self.config, url.into()))
    }

    /// The `EventBridge` bus of this name.
    pub fn bus(&self, name: impl Into<String>) -> Arc<dyn Bus> {
        Arc::new(EventBridgeBus::new(&self.config, name.into()))
    }

    /// SES, sending as this address.
    pub fn mailer(&self, sender: impl Into<String>) -> Arc<dyn Mailer> {
        Arc::new(SesMailer::new(&self.config, sender.into()))
    }

    /// The Cognito user pool of this id, asked as its client of that id.
    pub fn identity(
        &self,
        pool: impl Into<String>,
        client: impl Into<String>,
    ) -> Arc<dyn Identity> {
        Arc::new(CognitoIdentity::new(
            &self.config,
            pool.into(),
            client.into(),
        ))
    }

    /// Secrets Manager.
    pub fn secrets(&self) -> Arc<dyn Secrets> {
        Arc::new(ManagerSecrets::new(&self.config, self.clock.clone()))
    }

    /// The connections of the WebSocket API whose management endpoint is this, its stage included.
    pub fn sockets(&self, endpoint: impl Into<String>) -> Arc<dyn Sockets> {
        Arc::new(GatewaySockets::new(&self.config, endpoint.into()))
    }

    /// Channels kept in the table of this name and pushed to that API's connections.
    pub fn channels(
        &self,
        table: impl Into<String>,
        endpoint: impl Into<String>,
    ) -> Arc<StoredChannels> {
        Arc::new(StoredChannels::new(
            self.table(table),
            self.sockets(endpoint),
            self.clock.clone(),
            RandomIds::shared(),
        ))
    }

    /// Secrets Manager, asked anew each time.
    pub fn fresh_secrets(&self) -> Arc<dyn Secrets> {
        Arc::new(ManagerSecrets::new(&self.config, self.clock.clone()).fresh())
    }

    /// The KMS key of this id or ARN.
    pub fn keys(&self, key: impl Into<String>) -> Arc<dyn Keys> {
        Arc::new(KmsKeys::new(&self.config, key.into()))
    }
}

/// One client, and so one pool of connections, for every service. Without TLS it speaks to an `http`
/// endpoint, which only a cloud on this machine has.
fn http_client() -> SharedHttpClient {
    let roots = TrustStore::empty().with_pem_certificate(ROOTS);
    let tls = TlsContext::builder()
        .with_trust_store(roots)
        .build()
        .expect("a trust store makes a TLS context");
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(tls)
        .build_https()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_config::Region;
    use aws_sdk_dynamodb::config::Credentials;
    use ports::PortError;
    use ports::table::Key;

    /// Nobody listens on port 1, but to find out a connector was made, and with it every authority parsed.
    #[tokio::test]
    async fn a_service_that_cannot_be_reached_is_unavailable() {
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url("https://127.0.0.1:1")
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "test"));
        let table = Clients::load(loader).await.table("fleet");

        let answer = table.get(&Key::new("org_1", "a")).await;

        assert!(
            matches!(answer, Err(PortError::Unavailable { .. })),
            "{answer:?}"
        );
    }
}
