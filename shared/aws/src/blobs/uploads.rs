//! Tickets, pieces and parts of S3.
//!
//! A ticket is a presigned `PUT` whose signature covers `content-length`, `content-type` and
//! `x-amz-checksum-sha256`: S3 refuses another length or type because the signature no longer fits, and
//! another content because the checksum does not. A form (`POST` policy) could bind the length too, but
//! not every client can send one, and a part of a multipart upload cannot be sent by one at all.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use data_encoding::BASE64;
use jiff::Timestamp;
use ports::blobs::expiry;
use ports::blobs::uploads::{Agreed, Head, Part, Sha256, Ticket, Uploads};
use ports::{Port, PortError};

use super::S3Blobs;
use crate::failure;

/// A copy inside the store of the largest file that one call copies (5 GiB) may take that long.
const COPY: Duration = Duration::from_secs(25);

impl S3Blobs {
    /// When a ticket signed now expires, and what the signer is told.
    fn signing(&self, valid: Duration) -> Result<(Timestamp, PresigningConfig), PortError> {
        let now = self.clock.now();
        let expires_at = expiry(now, valid)?;
        let signing = PresigningConfig::builder()
            .start_time(SystemTime::try_from(now).map_err(|error| refused(error.to_string()))?)
            .expires_in(valid)
            .build()
            .map_err(|error| refused(error.to_string()))?;
        Ok((expires_at, signing))
    }
}

fn ticket(request: &PresignedRequest, expires_at: Timestamp) -> Ticket {
    Ticket {
        method: request.method().to_owned(),
        url: request.uri().to_owned(),
        headers: request
            .headers()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
        expires_at,
    }
}

#[async_trait]
impl Uploads for S3Blobs {
    async fn ticket(&self, key: &str, file: &Agreed, valid: Duration) -> Result<Ticket, PortError> {
        let (expires_at, signing) = self.signing(valid)?;
        let request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_length(length(file.bytes)?)
            .content_type(&file.content_type)
            .checksum_sha256(BASE64.encode(&file.sha256))
            .presigned(signing)
            .await
            .map_err(|error| failure::of_call(Port::Blobs, &error))?;
        Ok(ticket(&request, expires_at))
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, PortError> {
        let asked = self.client.head_object().bucket(&self.bucket).key(key);
        let found = match asked.send().await {
            Ok(found) => found,
            Err(error) if failure::code(&error) == "NotFound" => return Ok(None),
            Err(error) => return Err(failure::of_call(Port::Blobs, &error)),
        };
        Ok(Some(Head {
            bytes: found
                .content_length
                .and_then(|bytes| u64::try_from(bytes).ok())
                .unwrap_or_default(),
            content_type: found.content_type.unwrap_or_default(),
        }))
    }

    async fn read(&self, key: &str, from: u64, at_most: u64) -> Result<Option<Vec<u8>>, PortError> {
        let to = from.saturating_add(at_most).saturating_sub(1);
        let asked = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .range(format!("bytes={from}-{to}"));
        let found = match asked.send().await {
            Ok(found) => found,
            Err(error) if failure::code(&error) == "NoSuchKey" => return Ok(None),
            Err(error) if failure::code(&error) == "InvalidRange" => return Ok(Some(Vec::new())),
            Err(error) => return Err(failure::of_call(Port::Blobs, &error)),
        };
        let broken = |_| PortError::Unavailable {
            port: Port::Blobs,
            cause: "the file ended too early".into(),
        };
        Ok(Some(found.body.collect().await.map_err(broken)?.to_vec()))
    }

    async fn begin_parts(&self, key: &str, content_type: &str) -> Result<String, PortError> {
        let begun = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .content_type(content_type)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .send()
            .await
            .map_err(|error| failure::of_call(Port::Blobs, &error))?;
        begun.upload_id.ok_or_else(|| PortError::Unavailable {
            port: Port::Blobs,
            cause: "an upload without an id".into(),
        })
    }

    async fn part_ticket(
        &self,
        key: &str,
        upload: &str,
        number: u16,
        (bytes, sha256): (u64, Sha256),
        valid: Duration,
    ) -> Result<Ticket, PortError> {
        let (expires_at, signing) = self.signing(valid)?;
        let request = self
            .client
            .upload_part()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload)
            .part_number(i32::from(number))
            .content_length(length(bytes)?)
            .checksum_sha256(BASE64.encode(&sha256))
            .presigned(signing)
            .await
            .map_err(|error| failure::of_call(Port::Blobs, &error))?;
        Ok(ticket(&request, expires_at))
    }

