//! `fleet demo`: the story of the fleet, from signing up to a PDF, told step by step.

use std::{
    fs,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::{
    cloud::{Answer, Cloud},
    console::say,
    emulator::Emulator,
    failure::{Failure, Outcome, While},
    layout::Layout,
    mail,
    outputs::Outputs,
};

const PASSWORD: &str = "Correct-Horse-7-Battery";
const MAIL_LIMIT: Duration = Duration::from_secs(10);

/// One person's conversation with the API.
struct Story {
    cloud: Cloud,
    api: String,
    email: String,
    token: Option<String>,
    requests: u32,
}

/// Runs the command.
pub async fn run() -> Outcome {
    let layout = Layout::developer();
    let emulator = Emulator::require(&layout)?;
    let outputs = Outputs::read(&layout.outputs())?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .during("reading the clock")?;
    let mut story = Story {
        cloud: Cloud::new(emulator.url())?,
        api: outputs.api_url,
        email: format!("demo-{}@example.com", now.as_millis()),
        token: None,
        requests: 0,
    };
    story.sign_up().await?;
    story.confirm().await?;
    story.log_in().await?;
    let me = story.call("GET", "/v1/users/me", None).await?.json();
    say(format_args!(
        "4. GET  /v1/users/me           {} ({}), roles {}",
        plain(&me["name"]),
        plain(&me["id"]),
        me["roles"]
    ));
    let pdf = story.invoice().await?;
    let path = layout.home().join("demo-invoice.pdf");
    fs::write(&path, &pdf).during(format_args!("writing {}", path.display()))?;
    say(format_args!(
        "6. GET  the download link      {} bytes -> {}",
        pdf.len(),
        path.display()
    ));
    Ok(())
}

/// A value as a person reads it: a text without its quotes.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

impl Story {
    async fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> Outcome<Answer> {
        self.requests += 1;
        let key = format!("{}-{}", self.email, self.requests);
        let bearer = self.token.as_deref().map(|token| format!("Bearer {token}"));
        let mut headers = vec![
            ("content-type", "application/json"),
            ("accept-language", "en"),
        ];
        if method == "POST" {
            headers.push(("idempotency-key", &key));
        }
        if let Some(bearer) = &bearer {
            headers.push(("authorization", bearer));
        }
        let body = body
            .map(|body| body.to_string().into_bytes())
            .unwrap_or_default();
        self.cloud
            .plain(method, &format!("{}{path}", self.api), &headers, body)
            .await?
            .accepted(&format!("{method} {path}"))
    }

    async fn sign_up(&mut self) -> Outcome {
        let person = json!({ "email": self.email, "password": PASSWORD, "name": "Ada Lovelace", "locale": "en" });
        let answer = self
            .call("POST", "/v1/auth/signup", Some(&person))
            .await?
            .json();
        say(format_args!(
            "1. POST /v1/auth/signup        {} is {}",
            plain(&answer["user_id"]),
            plain(&answer["status"])
        ));
        Ok(())
    }

    async fn confirm(&mut self) -> Outcome {
        let code = self.code().await?;
        let answer = self
            .call(
                "POST",
                "/v1/auth/confirm",
                Some(&json!({ "email": self.email, "code": code })),
            )
            .await?
            .json();
        say(format_args!(
            "2. POST /v1/auth/confirm       the mail says {code}: {}",
            plain(&answer["status"])
        ));
        Ok(())
    }

    async fn code(&self) -> Outcome<String> {
        let started = Instant::now();
        loop {
            let mails = mail::inbox(&self.cloud).await?;
            if let Some(code) =
                mail::newest(&mails, &self.email).and_then(|(_, mail)| mail.code.clone())
            {
                return Ok(code);
            }
            if started.elapsed() > MAIL_LIMIT {
                return Err(Failure::new(format!(
                    "no mail with a code came to {}",
                    self.email
                )));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn log_in(&mut self) -> Outcome {
        let answer = self
            .call(
                "POST",
                "/v1/auth/login",
                Some(&json!({ "email": self.email, "password": PASSWORD })),
            )
            .await?
            .json();
        let token = answer["access_token"]
            .as_str()
            .ok_or_else(|| Failure::new(format!("no token in {answer}")))?;
        self.token = Some(token.to_owned());
        say(format_args!(
            "3. POST /v1/auth/login         a token for {} s",
            answer["expires_in"]
        ));
        Ok(())
    }

    /// Asks for an invoice with the sample data that the template itself offers, and fetches it.
    async fn invoice(&mut self) -> Outcome<Vec<u8>> {
        let template = self
            .call("GET", "/v1/document-templates/invoice", None)
            .await?
            .json();
        let data = template["samples"][0].clone();
        let order = json!({ "template": "invoice", "data": data, "format": "pdf" });
        let document = self
            .call("POST", "/v1/documents", Some(&order))
            .await?
            .json();
        say(format_args!(
            "5. POST /v1/documents          {} is {}, {} page(s)",
            plain(&document["id"]),
            plain(&document["status"]),
            document["pages"]
        ));
        let link = document["download_url"]
            .as_str()
            .ok_or_else(|| Failure::new(format!("no link in {document}")))?;
        Ok(self
            .cloud
            .plain("GET", link, &[], Vec::new())
            .await?
            .accepted("downloading")?
            .body)
    }
}
