//! Makes a text: begins its record, asks a model, looks at the answer, ends the record.
//!
//! What can go wrong in between is thought of here:
//!
//! * **The same request again** (an `Idempotency-Key`, a lost answer) carries the same id. It finds the
//!   record: a text that is done is given again and no model is asked; one that is being made is a 409.
//! * **The process dies while a model talks.** The money that was set aside is charged when its time is
//!   up, because a provider may bill what nobody heard. A caller who sends the same request again gets a
//!   new attempt with a new call; a job of the queue is not begun a second time by itself ([`crate::stream`]).
//! * **An acknowledgement is lost.** The row is read back and compared with what was to be written.

use domain::id::{Content as ContentKind, Organisation};
use domain::{Event, Id, Locale};
use jiff::{SignedDuration, Timestamp};
use models::reply::{Completion, Finish};
use models::request::{ChatRequest, Message, Schema};
use models::{Gateway, ModelError, Spender};
use ports::table::{If, Item, Write, WriteError};
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

use crate::ask::Ask;
use crate::failure::{Failure, Side};
use crate::guard::pii::Redaction;
use crate::guard::{Guardrails, TERMS, clean};
use crate::record::{Cost, Held, Record, Status, Usage, key, request_key};
use crate::rewrite::lost;
use crate::voice::VoiceText;
use crate::{Content, ContentError};

/// How long the same question may be answered from memory, where a request allows it.
const CACHED: Duration = Duration::from_hours(1);

/// What is kept back from a request's time for ending its record.
const RESERVE: SignedDuration = SignedDuration::from_millis(700);

/// Places of an answer that are against its voice: no more are kept.
const MOST_VIOLATIONS: usize = 50;

/// How often a row that ends a record is written before that is given up: what it holds has been paid.
const TRIES: u32 = 3;

/// What is needed to ask a model and to judge its answer.
#[derive(Default)]
pub struct Prepared {
    /// What the model is asked, without personal data if that was wanted.
    pub request: ChatRequest,
    /// What stands for that data.
    pub redaction: Redaction,
    /// The organisation's rules.
    pub rules: Guardrails,
    /// The voice, if the request names one that is still there.
    pub voice: Option<VoiceText>,
}

/// How it ended.
#[derive(Clone)]
pub enum Outcome {
    /// With an answer.
    Made(Box<Completion>),
    /// Without one, after this was spent.
    Failed(Failure, Option<Cost>),
    /// It was stopped; what there is came by then.
    Stopped(Box<Completion>),
    /// This guardrail stopped it.
    Blocked(Box<Completion>, &'static str),
    /// It was stopped and there is nothing of it, after this was spent.
    Spent(Cost),
}

/// What a model was asked for, whose right it is to end the record, and who is told.
pub enum Begun {
    /// This call may ask a model.
    Mine(Held),
    /// An earlier attempt of the same request came to its end.
    Over(Held),
}

impl Content {
    /// Makes a text at once.
    ///
    /// # Errors
    /// [`ContentError::Failed`] with the reason, [`ContentError::InProgress`] if the same request is being
    /// worked on, a port's failure.
    pub async fn make(
        &self,
        spender: &Spender,
        id: Id<ContentKind>,
        ask: &Ask,
        reader: Locale,
        deadline: Timestamp,
    ) -> Result<Record, ContentError> {
        let org = spender.org;
        let gateway = self.targets.gateway().await?;
        let prepared = self.prepare(org, id, ask).await?;
        let fresh = self.record(spender, id, ask, reader);
        let held = match self.begin(org, fresh, deadline).await? {
            Begun::Mine(held) => held,
            Begun::Over(held) => return given_again(held.record),
        };
        let until = deadline.saturating_sub(RESERVE).unwrap_or(deadline);
        let call = held.record.call.unwrap_or_else(Uuid::nil);
        let outcome = if let Err(failure) = self.admitted(gateway, &prepared, until).await {
            Outcome::Failed(failure, None)
        } else {
            let answer = gateway
                .complete(spender, call, &prepared.request, until)
                .await;
            match answer {
                Ok(completion) => self.looked_at(gateway, &prepared, completion, until).await,
                Err(error) => self.reason(org, gateway, call, error).await?,
            }
        };
        let outcome = match outcome {
            Outcome::Failed(failure, None) if failure.is_refusal() => {
                self.forget(&held).await;
                return Err(failure.into());
            }
            outcome => outcome,
        };
        let record = self.end(org, held, ask, &prepared, outcome).await?.record;
        given_again(record)
    }

