//! What a message of the queue `file-events` says: that an object has arrived, or what a scan found.

use domain::Id;
use domain::id::{File, Organisation};
use serde::Deserialize;
use serde_json::Value;

use crate::parse_object_key;
use crate::scan::Verdict;

/// Something about one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whose file.
    pub org: Id<Organisation>,
    /// Which.
    pub file: Id<File>,
    /// What a scan found; nothing if the object has only arrived.
    pub verdict: Option<Verdict>,
}

/// Why a message says nothing.
#[derive(Debug, thiserror::Error)]
#[error("not a notice of the store: {0}")]
pub struct NoticeError(#[from] serde_json::Error);

/// The messages of S3: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>
#[derive(Deserialize)]
struct Stored {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    event_name: String,
    s3: Place,
}

#[derive(Deserialize)]
struct Place {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    key: String,
}

/// The results of Malware Protection for S3:
/// <https://docs.aws.amazon.com/guardduty/latest/ug/monitor-with-eventbridge-s3-malware-protection.html>
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Scanned {
    s3_object_details: Scanner,
    scan_result_details: Option<ScanResult>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Scanner {
    object_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScanResult {
    scan_result_status: String,
    threats: Option<Vec<Threat>>,
}

#[derive(Deserialize)]
struct Threat {
    name: String,
}

/// What `GuardDuty` calls its result.
const SCANNED: &str = "GuardDuty Malware Protection Object Scan Result";

/// The notices in a message. What is about no file of this capability is left out: S3's own test message, an
/// object under another key.
///
/// # Errors
/// [`NoticeError`] if the message is of no known shape.
pub fn parse(body: &str) -> Result<Vec<Notice>, NoticeError> {
    let message: Value = serde_json::from_str(body)?;
    if message["Event"] == "s3:TestEvent" {
        return Ok(Vec::new());
    }
    if message["detail-type"] == SCANNED {
        let scanned: Scanned = Deserialize::deserialize(&message["detail"])?;
        let verdict = verdict(scanned.scan_result_details);
        let notice = notice(&scanned.s3_object_details.object_key, Some(verdict));
        return Ok(notice.into_iter().collect());
    }
    let stored = Stored::deserialize(&message)?;
    let arrived = stored
        .records
        .iter()
        .filter(|record| record.event_name.starts_with("ObjectCreated:"));
    Ok(arrived
        .filter_map(|record| notice(&record.s3.object.key, None))
        .collect())
}

fn notice(key: &str, verdict: Option<Verdict>) -> Option<Notice> {
    let Some((org, file)) = parse_object_key(key) else {
        // The key may be anything, so it stays out of the log.
        tracing::warn!("a notice about an object that is no file was left out");
        return None;
    };
    Some(Notice { org, file, verdict })
}

fn verdict(result: Option<ScanResult>) -> Verdict {
    let Some(result) = result else {
        return Verdict::Failed("scan_failed");
    };
    match result.scan_result_status.as_str() {
        "NO_THREATS_FOUND" => Verdict::Clean,
        "THREATS_FOUND" => {
            let first = result.threats.unwrap_or_default().into_iter().next();
            Verdict::Infected(first.map_or_else(|| "unnamed".to_owned(), |threat| threat.name))
        }
        "UNSUPPORTED" => Verdict::Failed("unsupported"),
        _ => Verdict::Failed("scan_failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const KEY: &str = "org_00000000000000000000000000000001/fil_00000000000000000000000000000002";

    fn created(name: &str, key: &str) -> String {
        json!({"Records": [{"eventName": name, "s3": {"object": {"key": key, "size": 1}}}]})
            .to_string()
    }

    fn scanned(status: &str, threats: &Value) -> Vec<Notice> {
        let details = json!({"scanResultStatus": status, "threats": threats});
        let detail = json!({
            "scanStatus": "COMPLETED", "s3ObjectDetails": {"bucketName": "b", "objectKey": KEY},
            "scanResultDetails": details
        });
        parse(&json!({"detail-type": SCANNED, "detail": detail}).to_string()).unwrap()
    }

    #[test]
    fn an_object_that_arrives_is_a_notice_however_it_arrives() {
        for name in [
            "ObjectCreated:Put",
            "ObjectCreated:CompleteMultipartUpload",
            "ObjectCreated:Copy",
        ] {
            let notices = parse(&created(name, KEY)).unwrap();

            assert_eq!(notices.len(), 1, "{name}");
            assert_eq!(notices[0].verdict, None);
            assert_eq!(notices[0].file.to_string(), KEY[37..]);
        }
    }

    #[test]
    fn what_is_about_no_file_is_left_out_and_what_is_no_message_is_refused() {
        for left_out in [
            r#"{"Service": "Amazon S3", "Event": "s3:TestEvent"}"#.to_owned(),
            created(
                "ObjectCreated:Put",
                "malware-protection-resource-validation-object",
            ),
            created("ObjectCreated:Put", "org_1/fil_2"),
            created("ObjectCreated:Put", &format!("{KEY}/more")),
            created("ObjectRemoved:Delete", KEY),
        ] {
            assert_eq!(parse(&left_out).unwrap(), [], "{left_out}");
        }
        for poison in ["", "{}", "[]", "not JSON", r#"{"Records": [{}]}"#] {
            assert!(parse(poison).is_err(), "{poison}");
        }
    }

    #[test]
    fn a_scan_that_was_not_clean_is_never_called_clean() {
        let verdict = |status, threats: Value| scanned(status, &threats).remove(0).verdict.unwrap();

        assert_eq!(verdict("NO_THREATS_FOUND", Value::Null), Verdict::Clean);
        assert_eq!(
            verdict(
                "THREATS_FOUND",
                json!([{"name": "EICAR-Test-File (not a virus)"}])
            ),
            Verdict::Infected("EICAR-Test-File (not a virus)".into())
        );
        assert_eq!(
            verdict("THREATS_FOUND", Value::Null),
            Verdict::Infected("unnamed".into())
        );
        for status in ["ACCESS_DENIED", "FAILED", "SOMETHING_NEW"] {
            assert_eq!(
                verdict(status, Value::Null),
                Verdict::Failed("scan_failed"),
                "{status}"
            );
        }
        assert_eq!(
            verdict("UNSUPPORTED", Value::Null),
            Verdict::Failed("unsupported")
        );
    }
}
