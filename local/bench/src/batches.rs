//! The memory of those who make the documents of a batch: a hundred times as many rows must not need more of it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use documents::template::Template;
use fleet::{
    Failure, Outcome,
    console::{note, say},
    layout::Layout,
    outputs::Outputs,
};
use journeys::cloud::{Cloud, Person};
use serde_json::{Value, json};

use crate::{figures::megabytes, process, report::Report};

/// Rows of the two batches.
const ROWS: [u32; 2] = [100, 10_000];

/// How much more the large one may take.
const FLAT: f64 = 1.2;

/// Megabytes that a worker and its child may hold together.
const MEMORY: f64 = 150.0;

/// How often the workers are looked at. Their peaks are the kernel's own, so that none is missed between two looks
/// but that of a process which lived for less.
const LOOK: Duration = Duration::from_millis(100);

/// How often the batch is asked how far it is.
const ASK: Duration = Duration::from_secs(2);

/// How long a batch may take.
const PATIENCE: Duration = Duration::from_hours(2);

/// Makes both batches, the small one first, because peaks do not sink.
pub async fn measure(cloud: &Cloud, layout: &Layout, report: &mut Report) -> Outcome {
    let mut person = cloud.person("batch").await;
    let outputs = Outputs::read(&layout.outputs())?;
    say(format_args!(
        "\nmemory of documents-worker and its child while a batch of invoices is made, at most"
    ));
    let mut peaks = Vec::new();
    for rows in ROWS {
        let watch = Watch::begin(&outputs)?;
        let started = Instant::now();
        let ready = one(cloud, &mut person, rows).await?;
        let seen = watch.end();
        let largest = seen
            .values()
            .map(Worker::together)
            .max()
            .unwrap_or_default();
        say(format_args!(
            "{ready:>6} documents in {:>6.1} s   {:>2} workers   largest: worker {:.1} MB and child {:.1} MB, together {:.1} MB",
            started.elapsed().as_secs_f64(),
            seen.len(),
            megabytes(
                seen.values()
                    .map(|worker| worker.own)
                    .max()
                    .unwrap_or_default()
            ),
            megabytes(
                seen.values()
                    .map(|worker| worker.child)
                    .max()
                    .unwrap_or_default()
            ),
            megabytes(largest),
        ));
        peaks.push(megabytes(largest));
    }
    if let [small, large] = peaks[..] {
        report.below(
            "10 000 rows, beside 100",
            large / small,
            FLAT,
            "times the memory",
        );
        report.below("worker and its child in a batch", large, MEMORY, "MB");
    }
    Ok(())
}

/// Makes a batch and waits for its archive; gives how many documents it has.
async fn one(cloud: &Cloud, person: &mut Person, rows: u32) -> Outcome<u64> {
    let [_, mut common] = Template::Invoice.samples();
    if let Some(common) = common.as_object_mut() {
        common.remove("number");
    }
    let numbers: Vec<Value> = (0..rows)
        .map(|row| json!({"number": format!("2026-{row:05}")}))
        .collect();
    let new = json!({"template": "invoice", "format": "pdf", "common": common, "rows": numbers});
    let path = begin(cloud, person, &new).await?;
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        tokio::time::sleep(ASK).await;
        let Some(batch) = ask(cloud, person, &path).await else {
            continue;
        };
        if batch["zip_url"].is_string() {
            return finished(&batch, rows);
        }
        note(format_args!(
            "{:>10}  {} of {rows}",
            "batch", batch["ready"]
        ));
    }
    Err(Failure::new(format!("no archive after {PATIENCE:?}")))
}

/// Has a batch taken on; gives its path.
pub async fn begin(cloud: &Cloud, person: &Person, new: &Value) -> Outcome<String> {
    let queued = cloud
        .post("/v1/document-batches", Some(&person.access), new)
        .await;
    let id = queued.body["id"]
        .as_str()
        .ok_or_else(|| Failure::new(format!("no batch was taken on: {:?}", queued.body)))?;
    Ok(format!("/v1/document-batches/{id}"))
}

/// How far a batch is; nothing if the person had to sign in again first, because the token has expired meanwhile.
pub async fn ask(cloud: &Cloud, person: &mut Person, path: &str) -> Option<Value> {
    let answer = cloud.get(path, Some(&person.access)).await;
    if answer.status == 401 {
        *person = cloud
            .sign_in(person.email.clone(), person.password.clone())
            .await;
        return None;
    }
    Some(answer.body)
}

/// Only a batch without a fault says something about the work of so many rows.
fn finished(batch: &Value, rows: u32) -> Outcome<u64> {
    match batch["ready"].as_u64() {
        Some(ready) if ready == u64::from(rows) => Ok(ready),
        _ => Err(Failure::new(format!(
            "not every row became a document: {batch}"
        ))),
    }
}

/// The most that a worker held, and the most that any child of it did, in octets.
#[derive(Clone, Copy, Debug, Default)]
struct Worker {
    own: u64,
    child: u64,
}

impl Worker {
    fn together(&self) -> u64 {
        self.own + self.child
    }
}

type Seen = BTreeMap<u32, Worker>;

/// Looks at the workers of one cloud until it is told to end.
struct Watch {
    seen: Arc<Mutex<Seen>>,
    over: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Watch {
    fn begin(outputs: &Outputs) -> Outcome<Self> {
        let function = outputs
            .functions
            .get("documents-worker")
            .ok_or_else(|| Failure::new("this cloud has no documents-worker"))?
            .clone();
        let endpoint = outputs.emulator_url.clone();
        let (seen, over) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let (into, until) = (Arc::clone(&seen), Arc::clone(&over));
        let thread = thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                look(&into, &function, &endpoint);
                thread::sleep(LOOK);
            }
        });
        Ok(Self { seen, over, thread })
    }

    fn end(self) -> Seen {
        self.over.store(true, Ordering::Relaxed);
        let _ended = self.thread.join();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }
}

fn look(seen: &Mutex<Seen>, function: &str, endpoint: &str) {
    let processes = process::all();
    let is_worker = |id: &u32| {
        let environment = process::environment(*id);
        let is = |name: &str, value: &str| environment.get(name).is_some_and(|it| it == value);
        is("AWS_LAMBDA_FUNCTION_NAME", function) && is("AWS_ENDPOINT_URL", endpoint)
    };
    let workers: Vec<u32> = processes.iter().copied().filter(is_worker).collect();
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    for worker in &workers {
        let own = process::peak(*worker).unwrap_or_default();
        let known = seen.entry(*worker).or_default();
        known.own = known.own.max(own);
    }
    for child in processes {
        let parent = process::parent(child).filter(|parent| workers.contains(parent));
        if let Some(known) = parent.and_then(|parent| seen.get_mut(&parent)) {
            known.child = known.child.max(process::peak(child).unwrap_or_default());
        }
    }
}