    /// Everything that is done before a model is asked: the guardrails, and the request itself.
    ///
    /// # Errors
    /// [`Failure::Blocked`], a port's failure.
    pub async fn prepare(
        &self,
        org: Id<Organisation>,
        id: Id<ContentKind>,
        ask: &Ask,
    ) -> Result<Prepared, ContentError> {
        let rules = self.guardrails(org).await?;
        if rules.blocks(&ask.user, &ask.locale) {
            let failure = self.blocked(org, id, Side::Input, TERMS).await?;
            return Err(failure.into());
        }
        let voice = match ask.voice {
            None => None,
            Some(voice) => match self.voice(org, voice).await {
                Ok((voice, _)) => Some(voice.text),
                // Deleted since the request was taken on; what it says is in the request already.
                Err(ContentError::NotFound) => None,
                Err(error) => return Err(error),
            },
        };
        let mut redaction = Redaction::default();
        let mut told = |text: &String| {
            if ask.redact {
                redaction.redact(text)
            } else {
                text.clone()
            }
        };
        let system = ask.system.as_ref().map(|text| Message::system(told(text)));
        let user = Message::user(told(&ask.user));
        let request = ChatRequest {
            model: ask.model.clone(),
            messages: system.into_iter().chain([user]).collect(),
            max_tokens: ask.max_tokens,
            temperature: ask.temperature,
            seed: ask.seed,
            schema: ask.schema.clone().map(|schema| Schema {
                name: "data".to_owned(),
                schema,
                strict: false,
            }),
            cache: ask.cache.then_some(CACHED),
            ..ChatRequest::default()
        };
        Ok(Prepared {
            request,
            redaction,
            rules,
            voice,
        })
    }

    /// Whether what is asked may go to a model, by the moderation that the organisation wants.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn admitted(
        &self,
        gateway: &Gateway,
        prepared: &Prepared,
        deadline: Timestamp,
    ) -> Result<(), Failure> {
        let asked = prepared.request.messages.iter().map(Message::text);
        let asked: Vec<String> = asked.collect();
        self.moderated(gateway, &prepared.rules, &asked, Side::Input, deadline)
            .await
    }

    /// An answer after moderation, which sees it without the personal data that was replaced.
    pub(crate) async fn looked_at(
        &self,
        gateway: &Gateway,
        prepared: &Prepared,
        completion: Completion,
        deadline: Timestamp,
    ) -> Outcome {
        let told = std::slice::from_ref(&completion.text);
        let verdict = self
            .moderated(gateway, &prepared.rules, told, Side::Output, deadline)
            .await;
        match verdict {
            Ok(()) => Outcome::Made(Box::new(completion)),
            Err(Failure::Blocked { rule, .. }) => Outcome::Blocked(Box::new(completion), rule),
            Err(failure) => Outcome::Failed(failure, Some(cost_of(&completion))),
        }
    }

    /// Announces that a guardrail stopped something.
    pub(crate) async fn blocked(
        &self,
        org: Id<Organisation>,
        content: Id<ContentKind>,
        side: Side,
        rule: &'static str,
    ) -> Result<Failure, ContentError> {
        let event = Event::ContentBlocked {
            content,
            side: side.name().to_owned(),
            rule: rule.to_owned(),
        };
        self.table.write(vec![self.event(org, event)]).await?;
        Ok(Failure::Blocked { side, rule })
    }

