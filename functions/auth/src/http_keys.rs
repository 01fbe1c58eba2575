//! The key set over HTTPS, from the address that the configuration names and no other.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Client, Url, redirect};
use rustls::{ClientConfig, RootCertStore};

use crate::jwks::KeySource;
use crate::token::MAX_KEY_SET;

/// The authorizer has five seconds for everything, and a caller waits.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A key set at an address.
#[derive(Clone, Debug)]
pub struct HttpKeys {
    client: Client,
    url: Url,
}

/// Why keys cannot be fetched from an address.
#[derive(Debug, thiserror::Error)]
pub enum HttpKeysError {
    /// Not an absolute address.
    #[error("the address of the keys is not a URL: {0}")]
    NotUrl(String),
    /// Whoever is on the way could put keys of their own in. On this machine nobody is on the way.
    #[error("keys are fetched over https only, except from this machine: {0}")]
    Unprotected(Url),
    /// The client could not be made.
    #[error("no HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// TLS could not be set up.
    #[error("no TLS: {0}")]
    Tls(#[from] rustls::Error),
}

impl HttpKeys {
    /// The key set at this address: `https`, or `http` on this machine.
    pub fn at(url: &str) -> Result<Self, HttpKeysError> {
        let url = Url::parse(url).map_err(|_| HttpKeysError::NotUrl(url.to_owned()))?;
        let is_here = is_loopback(&url);
        if url.scheme() != "https" && !(url.scheme() == "http" && is_here) {
            return Err(HttpKeysError::Unprotected(url));
        }
        Ok(Self {
            client: client(!is_here)?,
            url,
        })
    }
}

/// Compiled-in authorities: reading the system's takes longer than the rest of a cold start.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the process's one HTTP client, with its time-outs"
)]
fn client(https_only: bool) -> Result<Client, HttpKeysError> {
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let tls = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(https_only)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .timeout(TIMEOUT)
        .build()?;
    Ok(client)
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    })
}

#[async_trait]
impl KeySource for HttpKeys {
    async fn fetch(&self) -> Result<Vec<u8>, String> {
        let answer = self
            .client
            .get(self.url.clone())
            .send()
            .await
            .map_err(|error| error.to_string())?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(format!("the keys' source answered {}", answer.status()));
        }
        read(answer).await
    }
}

/// Reads no more than a key set can have, whatever the source sends.
async fn read(mut answer: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut document = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| error.to_string())? {
        if document.len() + chunk.len() > MAX_KEY_SET {
            return Err("the keys' source sends too much".to_owned());
        }
        document.extend_from_slice(&chunk);
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[test]
    fn only_this_machine_may_be_asked_without_tls() {
        for url in [
            "https://cognito-idp.eu-west-1.amazonaws.com/p/.well-known/jwks.json",
            "http://127.0.0.1:4566/p",
            "http://localhost/p",
            "http://[::1]:1/p",
        ] {
            assert!(HttpKeys::at(url).is_ok(), "{url}");
        }
        for url in [
            "http://example.com/jwks",
            "http://127.0.0.1.example.com/",
            "ftp://127.0.0.1/",
            "file:///etc/passwd",
            "http://10.0.0.1/",
        ] {
            assert!(
                matches!(HttpKeys::at(url), Err(HttpKeysError::Unprotected(_))),
                "{url}"
            );
        }
        assert!(matches!(
            HttpKeys::at("jwks.json"),
            Err(HttpKeysError::NotUrl(_))
        ));
    }

    /// What the client makes of one raw answer.
    async fn fetched(answer: Vec<u8>) -> Result<Vec<u8>, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let keys = HttpKeys::at(&format!(
            "http://{}/jwks.json",
            listener.local_addr().unwrap()
        ))
        .unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            // A client that has read enough hangs up.
            stream.write_all(&answer).await.is_ok()
        };
        tokio::join!(keys.fetch(), serve).0
    }

    #[tokio::test]
    async fn a_document_is_read_to_its_end_and_no_further() {
        let ok = |body: &str| {
            format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes()
        };

        assert_eq!(
            fetched(ok("{\"keys\":[]}")).await,
            Ok(b"{\"keys\":[]}".to_vec())
        );
        assert!(fetched(ok(&"x".repeat(MAX_KEY_SET + 1))).await.is_err());
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let answer =
            b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
                .to_vec();

        assert_eq!(
            fetched(answer).await,
            Err("the keys' source answered 302 Found".to_owned())
        );
    }
}
