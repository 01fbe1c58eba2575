//! The running cloud, and resources that a test makes in it for itself.

use aws::Clients;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use data_encoding::BASE32_NOPAD;
use domain::Envelope;
use ports::clock::{Clock, SystemClock};
use ports::identity::totp;
use ports::ids::RandomIds;
use ports::queue::Message;
use serde_json::{Value, json};

/// The cloud that `cargo fleet test` runs.
pub struct Cloud {
    pub url: String,
    pub clients: Clients,
    socket_url: String,
    /// Makes the names of this test's resources its own.
    name: String,
}

impl Cloud {
    /// The cloud that the environment names.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test learns from its environment where the cloud is"
    )]
    pub async fn running() -> Self {
        let path = std::env::var("FLEET_OUTPUTS")
            .expect("these tests need the local cloud: run them with `cargo fleet test`");
        let outputs: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let text = |name: &str| outputs[name].as_str().unwrap().to_owned();
        let url = text("emulator_url");
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(&url)
            .region(Region::new(text("region")))
            .credentials_provider(Credentials::new(
                "test",
                "test",
                None,
                None,
                "the emulator's root",
            ));
        let name = format!(
            "contract-{:016x}",
            u64::from_be_bytes(RandomIds::shared().octets())
        );
        Self {
            url,
            clients: Clients::load(loader).await,
            socket_url: text("ws_url"),
            name,
        }
    }

    /// Where the fleet's WebSocket API is managed: its own address, over HTTP.
    pub fn socket_endpoint(&self) -> String {
        self.socket_url.replacen("ws", "http", 1)
    }

    pub async fn make_table(&self) -> String {
        let key = |name: &str, kind| {
            KeySchemaElement::builder()
                .attribute_name(name)
                .key_type(kind)
                .build()
                .unwrap()
        };
        let text = |name: &str| {
            let definition = AttributeDefinition::builder().attribute_name(name);
            definition
                .attribute_type(ScalarAttributeType::S)
                .build()
                .unwrap()
        };
        let index = GlobalSecondaryIndex::builder()
            .index_name("gsi1")
            .key_schema(key("gsi1pk", KeyType::Hash))
            .key_schema(key("gsi1sk", KeyType::Range))
            .projection(
                Projection::builder()
                    .projection_type(ProjectionType::All)
                    .build(),
            );
        aws_sdk_dynamodb::Client::new(self.clients.config())
            .create_table()
            .table_name(&self.name)
            .billing_mode(BillingMode::PayPerRequest)
            .set_attribute_definitions(Some(["pk", "sk", "gsi1pk", "gsi1sk"].map(text).into()))
            .key_schema(key("pk", KeyType::Hash))
            .key_schema(key("sk", KeyType::Range))
            .global_secondary_indexes(index.build().unwrap())
            .send()
            .await
            .unwrap();
        self.name.clone()
    }

    pub async fn make_bucket(&self) -> String {
        use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};

        let region = self.clients.config().region().unwrap().as_ref();
        let place = CreateBucketConfiguration::builder()
            .location_constraint(BucketLocationConstraint::from(region))
            .build();
        let settings = aws_sdk_s3::config::Builder::from(self.clients.config())
            .force_path_style(true)
            .build();
        aws_sdk_s3::Client::from_conf(settings)
            .create_bucket()
            .bucket(&self.name)
            .set_create_bucket_configuration(Some(place).filter(|_| region != "us-east-1"))
            .send()
            .await
            .unwrap();
        self.name.clone()
    }

    /// The URL of a new standard queue.
    pub async fn make_queue(&self) -> String {
        let sqs = aws_sdk_sqs::Client::new(self.clients.config());
        sqs.create_queue()
            .queue_name(&self.name)
            .send()
            .await
            .unwrap()
            .queue_url
            .unwrap()
    }

    /// A new bus, whose events of `auth` go to this queue.
    pub async fn make_bus_into(&self, queue: &str) -> String {
        use aws_sdk_eventbridge::types::Target;
        use aws_sdk_sqs::types::QueueAttributeName;

        let sqs = aws_sdk_sqs::Client::new(self.clients.config());
        let read = sqs
            .get_queue_attributes()
            .queue_url(queue)
            .attribute_names(QueueAttributeName::QueueArn);
        let arn =
            read.send().await.unwrap().attributes.unwrap()[&QueueAttributeName::QueueArn].clone();
        let policy = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
            "Resource": arn,
        }]});
        sqs.set_queue_attributes()
            .queue_url(queue)
            .attributes(QueueAttributeName::Policy, policy.to_string())
            .send()
            .await
            .unwrap();

        let events = aws_sdk_eventbridge::Client::new(self.clients.config());
        events
            .create_event_bus()
            .name(&self.name)
            .send()
            .await
            .unwrap();
        let pattern = json!({"source": ["auth"], "detail-type": ["auth.user_confirmed"]});
        events
            .put_rule()
            .name("all")
            .event_bus_name(&self.name)
            .event_pattern(pattern.to_string())
            .send()
            .await
            .unwrap();
        let target = Target::builder().id("queue").arn(arn).build().unwrap();
        events
            .put_targets()
            .rule("all")
            .event_bus_name(&self.name)
            .targets(target)
            .send()
            .await
            .unwrap();
        self.name.clone()
    }

    /// A verified sender's address.
    pub async fn make_sender(&self) -> String {
        let address = format!("{}@example.com", self.name);
        let ses = aws_sdk_sesv2::Client::new(self.clients.config());
        ses.create_email_identity()
            .email_identity(&address)
            .send()
            .await
            .unwrap();
        address
    }

    pub async fn make_secret(&self, value: &str) -> String {
        let manager = aws_sdk_secretsmanager::Client::new(self.clients.config());
        manager
            .create_secret()
            .name(&self.name)
            .secret_string(value)
            .send()
            .await
            .unwrap();
        self.name.clone()
    }

    pub async fn make_key(&self) -> String {
        let kms = aws_sdk_kms::Client::new(self.clients.config());
        kms.create_key()
            .send()
            .await
            .unwrap()
            .key_metadata
            .unwrap()
            .key_id
    }

    /// A user pool and its client, set as the template sets them.
    pub async fn make_pool(&self) -> (String, String) {
        use aws_sdk_cognitoidentityprovider::types::{
            ExplicitAuthFlowsType, PasswordPolicyType, PreventUserExistenceErrorTypes,
            SoftwareTokenMfaConfigType, TimeUnitsType, TokenValidityUnitsType, UserPoolMfaType,
            UserPoolPolicyType, UsernameAttributeType, VerifiedAttributeType,
        };

        let cognito = aws_sdk_cognitoidentityprovider::Client::new(self.clients.config());
        let password = PasswordPolicyType::builder().minimum_length(12).build();
        let pool = cognito
            .create_user_pool()
            .pool_name(&self.name)
            .policies(
                UserPoolPolicyType::builder()
                    .password_policy(password)
                    .build(),
            )
            .username_attributes(UsernameAttributeType::Email)
            .auto_verified_attributes(VerifiedAttributeType::Email)
            .send()
            .await
            .unwrap();
        let pool = pool.user_pool.unwrap().id.unwrap();
        cognito
            .set_user_pool_mfa_config()
            .user_pool_id(&pool)
            .mfa_configuration(UserPoolMfaType::Optional)
            .software_token_mfa_configuration(
                SoftwareTokenMfaConfigType::builder().enabled(true).build(),
            )
            .send()
            .await
            .unwrap();
        let units = TokenValidityUnitsType::builder()
            .access_token(TimeUnitsType::Minutes)
            .id_token(TimeUnitsType::Minutes)
            .refresh_token(TimeUnitsType::Days);
        let client = cognito
            .create_user_pool_client()
            .user_pool_id(&pool)
            .client_name(&self.name)
            .explicit_auth_flows(ExplicitAuthFlowsType::AllowUserPasswordAuth)
            .explicit_auth_flows(ExplicitAuthFlowsType::AllowRefreshTokenAuth)
            .prevent_user_existence_errors(PreventUserExistenceErrorTypes::Enabled)
            .enable_token_revocation(true)
            .access_token_validity(15)
            .id_token_validity(15)
            .refresh_token_validity(30)
            .token_validity_units(units.build())
            .send()
            .await
            .unwrap();
        (pool, client.user_pool_client.unwrap().client_id.unwrap())
    }

    /// Sets up an authenticator app for whoever this access token is of, and gives its secret.
    pub async fn enrol_totp(&self, access: &str) -> Vec<u8> {
        use aws_sdk_cognitoidentityprovider::types::SoftwareTokenMfaSettingsType;

        let cognito = aws_sdk_cognitoidentityprovider::Client::new(self.clients.config());
        let associated = cognito
            .associate_software_token()
            .access_token(access)
            .send()
            .await;
        let text = associated.unwrap().secret_code.unwrap();
        let secret = BASE32_NOPAD
            .decode(text.trim_end_matches('=').as_bytes())
            .unwrap();
        cognito
            .verify_software_token()
            .access_token(access)
            .user_code(totp::code(&secret, SystemClock.now()))
            .send()
            .await
            .unwrap();
        let settings = SoftwareTokenMfaSettingsType::builder()
            .enabled(true)
            .preferred_mfa(true);
        cognito
            .set_user_mfa_preference()
            .access_token(access)
            .software_token_mfa_settings(settings.build())
            .send()
            .await
            .unwrap();
        secret
    }

    /// Takes that many messages from a queue; fewer if none comes for ten seconds.
    pub async fn receive(&self, queue: &str, count: usize) -> Vec<Message> {
        let sqs = aws_sdk_sqs::Client::new(self.clients.config());
        let mut messages = Vec::new();
        let mut waits = 0;
        while messages.len() < count && waits < 5 {
            let poll = sqs
                .receive_message()
                .queue_url(queue)
                .max_number_of_messages(10)
                .wait_time_seconds(2);
            let batch = poll
                .message_attribute_names("All")
                .send()
                .await
                .unwrap()
                .messages
                .unwrap_or_default();
            waits = if batch.is_empty() { waits + 1 } else { 0 };
            for message in batch {
                let handle = message.receipt_handle.unwrap();
                sqs.delete_message()
                    .queue_url(queue)
                    .receipt_handle(handle)
                    .send()
                    .await
                    .unwrap();
                let attributes = message.message_attributes.unwrap_or_default();
                let trace = attributes
                    .get("traceparent")
                    .and_then(|value| value.string_value.clone());
                messages.push(Message {
                    trace,
                    ..Message::new(message.body.unwrap())
                });
            }
        }
        messages
    }
}

/// The envelope in a message that a rule of the bus sent.
pub fn envelope(body: &str) -> Envelope {
    let event: Value = serde_json::from_str(body).unwrap();
    let envelope: Envelope = serde_json::from_value(event["detail"].clone()).unwrap();
    assert_eq!(event["detail-type"], envelope.event.name());
    assert_eq!(event["source"], envelope.event.source());
    envelope
}

/// The claims of a JWT; its signature is another test's matter.
pub fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}
