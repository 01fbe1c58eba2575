//! Batches over memory ports and the real renderer: what is asked over HTTP, and messages that come twice, in
//! any order, and to workers that are killed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod brand;
mod cut;
mod drafts;
mod kills;
mod late;
mod story;
mod word;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use axum::Router;
use documents::batch::worker::{Told, Worker};
use documents::batch::{Batches, document_of};
use documents::brand::Logos;
use documents::queued::PATIENCE;
use documents::renderer::Renderer;
use documents::template::Template;
use documents::{Documents, api, batch_api};
use domain::id::{Batch, Organisation};
use domain::{Caller, Envelope, Event, Id, OrganisationRole, PlatformRole};
use ports::blobs::MemoryBlobs;
use ports::channels::{Channel, MemoryChannels};
use ports::clock::ManualClock;
use ports::ids::{Ids, SequentialIds};
use ports::outbox::Announced;
use ports::queue::MemoryQueue;
use ports::table::memory::MemoryTable;
use runtime::testing::{Answer, Call};
use runtime::{Api, Platform};
use serde_json::{Value, json};

/// The API and a worker with everything around them in memory.
struct World {
    router: Router,
    worker: Worker,
    answers: Arc<MemoryTable>,
    table: Arc<MemoryTable>,
    blobs: Arc<MemoryBlobs>,
    jobs: Arc<MemoryQueue>,
    channels: Arc<MemoryChannels>,
    clock: Arc<ManualClock>,
}

/// Messages on their way to the worker.
#[derive(Debug, Default)]
struct Mail(VecDeque<String>);

impl World {
    fn new() -> Self {
        Self::with(Renderer::new(env!("CARGO_BIN_EXE_documents-render")))
    }

    /// With another program that sets documents.
    fn with(renderer: Renderer) -> Self {
        let clock = ManualClock::at_text("2026-11-24T10:11:12Z");
        let (table, blobs) = (MemoryTable::shared(), MemoryBlobs::shared(clock.clone()));
        Self::over(table, blobs, clock, SequentialIds::shared(), renderer)
    }

    /// Another one over the same table and bucket.
    fn and(&self, renderer: Renderer) -> Self {
        let (table, blobs) = (self.table.clone(), self.blobs.clone());
        let ids = self.worker.batches.documents.ids.clone();
        Self::over(table, blobs, self.clock.clone(), ids, renderer)
    }

    fn over(
        table: Arc<MemoryTable>,
        blobs: Arc<MemoryBlobs>,
        clock: Arc<ManualClock>,
        ids: Arc<dyn Ids>,
        renderer: Renderer,
    ) -> Self {
        let (jobs, channels) = (MemoryQueue::shared(), MemoryChannels::shared());
        let documents = Arc::new(Documents {
            table: table.clone(),
            blobs: blobs.clone(),
            renderer,
            logos: Logos::default(),
            patience: PATIENCE,
            clock: clock.clone(),
            ids: ids.clone(),
        });
        let batches = Batches {
            documents: documents.clone(),
        };
        let platform = Platform {
            requests: MemoryTable::shared(),
            clock: clock.clone(),
            ids,
        };
        let routes = api::routes(documents).merge(batch_api::routes(batches.clone()));
        let api = Api::new(routes, platform).unwrap();
        let answers = MemoryTable::shared();
        let worker = Worker {
            batches,
            answers: answers.clone(),
            jobs: jobs.clone(),
            channels: channels.clone(),
            assembly: blobs.clone(),
            told: Told::default(),
        };
        Self {
            router: api.router(),
            worker,
            answers,
            table,
            blobs,
            jobs,
            channels,
            clock,
        }
    }

    async fn send(&self, call: Call) -> Answer {
        call.by(&caller(1)).send(&self.router).await
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.send(Call::get(path)).await;
        assert_eq!(answer.status.as_u16(), 200, "{path}: {}", answer.json());
        answer.json()
    }

    /// Takes a batch of letters on and gives its path.
    async fn batch(&self, rows: &[Value]) -> String {
        let body = json!({ "template": "letter", "format": "pdf", "rows": rows });
        let answer = self.send(Call::post("/v1/document-batches", &body)).await;
        assert_eq!(answer.status.as_u16(), 202, "{}", answer.json());
        format!(
            "/v1/document-batches/{}",
            answer.json()["id"].as_str().unwrap()
        )
    }

    /// Messages that have been sent since the last time: events of the outbox as a rule of the bus sends
    /// them, and orders.
    fn collect(&self, mail: &mut Mail) {
        for row in self.table.take_changes() {
            let Ok(Announced { envelope }) = row.parse() else {
                continue;
            };
            let wanted = matches!(
                envelope.event,
                Event::BatchQueued { .. } | Event::BatchDone { .. } | Event::DocumentQueued { .. }
            );
            if wanted {
                mail.0.push_back(notification(&envelope));
            }
        }
        mail.0
            .extend(self.jobs.drain().into_iter().map(|message| message.body));
    }

    /// Delivers every message until none is left; one that was not done comes again.
    async fn settle(&self) {
        let mut mail = Mail::default();
        for _ in 0..10_000 {
            self.collect(&mut mail);
            let Some(body) = mail.0.pop_front() else {
                return;
            };
            if self.worker.once(&body).await.is_err() {
                mail.0.push_back(body);
            }
        }
        panic!("messages without end");
    }

