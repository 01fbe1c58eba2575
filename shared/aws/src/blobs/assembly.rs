//! Files in parts: S3's multipart upload.

use async_trait::async_trait;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use ports::blobs::Assembly;
use ports::{Port, PortError};

use super::S3Blobs;
use crate::failure;

/// What the service says of an upload that was finished or abandoned.
const GONE: &str = "NoSuchUpload";

#[async_trait]
impl Assembly for S3Blobs {
    async fn begin(&self, key: &str, content_type: &str) -> Result<String, PortError> {
        let begun = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .content_type(content_type)
            .send()
            .await
            .map_err(|error| failure::of_call(Port::Blobs, &error))?;
        begun.upload_id.ok_or_else(|| unnamed("an upload"))
    }

    async fn part(
        &self,
        key: &str,
        upload: &str,
        number: u32,
        bytes: Vec<u8>,
    ) -> Result<String, PortError> {
        let kept = self
            .client
            .upload_part()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload)
            .part_number(number_of(number)?)
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(|error| failure::of_call(Port::Blobs, &error))?;
        kept.e_tag.ok_or_else(|| unnamed("a part"))
    }

    async fn finish(&self, key: &str, upload: &str, tags: &[String]) -> Result<(), PortError> {
        let mut parts = CompletedMultipartUpload::builder();
        for (tag, number) in tags.iter().zip(1_u32..) {
            let part = CompletedPart::builder()
                .part_number(number_of(number)?)
                .e_tag(tag);
            parts = parts.parts(part.build());
        }
        let finished = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload)
            .multipart_upload(parts.build())
            .send()
            .await;
        match finished {
            Ok(_) => Ok(()),
            // Its answer was lost the first time, if the file is there.
            Err(error) if failure::code(&error) == GONE => {
                let head = self.client.head_object().bucket(&self.bucket).key(key);
                head.send()
                    .await
                    .map(drop)
                    .map_err(|_| failure::of_call(Port::Blobs, &error))
            }
            Err(error) => Err(failure::of_call(Port::Blobs, &error)),
        }
    }

    async fn abandon(&self, key: &str, upload: &str) -> Result<(), PortError> {
        let abandoned = self
            .client
            .abort_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload)
            .send()
            .await;
        match abandoned {
            Err(error) if failure::code(&error) != GONE => {
                Err(failure::of_call(Port::Blobs, &error))
            }
            _ => Ok(()),
        }
    }
}

fn number_of(number: u32) -> Result<i32, PortError> {
    i32::try_from(number).map_err(|_| PortError::Refused {
        port: Port::Blobs,
        cause: "no such number of a part".into(),
    })
}

fn unnamed(what: &str) -> PortError {
    PortError::Unavailable {
        port: Port::Blobs,
        cause: format!("{what} without a name"),
    }
}
