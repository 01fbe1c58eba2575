//! A small signed client for the emulator. Only crate `aws` knows the AWS SDK, and a developer's tool needs a
//! handful of calls: they are plain HTTP with a Signature Version 4.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>

use std::{
    fmt::Write,
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use serde_json::Value;

use crate::{
    emulator::REGION,
    failure::{Failure, Outcome, While},
};

/// The emulator's root-like key, which needs no policy. Functions get their own role's session instead.
const ROOT_KEY: &str = "test";

/// The longest that a call may take; the gateway itself ends a request after 30 s.
const LIMIT: Duration = Duration::from_mins(1);

/// A client of every service of one emulator.
#[derive(Clone, Debug)]
pub struct Cloud {
    endpoint: String,
    credentials: Credentials,
    http: reqwest::Client,
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The answer, if its status is a success.
    pub fn accepted(self, what: &str) -> Outcome<Self> {
        if (200..300).contains(&self.status) {
            Ok(self)
        } else {
            Err(Failure::new(format!(
                "{what}: {} {}",
                self.status,
                self.text()
            )))
        }
    }
}

impl Cloud {
    /// A client of the emulator at this address, with every right.
    pub fn new(endpoint: impl Into<String>) -> Outcome<Self> {
        Self::with(
            endpoint,
            Credentials::new(ROOT_KEY, ROOT_KEY, None, None, "fleet"),
        )
    }

    /// A client with the rights of the function that this process is: Lambda puts them into its environment.
    pub fn of_function() -> Outcome<Self> {
        let variable = |name: &str| std::env::var(name).during(name);
        let (key, secret) = (
            variable("AWS_ACCESS_KEY_ID")?,
            variable("AWS_SECRET_ACCESS_KEY")?,
        );
        let credentials = Credentials::new(
            key,
            secret,
            std::env::var("AWS_SESSION_TOKEN").ok(),
            None,
            "function",
        );
        Self::with(variable("AWS_ENDPOINT_URL")?, credentials)
    }

    fn with(endpoint: impl Into<String>, credentials: Credentials) -> Outcome<Self> {
        // The client wants a TLS provider even for plain loopback; a second installation is no harm.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(LIMIT)
            .build()
            .during("making the HTTP client")?;
        Ok(Self {
            endpoint: endpoint.into(),
            credentials,
            http,
        })
    }

    /// The emulator's address.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// An unsigned request to a path of the emulator, or to a whole address.
    pub async fn plain(
        &self,
        method: &str,
        address: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Outcome<Answer> {
        let address = if address.starts_with("http") {
            address.to_owned()
        } else {
            format!("{}{address}", self.endpoint)
        };
        self.send(request(method, &address, headers, body)?).await
    }

    /// A signed request to a path.
    pub async fn signed(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Outcome<Answer> {
        let mut request = request(method, &format!("{}{path}", self.endpoint), headers, body)?;
        signature(service, self.credentials.clone(), &mut request)?;
        self.send(request).await
    }

    /// A call of a service with a JSON protocol, such as `("dynamodb", "DynamoDB_20120810.PutItem", …)`.
    pub async fn json(&self, service: &str, target: &str, input: &Value) -> Outcome<Answer> {
        let version = if service == "sqs" || service == "dynamodb" {
            "1.0"
        } else {
            "1.1"
        };
        let kind = format!("application/x-amz-json-{version}");
        let headers = [("content-type", kind.as_str()), ("x-amz-target", target)];
        self.signed(
            service,
            "POST",
            "/",
            &headers,
            input.to_string().into_bytes(),
        )
        .await
    }

    /// A call of a service with the query protocol, which answers in XML.
    pub async fn query(
        &self,
        service: &str,
        action: &str,
        version: &str,
        parameters: &[(String, String)],
    ) -> Outcome<Answer> {
        let mut form = format!("Action={action}&Version={version}");
        for (name, value) in parameters {
            let _infallible = write!(form, "&{}={}", percent(name), percent(value));
        }
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.signed(service, "POST", "/", &headers, form.into_bytes())
            .await
    }

    async fn send(&self, request: http::Request<Vec<u8>>) -> Outcome<Answer> {
        let what = format!("{} {}", request.method(), request.uri());
        let request = reqwest::Request::try_from(request).during(&what)?;
        let response = self.http.execute(request).await.during(&what)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.during(&what)?.to_vec();
        Ok(Answer {
            status,
            headers,
            body,
        })
    }
}

fn request(
    method: &str,
    address: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Outcome<http::Request<Vec<u8>>> {
    let builder = http::Request::builder().method(method).uri(address);
    let builder = headers.iter().fold(builder, |builder, (name, value)| {
        builder.header(*name, *value)
    });
    builder
        .body(body)
        .during(format_args!("{method} {address}"))
}

fn signature(
    service: &str,
    credentials: Credentials,
    request: &mut http::Request<Vec<u8>>,
) -> Outcome {
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name(service)
        .time(SystemTime::now())
        .settings(settings)
        .build()
        .during("signing")?
        .into();
    let address = request.uri().to_string();
    let authority = request
        .uri()
        .authority()
        .map(ToString::to_string)
        .unwrap_or_default();
    let given = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let headers: Vec<_> = given.chain([("host", authority.as_str())]).collect();
    let signable = SignableRequest::new(
        request.method().as_str(),
        &address,
        headers.into_iter(),
        SignableBody::Bytes(request.body()),
    )
    .during("signing")?;
    let (instructions, _signature) = sign(signable, &parameters).during("signing")?.into_parts();
    instructions.apply_to_request_http1x(request);
    Ok(())
}

/// Everything but the unreserved characters, as RFC 3986 section 2.1 writes it.
pub fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _infallible = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// The texts of every `<tag>` of an XML answer, in order; enough for the answers that are read here.
pub fn texts(xml: &str, tag: &str) -> Vec<String> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    xml.split(&open)
        .skip(1)
        .filter_map(|rest| rest.split_once(&close))
        .map(|(text, _)| unescape(text))
        .collect()
}

/// The first text of a tag; empty when there is none.
pub fn text(xml: &str, tag: &str) -> String {
    texts(xml, tag).into_iter().next().unwrap_or_default()
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_value_is_encoded_whole() {
        assert_eq!(percent("a b/ñ~&="), "a%20b%2F%C3%B1~%26%3D");
    }

    #[test]
    fn texts_are_read_in_order_and_unescaped() {
        let xml = "<a><Key>x</Key></a><a><Key>1 &lt; 2 &amp; 3</Key></a>";

        assert_eq!(texts(xml, "Key"), ["x", "1 < 2 & 3"]);
        assert_eq!(text(xml, "Absent"), "");
    }
}
