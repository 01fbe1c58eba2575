//! E-mail through SES.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message};
use ports::mailer::{Mail, Mailer, check};
use ports::{Port, PortError};

use crate::failure;

/// SES, sending as one address.
pub struct SesMailer {
    client: Client,
    sender: String,
}

impl SesMailer {
    /// A mailer that sends as this address, which SES has verified.
    pub fn new(config: &SdkConfig, sender: String) -> Self {
        Self {
            client: Client::new(config),
            sender,
        }
    }
}

#[async_trait]
impl Mailer for SesMailer {
    async fn send(&self, mail: Mail) -> Result<(), PortError> {
        check(&mail)?;
        let body = Body::builder().text(text(mail.text)?).build();
        let message = Message::builder()
            .subject(text(mail.subject)?)
            .body(body)
            .build();
        self.client
            .send_email()
            .from_email_address(&self.sender)
            .destination(
                Destination::builder()
                    .to_addresses(mail.to.as_str())
                    .build(),
            )
            .content(EmailContent::builder().simple(message).build())
            .send()
            .await
            .map_err(|error| failure::of_call(Port::Mailer, &error))?;
        Ok(())
    }
}

fn text(text: String) -> Result<Content, PortError> {
    Content::builder()
        .charset("UTF-8")
        .data(text)
        .build()
        .map_err(|error| PortError::Refused {
            port: Port::Mailer,
            cause: error.to_string(),
        })
}
