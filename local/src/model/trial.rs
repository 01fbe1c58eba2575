//! `fleet model try`: has the running cloud write a Spanish text, an English one and an object by a schema, told over
//! the WebSocket while they grow. In the middle of each the connection is lost; what was told before and after it has
//! to be what is kept, to the letter.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    console::{Step, say},
    failure::{Failure, Outcome},
    layout::Layout,
    model::{
        Choice,
        check::{self, ENGLISH, Product, SPANISH},
        record::Record,
        weights::Profile,
    },
    person::Person,
    socket::Socket,
};

/// Pieces that are heard before the connection is lost.
const HEARD: usize = 3;

/// How long nobody listens then: a small model makes a dozen tokens in it.
const AWAY: Duration = Duration::from_secs(1);

/// What is asked for.
struct Wish {
    name: &'static str,
    prompt: &'static str,
    locale: &'static str,
    schema: Value,
    /// What it has to be, besides whole.
    fits: fn(&str) -> Outcome,
}

fn wishes() -> [Wish; 3] {
    [
        Wish {
            name: "Spanish",
            prompt: "Escribe dos frases en español que describan una panadería de barrio.",
            locale: "es",
            schema: Value::Null,
            fits: |text| check::require_language(text, &SPANISH, &ENGLISH, "Spanish"),
        },
        Wish {
            name: "English",
            prompt: "Write two sentences in English that describe a neighbourhood bakery.",
            locale: "en",
            schema: Value::Null,
            fits: |text| check::require_language(text, &ENGLISH, &SPANISH, "English"),
        },
        Wish {
            name: "JSON",
            prompt: "Describe a rye bread for a shop's catalogue.",
            locale: "en",
            schema: check::schema(),
            fits: |text| Product::parse(text).map(|_fits| ()),
        },
    ]
}

/// Runs the command, against the cloud that is up and the models that it has.
pub async fn run(layout: &Layout) -> Outcome {
    let mut ada = Person::stranger(layout, "try")?;
    let step = Step::start("person", "signing up");
    ada.sign_up().await?;
    ada.confirm().await?;
    ada.log_in().await?;
    step.done("signed in");
    // The tiny model was taught English alone.
    let tiny = Choice::Profile(Profile::Tiny).key();
    let is_tiny = Record::read(layout).is_some_and(|record| record.choice == tiny);
    for wish in wishes() {
        if is_tiny && wish.name == "Spanish" {
            say(format_args!(
                "{:>10}  not asked of the tiny model",
                wish.name
            ));
        } else {
            fulfil(&mut ada, &wish).await?;
        }
    }
    Ok(())
}

/// One text from its order to its comparison.
async fn fulfil(ada: &mut Person, wish: &Wish) -> Outcome {
    let started = Instant::now();
    let (id, channel) = order(ada, wish).await?;
    let mut heard = Heard::default();
    hear_its_beginning(ada, &channel, &mut heard).await?;
    let first = heard.first.unwrap_or(started).duration_since(started);
    let before = heard.text.chars().count();
    tokio::time::sleep(AWAY).await;
    hear_the_rest(ada, &channel, &mut heard).await?;
    let took = started.elapsed();
    let path = format!("/v1/content/{id}");
    let kept = ada.call("GET", &path, None).await?.json();
    heard.require_same(wish.name, &kept)?;
    (wish.fits)(&heard.text)?;
    say(format_args!(
        "{:>10}  first piece after {:.1} s, lost after {before} characters, whole after {:.1} s: {} characters in {} pieces, as kept",
        wish.name,
        first.as_secs_f64(),
        took.as_secs_f64(),
        heard.text.chars().count(),
        heard.pieces,
    ));
    let words: Vec<_> = heard.text.split_whitespace().collect();
    say(format_args!("{:>10}  {}", "", words.join(" ")));
    Ok(())
}

/// Has a text taken on; gives its id and its channel.
async fn order(ada: &mut Person, wish: &Wish) -> Outcome<(String, String)> {
    let mut order = json!({
        "prompt": wish.prompt, "locale": wish.locale, "max_tokens": 96, "temperature": 0, "stream": true,
    });
    if !wish.schema.is_null() {
        order["schema"] = wish.schema.clone();
    }
    let taken = ada
        .call("POST", "/v1/content/generate", Some(&order))
        .await?
        .json();
    Ok((text(&taken, "id")?, text(&taken, "channel")?))
}

/// The first pieces, on a connection that is dropped then without a word, as in a tunnel.
async fn hear_its_beginning(ada: &mut Person, channel: &str, heard: &mut Heard) -> Outcome {
    let message = json!({"action": "subscribe", "channels": [channel]});
    let mut socket = subscribed(ada, &message).await?;
    while heard.pieces < HEARD {
        if heard.take(&socket.hear().await?)? {
            return Err(Failure::new(format!(
                "it was over after {} pieces, before the connection could be lost",
                heard.pieces
            )));
        }
    }
    Ok(())
}