    /// Every event of this kind that was ever announced.
    fn announced(&self, name: &str) -> Vec<Event> {
        let rows = self.table.rows();
        let events = rows.iter().filter_map(|row| row.parse::<Announced>().ok());
        events
            .map(|announced| announced.envelope.event)
            .filter(|event| event.name() == name)
            .collect()
    }

    /// Whether exactly these rows of a batch are documents, each once: as a row, as a file, as an event, and
    /// as a line of the batch; the others are errors, and the batch has ended once.
    async fn assert_made(&self, path: &str, total: u32, bad: &BTreeSet<u32>, place: &str) {
        let state = self.get(path).await;
        let failed = u32::try_from(bad.len()).unwrap();
        assert_eq!(
            [
                &state["status"],
                &state["ready"],
                &state["failed"],
                &state["cancelled"]
            ],
            [
                &json!("done"),
                &json!(total - failed),
                &json!(failed),
                &json!(0)
            ],
            "{place}"
        );
        let batch = id_of(path);
        let wanted: BTreeSet<String> = (0..total)
            .filter(|row| !bad.contains(row))
            .map(|row| document_of(batch, row).to_string())
            .collect();
        let rows: Vec<String> = self
            .table
            .rows()
            .iter()
            .filter_map(|row| row.key.sk.strip_prefix("document#").map(str::to_owned))
            .collect();
        assert_eq!(rows.len(), wanted.len(), "{place}");
        assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), wanted, "{place}");
        let files: BTreeSet<String> = self
            .blobs
            .keys()
            .iter()
            .filter_map(|key| document_in(key))
            .collect();
        assert_eq!(files, wanted, "{place}");
        let rendered = self.announced("documents.rendered");
        let told: BTreeSet<String> = rendered
            .iter()
            .map(|event| match event {
                Event::DocumentRendered { document, .. } => document.to_string(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!((rendered.len(), &told), (wanted.len(), &wanted), "{place}");
        assert_eq!(self.announced("documents.batch_done").len(), 1, "{place}");
        let listed = self.all(&format!("{path}/documents")).await;
        let listed: Vec<String> = listed
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(listed.len(), wanted.len(), "{place}");
        let errors = self.all(&format!("{path}/errors")).await;
        let errors: Vec<u64> = errors
            .iter()
            .map(|item| item["row"].as_u64().unwrap())
            .collect();
        assert_eq!(
            errors,
            bad.iter().map(|row| u64::from(*row)).collect::<Vec<_>>(),
            "{place}"
        );
    }

    /// Every item of a list, page after page.
    async fn all(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut next = format!("{path}?limit=7");
        loop {
            let page = self.get(&next).await;
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(cursor) => next = format!("{path}?limit=7&cursor={cursor}"),
                None => return items,
            }
        }
    }

    /// The files of the archive by their names.
    async fn unzipped(&self, path: &str) -> BTreeMap<String, Vec<u8>> {
        let link = self.get(&format!("{path}/zip")).await;
        let url = link["zip_url"].as_str().unwrap();
        let now = ports::clock::Clock::now(&*self.clock);
        let file = self.blobs.follow(url, now).unwrap();
        assert_eq!(json!(file.blob.bytes.len()), link["bytes"]);
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(file.blob.bytes)).unwrap();
        (0..archive.len())
            .map(|n| {
                let mut entry = archive.by_index(n).unwrap();
                let mut octets = Vec::new();
                std::io::Read::read_to_end(&mut entry, &mut octets).unwrap();
                (entry.name().to_owned(), octets)
            })
            .collect()
    }

    fn told(&self, path: &str) -> Vec<(String, Value)> {
        let channel = Channel::batch(organisation(1), id_of(path));
        self.channels
            .told(&channel)
            .into_iter()
            .map(|frame| (frame.kind, frame.data))
            .collect()
    }
}

/// The document that a key of the bucket is the file of.
fn document_in(key: &str) -> Option<String> {
    let name = key.strip_prefix(&format!("{}/", organisation(1)))?;
    name.strip_suffix(".pdf").map(str::to_owned)
}

fn id_of(path: &str) -> Id<Batch> {
    path.rsplit('/').next().unwrap().parse().unwrap()
}

/// A message as a rule of the bus puts it into the queue.
fn notification(envelope: &Envelope) -> String {
    json!({
        "version": "0",
        "detail-type": envelope.event.name(),
        "source": envelope.event.source(),
        "detail": envelope,
    })
    .to_string()
}

fn organisation(n: u32) -> Id<Organisation> {
    format!("org_{n:032x}").parse().unwrap()
}

fn caller(n: u32) -> Caller {
    Caller::new(
        format!("usr_{n:032x}").parse().unwrap(),
        organisation(n),
        format!("ses_{n:032x}").parse().unwrap(),
        PlatformRole::User,
        Some(OrganisationRole::Editor),
    )
}

/// A letter that no other row has.
fn letter(row: u32) -> Value {
    let mut data = Template::Letter.samples()[1].clone();
    data["subject"] = json!(format!("Letter number {row}"));
    data
}

/// A letter without its subject.
fn bad_letter() -> Value {
    let mut data = Template::Letter.samples()[1].clone();
    data.as_object_mut().unwrap().remove("subject");
    data
}

/// That many letters, these of them bad.
fn letters(total: u32, bad: &BTreeSet<u32>) -> Vec<Value> {
    (0..total)
        .map(|row| {
            if bad.contains(&row) {
                bad_letter()
            } else {
                letter(row)
            }
        })
        .collect()
}
