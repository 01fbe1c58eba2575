//! Everything that can happen, on one screen.
//!
//! Variants are added, never changed; a consumer ignores a type that it does not know. Events carry
//! ids, not people: whoever needs a name or an address reads it where it is kept, so that queues,
//! dead letters and logs hold nothing that an erasure would have to find.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{
    ApiKey, Batch, Collection, CollectionDocument, Content, Document, Draft, File, Happening, Id,
    Job, Organisation, Session, Template, User,
};

/// What happened, with the values that a consumer decides on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// A person signed up; the address is not confirmed yet.
    #[serde(rename = "auth.user_signed_up")]
    UserSignedUp {
        /// Who.
        user: Id<User>,
    },
    /// A person proved that the address is theirs.
    #[serde(rename = "auth.user_confirmed")]
    UserConfirmed {
        /// Who.
        user: Id<User>,
    },
    /// A session ended before its time.
    #[serde(rename = "auth.session_revoked")]
    SessionRevoked {
        /// Whose.
        user: Id<User>,
        /// Which; none means all of them.
        session: Option<Id<Session>>,
    },
    /// A refresh token came back that its rightful holder had already exchanged: the session was ended.
    #[serde(rename = "auth.refresh_reuse")]
    RefreshReuse {
        /// Whose.
        user: Id<User>,
        /// Which session.
        session: Id<Session>,
    },
    /// A password was set anew through a code.
    #[serde(rename = "auth.password_changed")]
    PasswordChanged {
        /// Whose.
        user: Id<User>,
    },
    /// A key was made for a program.
    #[serde(rename = "auth.api_key_created")]
    ApiKeyCreated {
        /// Which.
        key: Id<ApiKey>,
        /// Who made it.
        user: Id<User>,
    },
    /// A key was changed: its name, what it may do, or its secret.
    #[serde(rename = "auth.api_key_changed")]
    ApiKeyChanged {
        /// Which.
        key: Id<ApiKey>,
        /// Who changed it.
        user: Id<User>,
        /// The names of what changed.
        fields: Vec<String>,
    },
    /// A key was revoked: it opens nothing any more.
    #[serde(rename = "auth.api_key_revoked")]
    ApiKeyRevoked {
        /// Which.
        key: Id<ApiKey>,
        /// Who revoked it.
        user: Id<User>,
    },
    /// A profile and its personal organisation exist.
    #[serde(rename = "users.created")]
    UserCreated {
        /// Who.
        user: Id<User>,
        /// The personal organisation.
        organisation: Id<Organisation>,
    },
    /// A person changed their profile.
    #[serde(rename = "users.updated")]
    UserUpdated {
        /// Who.
        user: Id<User>,
        /// The names of the fields that changed.
        fields: Vec<String>,
    },
    /// A document is ready.
    #[serde(rename = "documents.rendered")]
    DocumentRendered {
        /// Which.
        document: Id<Document>,
        /// The template's name.
        template: String,
        /// `pdf`, `docx`, `xlsx` or `html`.
        format: String,
        /// Pages; 0 if the format has none.
        pages: u32,
        /// Octets of the file.
        bytes: u64,
    },
    /// A document was deleted.
    #[serde(rename = "documents.deleted")]
    DocumentDeleted {
        /// Which.
        document: Id<Document>,
    },
    /// A file has arrived whole; nobody can download it before it was looked at.
    #[serde(rename = "files.uploaded")]
    FileUploaded {
        /// Which.
        file: Id<File>,
        /// Its media type.
        content_type: String,
        /// Its octets.
        bytes: u64,
    },
    /// A file was looked at.
    #[serde(rename = "files.scanned")]
    FileScanned {
        /// Which.
        file: Id<File>,
        /// `clean`, `infected`, `quarantined` or `error`.
        verdict: String,
    },
    /// A file carries something harmful; `files.scanned` says so too.
    #[serde(rename = "files.infected")]
    FileInfected {
        /// Which.
        file: Id<File>,
        /// What the scanner calls it.
        threat: String,
    },
    /// A file was deleted.
    #[serde(rename = "files.deleted")]
    FileDeleted {
        /// Which.
        file: Id<File>,
    },
    /// An organisation's files have reached 80 % of what they may take up.
    #[serde(rename = "files.quota_80")]
    FilesQuotaNear {
        /// What they take up, in octets.
        bytes: u64,
        /// What they may take up, in octets.
        quota: u64,
    },
    /// A model made a text or an object.
    #[serde(rename = "content.generated")]
    ContentGenerated {
        /// Which.
        content: Id<Content>,
        /// The model that made it.
        model: String,
        /// Tokens that went in.
        input_tokens: u64,
        /// Tokens that came out.
        output_tokens: u64,
        /// What it cost, in millionths of the currency's unit; nothing if no price is known.
        cost_micros: Option<i64>,
        /// ISO 4217.
        currency: String,
    },
    /// A guardrail stopped what went to a model or came from it.
    #[serde(rename = "content.blocked")]
    ContentBlocked {
        /// What was to be made.
        content: Id<Content>,
        /// `input` or `output`.
        side: String,
        /// Which guardrail: `blocked_term` or `moderation`.
        rule: String,
    },
    /// Four fifths of a budget are used.
    #[serde(rename = "content.budget_80")]
    BudgetLow {
        /// `org`, `user:usr_…`, `key:key_…` or `model:…`.
        scope: String,
    },
    /// A budget has no room for what was asked.
    #[serde(rename = "content.budget_exhausted")]
    BudgetExhausted {
        /// `org`, `user:usr_…`, `key:key_…` or `model:…`.
        scope: String,
    },
    /// A label of a prompt was set to a version.
    #[serde(rename = "content.prompt_published")]
    PromptPublished {
        /// The prompt's name.
        prompt: String,
        /// The version.
        version: u32,
        /// The label, for example `live`.
        label: String,
        /// Who set it.
        user: Id<User>,
    },
    /// The questions of a batch of texts lie ready to be asked, or to be given up.
    #[serde(rename = "content.batch_queued")]
    TextsQueued {
        /// Which.
        batch: Id<Batch>,
    },
    /// Every text of a batch is there, has failed or was cancelled.
    #[serde(rename = "content.batch_done")]
    TextsDone {
        /// Which.
        batch: Id<Batch>,
        /// Texts that are there.
        done: u32,
        /// Texts that are not.
        failed: u32,
        /// Texts that were not begun.
        cancelled: u32,
    },
    /// The data of a draft was written, or will not be: the answer can be read.
    #[serde(rename = "content.draft_answered")]
    DraftAnswered {
        /// Which.
        draft: Id<Draft>,
    },
    /// A job over texts came to its end, and one of them has an answer at least.
    #[serde(rename = "ai.job_done")]
    AiJobDone {
        /// Which.
        job: Id<Job>,
        /// What was done: `summarise`, `classify`, …
        task: String,
        /// Texts that have an answer.
        done: u32,
        /// Texts that have none.
        failed: u32,
    },
    /// A job over texts came to its end without any answer.
    #[serde(rename = "ai.job_failed")]
    AiJobFailed {
        /// Which.
        job: Id<Job>,
        /// What was to be done: `summarise`, `classify`, …
        task: String,
        /// The code of the problem that the last text had.
        code: String,
    },
    /// A document of a collection can be found, as it is now.
    #[serde(rename = "ai.document_ready")]
    AiDocumentReady {
        /// Whose.
        collection: Id<Collection>,
        /// Which.
        document: Id<CollectionDocument>,
        /// Passages that it has.
        passages: u32,
        /// Passages that have a vector.
        embedded: u32,
    },
    /// A document of a collection could not be read.
    #[serde(rename = "ai.document_failed")]
    AiDocumentFailed {
        /// Whose.
        collection: Id<Collection>,
        /// Which.
        document: Id<CollectionDocument>,
        /// The code of the problem.
        code: String,
    },
    /// A document that takes long was taken on.
    #[serde(rename = "documents.queued")]
    DocumentQueued {
        /// Which.
        document: Id<Document>,
    },
    /// A model is to write the data of a document: the wish can be read.
    #[serde(rename = "documents.draft_queued")]
    DraftQueued {
        /// Which.
        draft: Id<Draft>,
    },
    /// The rows of a batch lie ready to be made into documents.
    #[serde(rename = "documents.batch_queued")]
    BatchQueued {
        /// Which.
        batch: Id<Batch>,
        /// 1 for all rows; each retry of the failed ones counts one more.
        attempt: u32,
    },
    /// Every row of a batch is a document, has failed or was cancelled.
    #[serde(rename = "documents.batch_done")]
    BatchDone {
        /// Which.
        batch: Id<Batch>,
        /// Which attempt came to its end.
        attempt: u32,
        /// Rows that are documents.
        ready: u32,
        /// Rows that could not be one.
        failed: u32,
        /// Rows that were not begun.
        cancelled: u32,
    },
    /// A template has one more version; with the first of them the template itself came to be.
    #[serde(rename = "documents.template_version_added")]
    TemplateVersionAdded {
        /// Which template.
        template: Id<Template>,
        /// The new version.
        version: u32,
        /// SHA-256 of its content in lower-case hexadecimal.
        sha256: String,
    },
    /// From now on documents are made with another version of a template.
    #[serde(rename = "documents.template_published")]
    TemplatePublished {
        /// Which template.
        template: Id<Template>,
        /// The version that is live now.
        version: u32,
        /// The one that was live before, if any.
        previous: Option<u32>,
        /// Who published it.
        by: Id<User>,
    },
    /// A template was deleted with all its versions.
    #[serde(rename = "documents.template_deleted")]
    TemplateDeleted {
        /// Which.
        template: Id<Template>,
    },
}

