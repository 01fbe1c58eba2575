//! The running local cloud as a front end sees it: HTTP and a mailbox.

use std::path::Path;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// How long something that happens behind the API may take to be seen.
const PATIENCE: Duration = Duration::from_mins(1);

/// The cloud that `FLEET_OUTPUTS` names; `cargo fleet test` starts one and sets it.
pub struct Cloud {
    http: reqwest::Client,
    /// A path such as `/v1/health` is appended to it.
    pub api_url: String,
    /// The emulator, where the mailbox is.
    pub emulator_url: String,
    outputs: Value,
}

/// Somebody with a confirmed address.
#[derive(Clone, Debug)]
pub struct Person {
    /// The address.
    pub email: String,
    /// The password.
    pub password: String,
    /// The token for `Authorization`.
    pub access: String,
    /// Buys the next one.
    pub refresh: String,
}

/// An open connection.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Opens an address.
    ///
    /// # Errors
    /// The status that the address was refused with; 0 if there was none.
    pub async fn open(url: &str) -> Result<Self, u16> {
        match connect_async(url).await {
            Ok((stream, _)) => Ok(Self(stream)),
            Err(Error::Http(refused)) => Err(refused.status().as_u16()),
            Err(_) => Err(0),
        }
    }

    /// Says something.
    pub async fn say(&mut self, message: &Value) {
        let text = Message::text(message.to_string());
        self.0.send(text).await.expect("an open connection");
    }

    /// The next frame; nothing once the connection is closed.
    pub async fn hear(&mut self) -> Option<Value> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.0.next()).await;
            match next.expect("a frame")? {
                Ok(Message::Text(text)) => {
                    return Some(serde_json::from_str(text.as_str()).expect("a frame is JSON"));
                }
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Says something and hears what comes next.
    pub async fn ask(&mut self, message: &Value) -> Value {
        self.say(message).await;
        self.hear().await.expect("an answer")
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body; null if it is not JSON.
    pub body: Value,
}

impl Answer {
    /// Status and problem code together, as assertions want them.
    pub fn refusal(&self) -> (u16, &str) {
        (
            self.status.as_u16(),
            self.body["code"].as_str().unwrap_or_default(),
        )
    }
}

impl Cloud {
    /// The running cloud.
    ///
    /// # Panics
    /// If there is none: these tests say nothing without it.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test finds its cloud by the environment"
    )]
    pub fn running() -> Self {
        runtime::start();
        let path = std::env::var("FLEET_OUTPUTS").expect("a running cloud; use `cargo fleet test`");
        Self::of(Path::new(&path))
    }

    /// The cloud that this `outputs.json` describes.
    ///
    /// # Panics
    /// If the file is none.
    #[expect(
        clippy::disallowed_methods,
        reason = "the cloud on this machine is asked as a front end asks it, without the fleet's client"
    )]
    pub fn of(outputs: &Path) -> Self {
        let outputs = std::fs::read_to_string(outputs).expect("outputs.json");
        let outputs: Value = serde_json::from_str(&outputs).expect("outputs.json is JSON");
        let text = |name: &str| outputs[name].as_str().expect(name).to_owned();
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .build()
            .expect("a client");
        Self {
            http,
            api_url: text("api_url"),
            emulator_url: text("emulator_url"),
            outputs,
        }
    }

    /// Kills a process of this function, as hard as it can be, if one runs.
    pub fn kill_one(&self, binary: &str) {
        let name = self.outputs["functions"][binary].as_str().expect(binary);
        for process in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
            let environment = String::from_utf8_lossy(&environment).into_owned();
            // Of this cloud, not of another one that runs beside it.
            let variables: Vec<&str> = environment.split('\0').collect();
            let ours =
                variables.contains(&format!("AWS_ENDPOINT_URL={}", self.emulator_url).as_str());
            if ours && variables.contains(&format!("AWS_LAMBDA_FUNCTION_NAME={name}").as_str()) {
                let id = process.file_name().to_string_lossy().into_owned();
                let killed = std::process::Command::new("kill")
                    .args(["-9", &id])
                    .status();
                assert!(killed.is_ok(), "kill -9 {id}");
                return;
            }
        }
    }

    /// A request to the API.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.api_url))
    }

    /// Sends a request to the API.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.expect("a body");
        Answer {
            status,
            headers,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        }
    }

    /// `POST` with a JSON body, signed in or not.
    pub async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Answer {
        let request = self.request(Method::POST, path).json(body);
        self.send(token.into_iter().fold(request, RequestBuilder::bearer_auth))
            .await
    }

    /// `GET`, signed in or not.
    pub async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        let request = self.request(Method::GET, path);
        self.send(token.into_iter().fold(request, RequestBuilder::bearer_auth))
            .await
    }

    /// A ticket for the WebSocket.
    pub async fn ticket(&self, token: &str) -> String {
        let issued = self.post("/v1/ws/tickets", Some(token), &json!({})).await;
        assert_eq!(issued.status, StatusCode::CREATED, "{:?}", issued.body);
        issued.body["ticket"].as_str().expect("a ticket").to_owned()
    }

    /// The address that a ticket opens, as a front end builds it from `outputs.json`.
    pub fn socket_url(&self, ticket: &str) -> String {
        let url = self.outputs["ws_url"].as_str().expect("ws_url");
        format!("{url}?ticket={ticket}")
    }

    /// Opens a connection of somebody.
    pub async fn socket(&self, token: &str) -> Socket {
        let url = self.socket_url(&self.ticket(token).await);
        Socket::open(&url).await.expect("a connection")
    }

    /// What a link leads to.
    pub async fn follow(&self, link: &str) -> (StatusCode, Vec<u8>) {
        let response = self.http.get(link).send().await.expect("an answer");
        (
            response.status(),
            response.bytes().await.expect("a body").to_vec(),
        )
    }

    /// Sends octets to where an upload's answer says, with its headers, and gives the status of the store's
    /// answer. `content-length` is what the octets have, as in every HTTP client.
    pub async fn send_octets(&self, upload: &Value, octets: &[u8]) -> StatusCode {
        let url = upload["url"].as_str().expect("a url");
        let mut request = self.http.put(url).body(octets.to_vec());
        for (name, value) in upload["headers"].as_object().expect("headers") {
            if name != "content-length" {
                request = request.header(name, value.as_str().expect("a header"));
            }
        }
        request.send().await.expect("an answer").status()
    }

    /// Waits until something is there.
    pub async fn wait_for<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let mut waited = Duration::ZERO;
        let step = Duration::from_millis(100);
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(waited < PATIENCE, "no {what} within {PATIENCE:?}");
            tokio::time::sleep(step).await;
            waited += step;
        }
    }

    /// The six digits of the last message to an address.
    pub async fn code_for(&self, email: &str) -> String {
        self.wait_for("code", async || {
            let mailbox = format!("{}/_ministack/ses/messages", self.emulator_url);
            let mail: Value = self
                .http
                .get(mailbox)
                .send()
                .await
                .ok()?
                .json()
                .await
                .ok()?;
            // By account; a local cloud has one.
            let accounts = mail["messages"].as_object()?.values();
            let messages: Vec<&Value> = accounts.filter_map(Value::as_array).flatten().collect();
            let mine = messages
                .iter()
                .rev()
                .find(|message| message.to_string().contains(email))?;
            digits(&mine.to_string().replace(email, ""))
        })
        .await
    }

    /// Signs somebody up, confirms the address and signs in.
    pub async fn person(&self, name: &str) -> Person {
        let email = format!("{name}-{}@example.com", unique());
        let password = "Correct-Horse-7-Battery".to_owned();
        let new = json!({"email": email, "password": password, "name": name, "locale": "es"});
        let signed_up = self.post("/v1/auth/signup", None, &new).await;
        assert_eq!(
            signed_up.status,
            StatusCode::CREATED,
            "{:?}",
            signed_up.body
        );
        let code = self.code_for(&email).await;
        let confirmed = self
            .post(
                "/v1/auth/confirm",
                None,
                &json!({"email": email, "code": code}),
            )
            .await;
        assert_eq!(confirmed.body, json!({"status": "confirmed"}));
        self.sign_in(email, password).await
    }

    /// Signs in.
    pub async fn sign_in(&self, email: String, password: String) -> Person {
        let tokens = self
            .post(
                "/v1/auth/login",
                None,
                &json!({"email": email, "password": password}),
            )
            .await;
        assert_eq!(tokens.status, StatusCode::OK, "{:?}", tokens.body);
        let text = |name: &str| tokens.body[name].as_str().expect(name).to_owned();
        Person {
            email,
            password,
            access: text("access_token"),
            refresh: text("refresh_token"),
        }
    }
}

/// The first run of exactly six digits.
fn digits(text: &str) -> Option<String> {
    let runs = text.split(|c: char| !c.is_ascii_digit());
    runs.filter(|run| run.len() == 6).map(str::to_owned).next()
}

/// Something that no other test and no earlier run has used.
fn unique() -> String {
    let ids = ports::ids::RandomIds::shared();
    format!("{:016x}", u64::from_be_bytes(ids.octets()))
}

/// A valid invoice.
pub fn invoice() -> Value {
    let sample = include_str!("../../functions/documents/templates/invoice/samples/es.json");
    json!({"template": "invoice", "format": "pdf", "data": serde_json::from_str::<Value>(sample).expect("a sample")})
}

/// A small template of an organisation's own; its data is a number.
pub fn own_template() -> Value {
    json!({
        "name": "Albarán",
        "schema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "additionalProperties": false,
            "required": ["number"],
            "properties": { "number": { "type": "string", "maxLength": 20 } },
        },
        "source": "#set document(title: \"Albarán\")\n#set text(lang: \"es\")\n= Albarán #data.number\n",
        "samples": [{ "number": "A-1" }],
    })
}
