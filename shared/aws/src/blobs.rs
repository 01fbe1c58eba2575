//! Files in an S3 bucket, which encrypts them with the key of its own policy.

mod assembly;
mod uploads;

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use ports::blobs::{Blob, Blobs, Link, expiry};
use ports::clock::Clock;
use ports::{Port, PortError};

use crate::failure;

/// A bucket. A role that may not list it hears of a missing file as a refusal (403) instead of its
/// absence, so that [`Blobs::get`] is for files that a row says are there.
pub struct S3Blobs {
    client: Client,
    bucket: String,
    clock: Arc<dyn Clock>,
}

impl S3Blobs {
    /// The bucket of this name; links expire by this clock.
    pub fn new(config: &SdkConfig, bucket: String, clock: Arc<dyn Clock>) -> Self {
        // `bucket.127.0.0.1` is no host name.
        let on_this_machine = config.endpoint_url().is_some_and(is_loopback);
        let settings = Builder::from(config)
            .force_path_style(on_this_machine)
            .build();
        Self {
            client: Client::from_conf(settings),
            bucket,
            clock,
        }
    }
}

#[async_trait]
impl Blobs for S3Blobs {
    async fn put(&self, key: &str, blob: Blob) -> Result<(), PortError> {
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(blob.content_type)
            .body(ByteStream::from(blob.bytes))
            .send()
            .await
            .map_err(|error| failure::of_call(Port::Blobs, &error))?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<Blob>, PortError> {
        let found = match self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .send()
            .await
        {
            Ok(found) => found,
            Err(error) if failure::code(&error) == "NoSuchKey" => return Ok(None),
            Err(error) => return Err(failure::of_call(Port::Blobs, &error)),
        };
        let content_type = found
            .content_type
            .unwrap_or_else(|| "application/octet-stream".into());
        let broken = |_| PortError::Unavailable {
            port: Port::Blobs,
            cause: "the file ended too early".into(),
        };
        let bytes = found.body.collect().await.map_err(broken)?.to_vec();
        Ok(Some(Blob {
            bytes,
            content_type,
        }))
    }

    async fn delete(&self, key: &str) -> Result<(), PortError> {
        self.client
            .delete_object()
            .bucket(&self.bucket)
            .key(key)
            .send()
            .await
            .map_err(|error| failure::of_call(Port::Blobs, &error))?;
        Ok(())
    }

    async fn link(&self, key: &str, file_name: &str, valid: Duration) -> Result<Link, PortError> {
        let now = self.clock.now();
        let expires_at = expiry(now, valid)?;
        let refused = |cause: String| PortError::Refused {
            port: Port::Blobs,
            cause,
        };
        let presigning = PresigningConfig::builder()
            .start_time(SystemTime::try_from(now).map_err(|error| refused(error.to_string()))?)
            .expires_in(valid)
            .build()
            .map_err(|error| refused(error.to_string()))?;
        let request = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .response_content_disposition(disposition(file_name))
            .presigned(presigning)
            .await
            .map_err(|error| failure::of_call(Port::Blobs, &error))?;
        Ok(Link {
            url: request.uri().to_owned(),
            expires_at,
        })
    }
}

/// Whether an endpoint is on this machine.
fn is_loopback(endpoint: &str) -> bool {
    let host = endpoint
        .split_once("://")
        .map_or(endpoint, |(_, rest)| rest);
    ["127.0.0.1", "localhost", "[::1]"].iter().any(|loopback| {
        host.strip_prefix(loopback)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
    })
}

/// A download under this name, whatever its letters (RFC 6266, with the encoding of RFC 8187).
fn disposition(file_name: &str) -> String {
    let plain: String = file_name
        .chars()
        .map(|c| if is_plain(c) || c == ' ' { c } else { '_' })
        .collect();
    let mut encoded = String::new();
    for octet in file_name.bytes() {
        let written = if is_plain(char::from(octet)) {
            encoded.write_char(char::from(octet))
        } else {
            write!(encoded, "%{octet:02X}")
        };
        written.expect("a string takes everything");
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_break_out_of_its_header() {
        assert_eq!(
            disposition("año\"; x=\r\n1.pdf"),
            "attachment; filename=\"a_o__ x___1.pdf\"; filename*=UTF-8''a%C3%B1o%22%3B%20x%3D%0D%0A1.pdf"
        );
    }

    #[test]
    fn only_this_machine_is_addressed_by_path() {
        for (endpoint, expected) in [
            ("http://127.0.0.1:4566", true),
            ("http://localhost", true),
            ("http://[::1]:4566/", true),
            ("https://s3.eu-west-1.amazonaws.com", false),
            ("https://127.0.0.1.example.com", false),
            ("https://localhost.example.com", false),
        ] {
            assert_eq!(is_loopback(endpoint), expected, "{endpoint}");
        }
    }
}