impl Event {
    /// The capability that announces it: what stands before the dot of its type.
    pub fn source(&self) -> &'static str {
        match self {
            Self::UserSignedUp { .. }
            | Self::UserConfirmed { .. }
            | Self::SessionRevoked { .. }
            | Self::RefreshReuse { .. }
            | Self::PasswordChanged { .. }
            | Self::ApiKeyCreated { .. }
            | Self::ApiKeyChanged { .. }
            | Self::ApiKeyRevoked { .. } => "auth",
            Self::UserCreated { .. } | Self::UserUpdated { .. } => "users",
            Self::FileUploaded { .. }
            | Self::FileScanned { .. }
            | Self::FileInfected { .. }
            | Self::FileDeleted { .. }
            | Self::FilesQuotaNear { .. } => "files",
            Self::ContentGenerated { .. }
            | Self::ContentBlocked { .. }
            | Self::BudgetLow { .. }
            | Self::BudgetExhausted { .. }
            | Self::PromptPublished { .. }
            | Self::DraftAnswered { .. }
            | Self::TextsQueued { .. }
            | Self::TextsDone { .. } => "content",
            Self::AiJobDone { .. }
            | Self::AiJobFailed { .. }
            | Self::AiDocumentReady { .. }
            | Self::AiDocumentFailed { .. } => "ai",
            Self::DocumentRendered { .. }
            | Self::DocumentDeleted { .. }
            | Self::DocumentQueued { .. }
            | Self::DraftQueued { .. }
            | Self::BatchQueued { .. }
            | Self::BatchDone { .. }
            | Self::TemplateVersionAdded { .. }
            | Self::TemplatePublished { .. }
            | Self::TemplateDeleted { .. } => "documents",
        }
    }

    /// Whether this build knows a type; a newer producer may announce more.
    pub fn is_known(name: &str) -> bool {
        Self::NAMES.contains(&name)
    }

    /// Every type that this build knows.
    pub const NAMES: &[&'static str] = &[
        "auth.user_signed_up",
        "auth.user_confirmed",
        "auth.session_revoked",
        "auth.refresh_reuse",
        "auth.password_changed",
        "auth.api_key_created",
        "auth.api_key_changed",
        "auth.api_key_revoked",
        "users.created",
        "users.updated",
        "documents.rendered",
        "documents.deleted",
        "files.uploaded",
        "files.scanned",
        "files.infected",
        "files.deleted",
        "files.quota_80",
        "content.generated",
        "content.blocked",
        "content.budget_80",
        "content.budget_exhausted",
        "content.prompt_published",
        "content.draft_answered",
        "content.batch_queued",
        "content.batch_done",
        "ai.job_done",
        "ai.job_failed",
        "ai.document_ready",
        "ai.document_failed",
        "documents.queued",
        "documents.draft_queued",
        "documents.batch_queued",
        "documents.batch_done",
        "documents.template_version_added",
        "documents.template_published",
        "documents.template_deleted",
    ];

    /// The type as it stands on the wire, for example `auth.user_confirmed`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::UserSignedUp { .. } => "auth.user_signed_up",
            Self::UserConfirmed { .. } => "auth.user_confirmed",
            Self::SessionRevoked { .. } => "auth.session_revoked",
            Self::RefreshReuse { .. } => "auth.refresh_reuse",
            Self::PasswordChanged { .. } => "auth.password_changed",
            Self::ApiKeyCreated { .. } => "auth.api_key_created",
            Self::ApiKeyChanged { .. } => "auth.api_key_changed",
            Self::ApiKeyRevoked { .. } => "auth.api_key_revoked",
            Self::UserCreated { .. } => "users.created",
            Self::UserUpdated { .. } => "users.updated",
            Self::DocumentRendered { .. } => "documents.rendered",
            Self::DocumentDeleted { .. } => "documents.deleted",
            Self::FileUploaded { .. } => "files.uploaded",
            Self::FileScanned { .. } => "files.scanned",
            Self::FileInfected { .. } => "files.infected",
            Self::FileDeleted { .. } => "files.deleted",
            Self::FilesQuotaNear { .. } => "files.quota_80",
            Self::ContentGenerated { .. } => "content.generated",
            Self::ContentBlocked { .. } => "content.blocked",
            Self::BudgetLow { .. } => "content.budget_80",
            Self::BudgetExhausted { .. } => "content.budget_exhausted",
            Self::PromptPublished { .. } => "content.prompt_published",
            Self::DraftAnswered { .. } => "content.draft_answered",
            Self::TextsQueued { .. } => "content.batch_queued",
            Self::TextsDone { .. } => "content.batch_done",
            Self::AiJobDone { .. } => "ai.job_done",
            Self::AiJobFailed { .. } => "ai.job_failed",
            Self::AiDocumentReady { .. } => "ai.document_ready",
            Self::AiDocumentFailed { .. } => "ai.document_failed",
            Self::DocumentQueued { .. } => "documents.queued",
            Self::DraftQueued { .. } => "documents.draft_queued",
            Self::BatchQueued { .. } => "documents.batch_queued",
            Self::BatchDone { .. } => "documents.batch_done",
            Self::TemplateVersionAdded { .. } => "documents.template_version_added",
            Self::TemplatePublished { .. } => "documents.template_published",
            Self::TemplateDeleted { .. } => "documents.template_deleted",
        }
    }
}