/// What follows the last frame that was heard, on a new connection.
async fn hear_the_rest(ada: &mut Person, channel: &str, heard: &mut Heard) -> Outcome {
    let message =
        json!({"action": "subscribe", "channels": [channel], "since": {channel: heard.cursor}});
    let mut socket = subscribed(ada, &message).await?;
    while !heard.take(&socket.hear().await?)? {}
    Ok(())
}

/// A new connection that has said this and was understood.
async fn subscribed(ada: &mut Person, message: &Value) -> Outcome<Socket> {
    let ticket = ada
        .call("POST", "/v1/ws/tickets", Some(&json!({})))
        .await?
        .json();
    let mut socket = Socket::open(&text(&ticket, "url")?).await?;
    socket.say(message).await?;
    let answer = socket.hear().await?;
    if answer["type"] == "subscribed" {
        Ok(socket)
    } else {
        Err(Failure::new(format!("no subscription: {answer}")))
    }
}

fn text(answer: &Value, name: &str) -> Outcome<String> {
    let text = answer[name].as_str().map(str::to_owned);
    text.ok_or_else(|| Failure::new(format!("no {name} in {answer}")))
}

/// What was told of a text so far.
#[derive(Debug, Default)]
struct Heard {
    text: String,
    pieces: usize,
    cursor: u64,
    first: Option<Instant>,
}

impl Heard {
    /// Takes a frame, and says whether it was the last.
    fn take(&mut self, frame: &Value) -> Outcome<bool> {
        match frame["type"].as_str() {
            Some("event") => {}
            Some("gap" | "error") => {
                return Err(Failure::new(format!("something is lost: {frame}")));
            }
            _ => return Ok(false),
        }
        let cursor = frame["cursor"].as_u64().unwrap_or_default();
        // The protocol may tell something twice, and lets one know.
        if cursor <= self.cursor {
            return Ok(false);
        }
        self.cursor = cursor;
        match frame["event"].as_str() {
            Some("content.delta") => self.add(&frame["data"]).map(|()| false),
            Some("content.done") => Ok(true),
            _ => Err(Failure::new(format!("the text was not made: {frame}"))),
        }
    }

    fn add(&mut self, data: &Value) -> Outcome {
        let here = self.text.chars().count() as u64;
        if data["offset"].as_u64() != Some(here) {
            return Err(Failure::new(format!(
                "a piece after {here} characters is {data}"
            )));
        }
        self.text
            .push_str(data["text"].as_str().unwrap_or_default());
        self.pieces += 1;
        self.first.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Holds what was told against what is kept: a text, or an object that was told as JSON.
    fn require_same(&self, name: &str, kept: &Value) -> Outcome {
        let same = match &kept["data"] {
            Value::Null => kept["text"] == self.text.as_str(),
            data => serde_json::from_str::<Value>(&self.text).is_ok_and(|told| told == *data),
        };
        if same {
            return Ok(());
        }
        Err(Failure::new(format!(
            "{name}: what was told is not what is kept\n  told  {}\n  kept  {kept}",
            self.text
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(cursor: u64, offset: u64, text: &str) -> Value {
        json!({"type": "event", "cursor": cursor, "event": "content.delta", "data": {"text": text, "offset": offset}})
    }

    #[test]
    fn pieces_are_put_together_and_one_that_comes_twice_counts_once() {
        let mut heard = Heard::default();
        for frame in [
            delta(1, 0, "Año"),
            delta(2, 3, " nuevo"),
            delta(2, 3, " nuevo"),
        ] {
            assert!(!heard.take(&frame).unwrap());
        }

        let done = json!({"type": "event", "cursor": 3, "event": "content.done", "data": {}});

        assert!(heard.take(&done).unwrap());
        heard
            .require_same("text", &json!({"text": "Año nuevo"}))
            .unwrap();
        heard
            .require_same("text", &json!({"text": "Año viejo"}))
            .unwrap_err();
    }

    #[test]
    fn a_piece_that_is_missing_is_noticed_and_so_is_a_gap_and_a_failure() {
        let failed = json!({"type": "event", "cursor": 1, "event": "content.failed", "data": {}});
        let gap = json!({"type": "gap", "channel": "content:con_1", "from": 1, "to": 2});

        for frame in [delta(2, 3, "nuevo"), gap, failed] {
            Heard::default().take(&frame).unwrap_err();
        }
    }

    #[test]
    fn an_object_is_the_same_however_it_is_spaced() {
        let heard = Heard {
            text: "{ \"name\": \"Rye\" }".to_owned(),
            ..Heard::default()
        };

        heard
            .require_same("JSON", &json!({"data": {"name": "Rye"}}))
            .unwrap();
        heard
            .require_same("JSON", &json!({"data": {"name": "Oat"}}))
            .unwrap_err();
    }
}