    /// The first state of a record.
    pub fn record(
        &self,
        spender: &Spender,
        id: Id<ContentKind>,
        ask: &Ask,
        reader: Locale,
    ) -> Record {
        Record {
            id,
            kind: ask.kind,
            status: Status::Running,
            text: None,
            data: None,
            edition: 1,
            model: None,
            target: None,
            usage: None,
            cost: None,
            cached: false,
            finish: None,
            template: ask.template.clone(),
            voice: ask.voice,
            locale: ask.locale.clone(),
            violations: Vec::new(),
            problem: None,
            reader,
            lease: None,
            call: None,
            created_by: spender.user,
            key: spender.key,
            created_at: self.clock.now(),
            finished_at: None,
        }
    }

    /// Takes the right to make a text until a moment, or finds that it was made.
    async fn begin(
        &self,
        org: Id<Organisation>,
        fresh: Record,
        until: Timestamp,
    ) -> Result<Begun, ContentError> {
        let now = self.clock.now();
        let call = self.ids.uuid(now);
        let id = fresh.id;
        let leased = |record: Record| Record {
            status: Status::Running,
            problem: None,
            finished_at: None,
            lease: Some(until),
            call: Some(call),
            ..record
        };
        let record = leased(fresh);
        let row = Item::new(key(org, id), &record);
        let refused = match self
            .table
            .write(vec![Write::Put(row.clone(), If::Absent)])
            .await
        {
            Ok(()) => return Ok(Begun::Mine(Held { row, record })),
            Err(error) => error,
        };
        let Some(found) = self.find(org, id).await? else {
            return Err(refused.into());
        };
        if found.record.call == Some(call) {
            return Ok(Begun::Mine(found));
        }
        match found.record.status {
            Status::Done => return Ok(Begun::Over(found)),
            Status::Running if found.record.is_leased(now) => return Err(ContentError::InProgress),
            Status::Cancelled => return Err(ContentError::NotNow(Status::Cancelled)),
            Status::Running | Status::Failed => {}
        }
        let record = leased(found.record.clone());
        let row = found.row.next(&record);
        let parts = vec![Write::Put(row.clone(), If::VersionIs(found.version()))];
        match self.table.write(parts).await {
            Ok(()) => Ok(Begun::Mine(Held { row, record })),
            Err(WriteError::Condition(_) | WriteError::Conflict) => Err(ContentError::InProgress),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes back the record of a request that was refused before anybody was asked. One that cannot be taken
    /// back now is taken over by the next attempt of the request, or found to be lost.
    async fn forget(&self, held: &Held) {
        let parts = vec![Write::Delete(
            held.row.key.clone(),
            If::VersionIs(held.version()),
        )];
        if let Err(error) = self.table.write(parts).await {
            tracing::warn!(%error, "the record of a refused request stays");
        }
    }

    /// What a failed call means, and what is announced of it.
    ///
    /// # Errors
    /// A port's failure; the record stays as it is then, and the next attempt takes it over.
    pub(crate) async fn reason(
        &self,
        org: Id<Organisation>,
        gateway: &Gateway,
        call: Uuid,
        error: ModelError,
    ) -> Result<Outcome, ContentError> {
        let failure: Failure = match error {
            ModelError::Port(error) => return Err(error.into()),
            ModelError::Exhausted { scope, first, .. } => {
                let scope = scope.to_string();
                if first {
                    let event = Event::BudgetExhausted {
                        scope: scope.clone(),
                    };
                    self.table.write(vec![self.event(org, event)]).await?;
                }
                models::Failure::Budget { scope }.into()
            }
            error => models::Failure::from(&error).into(),
        };
        tracing::info!(
            code = failure.problem().code().code,
            "a model gave no answer"
        );
        // What endpoints billed all the same; the books know it even if this answer does not.
        let record = gateway.ledger().call(org, call).await.ok().flatten();
        let spent = record
            .filter(|record| record.micros > 0)
            .map(|record| Cost {
                amount_micros: Some(record.micros),
                currency: record.currency,
            });
        Ok(Outcome::Failed(failure, spent))
    }

    /// Ends a record: the answer is looked at, and written with what it announces.
    ///
    /// # Errors
    /// [`ContentError::VersionMismatch`] if the right to it was lost in the meantime, a port's failure.
    pub(crate) async fn end(
        &self,
        org: Id<Organisation>,
        held: Held,
        ask: &Ask,
        prepared: &Prepared,
        outcome: Outcome,
    ) -> Result<Held, ContentError> {
        let now = self.clock.now();
        let (record, events) = ended(held.record.clone(), now, ask, prepared, outcome);
        let row = held.row.next(&record);
        let mut tries = 0;
        loop {
            let mut parts = vec![Write::Put(row.clone(), If::VersionIs(held.version()))];
            parts.extend(events.iter().map(|event| self.event(org, event.clone())));
            parts.push(Write::Delete(request_key(org, record.id), If::Always));
            parts.extend(self.answer(org, &record));
            let error = match self.table.write(parts).await {
                Ok(()) => return Ok(Held { row, record }),
                Err(error) => error,
            };
            tries += 1;
            // Either a lost acknowledgement, or somebody else's row; the two look the same from here.
            if let Ok(Some(found)) = self.find(org, record.id).await
                && found.version() != held.version()
            {
                return if found.record.call == record.call && found.record.status == record.status {
                    Ok(found)
                } else {
                    Err(ContentError::VersionMismatch)
                };
            }
            if tries == TRIES {
                return Err(error.into());
            }
            self.clock.sleep(Duration::from_millis(100 << tries)).await;
        }
    }
}

/// The text, or why there is none.
fn given_again(record: Record) -> Result<Record, ContentError> {
    match record.problem {
        Some(kept) if record.status == Status::Failed => Err(ContentError::Ended(Box::new(kept))),
        _ => Ok(record),
    }
}

/// Who pays for a record.
pub(crate) fn spender_of(record: &Record, org: Id<Organisation>) -> Spender {
    Spender {
        org,
        user: record.created_by,
        key: record.key,
    }
}

/// The record after its end, and what is announced with it.
fn ended(
    record: Record,
    now: Timestamp,
    ask: &Ask,
    prepared: &Prepared,
    outcome: Outcome,
) -> (Record, Vec<Event>) {
    let record = Record {
        lease: None,
        finished_at: Some(now),
        ..record
    };
    match outcome {
        Outcome::Failed(failure, spent) => {
            let events = match &failure {
                Failure::Blocked { side, rule } => vec![stopped_by(record.id, *side, rule)],
                _ => Vec::new(),
            };
            let failed = Record {
                status: Status::Failed,
                problem: Some(failure.kept()),
                cost: spent,
                ..record
            };
            (failed, events)
        }
        Outcome::Stopped(completion) => {
            let text = Some(prepared.redaction.restore(&clean(&completion.text)));
            let events = announcements(&record, &completion);
            let fine =
                |text: &String| !text.is_empty() && !prepared.rules.blocks(text, &ask.locale);
            let stopped = Record {
                status: Status::Cancelled,
                text: text.filter(fine),
                ..told(record, &completion)
            };
            (stopped, events)
        }
        Outcome::Spent(cost) => {
            let stopped = Record {
                status: Status::Cancelled,
                cost: Some(cost),
                ..record
            };
            (stopped, Vec::new())
        }
        Outcome::Blocked(completion, rule) => {
            let events = announcements(&record, &completion);
            let failure = Failure::Blocked {
                side: Side::Output,
                rule,
            };
            unfit(told(record, &completion), events, &failure)
        }
        Outcome::Made(completion) => {
            let events = announcements(&record, &completion);
            let made = told(record, &completion);
            let restored = prepared.redaction.restore(&clean(&completion.text));
            let judged = judge(ask, prepared, &completion, &restored);
            if let Err(failure) = judged {
                unfit(made, events, &failure)
            } else {
                let data = completion
                    .data
                    .map(|data| restored_in(data, &prepared.redaction));
                let voice = prepared.voice.as_ref();
                let violations = voice.map(|voice| voice.violations(&restored, &ask.locale));
                let done = Record {
                    status: Status::Done,
                    text: data.is_none().then_some(restored),
                    data,
                    violations: violations
                        .unwrap_or_default()
                        .into_iter()
                        .take(MOST_VIOLATIONS)
                        .collect(),
                    ..made
                };
                (done, events)
            }
        }
    }
}

/// An answer that may not be shown, with what is announced of it.
fn unfit(made: Record, mut events: Vec<Event>, failure: &Failure) -> (Record, Vec<Event>) {
    if let Failure::Blocked { side, rule } = failure {
        events.push(stopped_by(made.id, *side, rule));
    }
    let failed = Record {
        status: Status::Failed,
        problem: Some(failure.kept()),
        ..made
    };
    (failed, events)
}

fn stopped_by(content: Id<ContentKind>, side: Side, rule: &str) -> Event {
    Event::ContentBlocked {
        content,
        side: side.name().to_owned(),
        rule: rule.to_owned(),
    }
}

const OUTPUT_BLOCKED: Failure = Failure::Blocked {
    side: Side::Output,
    rule: TERMS,
};

/// Whether an answer may be shown.
fn judge(
    ask: &Ask,
    prepared: &Prepared,
    completion: &Completion,
    text: &str,
) -> Result<(), Failure> {
    if completion.finish == Finish::ContentFilter {
        return Err(models::Failure::Filtered.into());
    }
    if prepared.rules.blocks(text, &ask.locale) {
        return Err(OUTPUT_BLOCKED);
    }
    let lost = lost(&ask.keep, text);
    if !ask.keep.is_empty() && !lost.is_empty() {
        return Err(Failure::PlaceholdersLost(lost));
    }
    Ok(())
}

fn told(record: Record, completion: &Completion) -> Record {
    Record {
        model: Some(completion.model.clone()),
        target: Some(completion.target.clone()),
        usage: Some(Usage {
            input_tokens: completion.usage.input,
            output_tokens: completion.usage.output,
            cached_input_tokens: completion.usage.cached,
            estimated: completion.usage.estimated,
        }),
        cost: Some(cost_of(completion)),
        cached: completion.cached,
        finish: Some(match completion.finish {
            Finish::Cancelled => "cancelled".to_owned(),
            finish => finish.name().to_owned(),
        }),
        ..record
    }
}

/// What an answer cost.
pub(crate) fn cost_of(completion: &Completion) -> Cost {
    Cost {
        amount_micros: Some(completion.cost.micros),
        currency: completion.cost.currency.clone(),
    }
}

fn announcements(record: &Record, completion: &Completion) -> Vec<Event> {
    let generated = Event::ContentGenerated {
        content: record.id,
        model: completion.model.clone(),
        input_tokens: completion.usage.input,
        output_tokens: completion.usage.output,
        cost_micros: Some(completion.cost.micros),
        currency: completion.cost.currency.clone(),
    };
    std::iter::once(generated)
        .chain(completion.notices.iter().map(crate::budgets::event_of))
        .collect()
}

/// The value with the personal data back in every text of it.
pub(crate) fn restored_in(value: Value, redaction: &Redaction) -> Value {
    match value {
        Value::String(text) => Value::String(redaction.restore(&clean(&text))),
        Value::Array(items) => items
            .into_iter()
            .map(|item| restored_in(item, redaction))
            .collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, item)| (name, restored_in(item, redaction)))
            .collect(),
        other => other,
    }
}