    async fn parts(&self, key: &str, upload: &str) -> Result<Option<Vec<Part>>, PortError> {
        let mut parts = Vec::new();
        let mut marker = None;
        loop {
            let asked = self
                .client
                .list_parts()
                .bucket(&self.bucket)
                .key(key)
                .upload_id(upload)
                .set_part_number_marker(marker);
            let page = match asked.send().await {
                Ok(page) => page,
                Err(error) if failure::code(&error) == "NoSuchUpload" => return Ok(None),
                Err(error) => return Err(failure::of_call(Port::Blobs, &error)),
            };
            parts.extend(page.parts().iter().filter_map(part));
            marker = page.next_part_number_marker;
            if page.is_truncated != Some(true) || marker.is_none() {
                return Ok(Some(parts));
            }
        }
    }

    async fn finish_parts(&self, key: &str, upload: &str, parts: &[Part]) -> Result<(), PortError> {
        let parts = parts.iter().map(|part| {
            CompletedPart::builder()
                .part_number(i32::from(part.number))
                .e_tag(&part.tag)
                .checksum_sha256(&part.sha256)
                .build()
        });
        let whole = CompletedMultipartUpload::builder().set_parts(Some(parts.collect()));
        let finished = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload)
            .multipart_upload(whole.build())
            .customize()
            .config_override(Builder::new().timeout_config(patient()))
            .send()
            .await;
        match finished {
            Err(error) if failure::code(&error) != "NoSuchUpload" => {
                Err(failure::of_call(Port::Blobs, &error))
            }
            _ => Ok(()),
        }
    }

    async fn abort_parts(&self, key: &str, upload: &str) -> Result<(), PortError> {
        let aborted = self
            .client
            .abort_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload)
            .send()
            .await;
        match aborted {
            Err(error) if failure::code(&error) != "NoSuchUpload" => {
                Err(failure::of_call(Port::Blobs, &error))
            }
            _ => Ok(()),
        }
    }

    async fn copy(&self, from: &str, to: &str) -> Result<bool, PortError> {
        let copied = self
            .client
            .copy_object()
            .bucket(&self.bucket)
            .key(to)
            // Keys of the fleet are ids, which need no encoding in a header.
            .copy_source(format!("{}/{from}", self.bucket))
            .customize()
            .config_override(Builder::new().timeout_config(patient()))
            .send()
            .await;
        match copied {
            Ok(_) => Ok(true),
            Err(error) if failure::code(&error) == "NoSuchKey" => Ok(false),
            Err(error) => Err(failure::of_call(Port::Blobs, &error)),
        }
    }
}

/// Time-outs of a call that moves many octets inside the store.
fn patient() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(COPY)
        .operation_timeout(COPY)
        .build()
}

fn part(part: &aws_sdk_s3::types::Part) -> Option<Part> {
    Some(Part {
        number: u16::try_from(part.part_number?).ok()?,
        bytes: u64::try_from(part.size?).ok()?,
        tag: part.e_tag.clone()?,
        sha256: part.checksum_sha256.clone()?,
    })
}

fn length(bytes: u64) -> Result<i64, PortError> {
    i64::try_from(bytes).map_err(|error| refused(error.to_string()))
}

fn refused(cause: String) -> PortError {
    PortError::Refused {
        port: Port::Blobs,
        cause,
    }
}