/// An event with where it comes from; it travels whole as the `detail` of an `EventBridge` entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// The same in every delivery: what a consumer remembers.
    pub id: Id<Happening>,
    /// When it happened.
    pub time: Timestamp,
    /// The version of the shape of `data`; 1 until a variant needs a second.
    pub version: u32,
    /// The tenant that it happened in.
    pub org: Id<Organisation>,
    /// W3C `traceparent` of the request that caused it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trace: Option<String>,
    /// The event that caused this one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub causation: Option<Id<Happening>>,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use uuid::Uuid;

    fn every_event() -> Vec<Event> {
        let user = Id::new(Uuid::from_u128(1));
        let session = Id::new(Uuid::from_u128(2));
        let organisation = Id::new(Uuid::from_u128(3));
        let document = Id::new(Uuid::from_u128(4));
        let file = Id::new(Uuid::from_u128(5));
        let content = Id::new(Uuid::from_u128(5));
        let template = Id::new(Uuid::from_u128(7));
        let key = Id::new(Uuid::from_u128(8));
        let mut events = vec![
            Event::UserSignedUp { user },
            Event::UserConfirmed { user },
            Event::SessionRevoked {
                user,
                session: Some(session),
            },
            Event::RefreshReuse { user, session },
            Event::PasswordChanged { user },
            Event::ApiKeyCreated { key, user },
            Event::ApiKeyChanged {
                key,
                user,
                fields: vec!["secret".into()],
            },
            Event::ApiKeyRevoked { key, user },
            Event::UserCreated { user, organisation },
            Event::UserUpdated {
                user,
                fields: vec!["name".into()],
            },
            Event::DocumentRendered {
                document,
                template: "invoice".into(),
                format: "pdf".into(),
                pages: 2,
                bytes: 9,
            },
            Event::DocumentDeleted { document },
            Event::FileUploaded {
                file,
                content_type: "application/pdf".into(),
                bytes: 9,
            },
            Event::FileScanned {
                file,
                verdict: "infected".into(),
            },
            Event::FileInfected {
                file,
                threat: "EICAR-Test-File".into(),
            },
            Event::FileDeleted { file },
            Event::FilesQuotaNear {
                bytes: 8,
                quota: 10,
            },
            Event::ContentGenerated {
                content,
                model: "small".into(),
                input_tokens: 10,
                output_tokens: 20,
                cost_micros: Some(30),
                currency: "USD".into(),
            },
            Event::ContentBlocked {
                content,
                side: "output".into(),
                rule: "blocked_term".into(),
            },
            Event::BudgetLow {
                scope: "org".into(),
            },
            Event::BudgetExhausted {
                scope: "org".into(),
            },
            Event::PromptPublished {
                prompt: "welcome".into(),
                version: 2,
                label: "live".into(),
                user,
            },
            Event::DocumentQueued { document },
            Event::TemplateVersionAdded {
                template,
                version: 2,
                sha256: "00".repeat(32),
            },
            Event::TemplatePublished {
                template,
                version: 2,
                previous: Some(1),
                by: user,
            },
            Event::TemplateDeleted { template },
        ];
        events.extend(events_of_slow_work());
        events
    }

    fn events_of_slow_work() -> [Event; 10] {
        let (collection, document) = (Id::new(Uuid::from_u128(10)), Id::new(Uuid::from_u128(11)));
        let job = Id::new(Uuid::from_u128(9));
        let batch = Id::new(Uuid::from_u128(6));
        let draft = Id::new(Uuid::from_u128(10));
        [
            Event::DraftQueued { draft },
            Event::DraftAnswered { draft },
            Event::TextsQueued { batch },
            Event::TextsDone {
                batch,
                done: 8,
                failed: 1,
                cancelled: 1,
            },
            Event::BatchQueued { batch, attempt: 1 },
            Event::BatchDone {
                batch,
                attempt: 1,
                ready: 99,
                failed: 1,
                cancelled: 0,
            },
            Event::AiJobDone {
                job,
                task: "classify".into(),
                done: 2,
                failed: 1,
            },
            Event::AiJobFailed {
                job,
                task: "classify".into(),
                code: "model_timed_out".into(),
            },
            Event::AiDocumentReady {
                collection,
                document,
                passages: 3,
                embedded: 2,
            },
            Event::AiDocumentFailed {
                collection,
                document,
                code: "document_unreadable".into(),
            },
        ]
    }

    #[test]
    fn the_name_of_an_event_is_its_type_on_the_wire() {
        assert_eq!(every_event().len(), Event::NAMES.len());
        for event in every_event() {
            let wire = serde_json::to_value(&event).unwrap();

            assert_eq!(wire["type"], event.name());
            assert!(Event::is_known(event.name()));
            assert!(event.name().starts_with(event.source()));
        }
    }

    #[test]
    fn an_envelope_keeps_the_shape_that_old_messages_have() {
        let wire = json!({
            "id": "evt_00000000000000000000000000000009",
            "time": "2026-01-02T03:04:05Z",
            "version": 1,
            "org": "org_00000000000000000000000000000003",
            "trace": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "type": "users.created",
            "data": {
                "user": "usr_00000000000000000000000000000001",
                "organisation": "org_00000000000000000000000000000003"
            }
        });

        let envelope: Envelope = serde_json::from_value(wire.clone()).unwrap();

        assert_eq!(serde_json::to_value(&envelope).unwrap(), wire);
    }
}
