//! Somebody who uses the API of the running cloud, as a front end lets them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::{
    cloud::{Answer, Cloud},
    emulator::Emulator,
    failure::{Failure, Outcome, While},
    layout::Layout,
    mail,
    outputs::Outputs,
};

const PASSWORD: &str = "Correct-Horse-7-Battery";
const MAIL_LIMIT: Duration = Duration::from_secs(10);

/// One person's conversation with the API.
pub struct Person {
    cloud: Cloud,
    api: String,
    email: String,
    token: Option<String>,
    requests: u32,
}

impl Person {
    /// Somebody whom the running cloud does not know yet.
    ///
    /// # Errors
    /// No cloud runs.
    pub fn stranger(layout: &Layout, name: &str) -> Outcome<Self> {
        let emulator = Emulator::require(layout)?;
        let outputs = Outputs::read(&layout.outputs())?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .during("reading the clock")?;
        Ok(Self {
            cloud: Cloud::new(emulator.url())?,
            api: outputs.api_url,
            email: format!("{name}-{}@example.com", now.as_millis()),
            token: None,
            requests: 0,
        })
    }

    /// A request with the person's token, if there is one yet; an answer that refuses is a failure.
    ///
    /// # Errors
    /// The API refused it, or was not there.
    pub async fn call(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Outcome<Answer> {
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

    /// What a link leads to.
    ///
    /// # Errors
    /// It leads nowhere.
    pub async fn follow(&self, link: &str) -> Outcome<Vec<u8>> {
        let answer = self.cloud.plain("GET", link, &[], Vec::new()).await?;
        Ok(answer.accepted("downloading")?.body)
    }

    /// Makes an account; gives what the API says of it.
    ///
    /// # Errors
    /// [`Self::call`]'s.
    pub async fn sign_up(&mut self) -> Outcome<Value> {
        let person = json!({ "email": self.email, "password": PASSWORD, "name": "Ada Lovelace", "locale": "en" });
        let answer = self.call("POST", "/v1/auth/signup", Some(&person)).await?;
        Ok(answer.json())
    }

    /// Confirms the address; gives the code of the mail and what the API says of it.
    ///
    /// # Errors
    /// No mail came; [`Self::call`]'s.
    pub async fn confirm(&mut self) -> Outcome<(String, Value)> {
        let code = self.code().await?;
        let confirmation = json!({ "email": self.email, "code": code });
        let answer = self
            .call("POST", "/v1/auth/confirm", Some(&confirmation))
            .await?;
        Ok((code, answer.json()))
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

    /// Signs in, and is known from then on; gives what the API says of it.
    ///
    /// # Errors
    /// [`Self::call`]'s.
    pub async fn log_in(&mut self) -> Outcome<Value> {
        let credentials = json!({ "email": self.email, "password": PASSWORD });
        let answer = self
            .call("POST", "/v1/auth/login", Some(&credentials))
            .await?
            .json();
        let token = answer["access_token"]
            .as_str()
            .ok_or_else(|| Failure::new(format!("no token in {answer}")))?;
        self.token = Some(token.to_owned());
        Ok(answer)
    }
}
