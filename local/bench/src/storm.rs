//! A batch of 10 000 rows, one in a hundred bad, while those who make its documents are killed at random: nothing may
//! be lost, doubled, or told before it is so. It is held against what the API lists, what stands in the table and in
//! the bucket, and what the archive holds.

mod killer;
mod plan;
mod store;

use std::{
    collections::BTreeMap,
    io::{Cursor, Read},
    time::{Duration, Instant},
};

use data_encoding::HEXLOWER;
use fleet::{
    Failure, Outcome,
    console::{note, say},
    failure::While,
    layout::Layout,
};
use journeys::cloud::{Cloud, Person};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use zip::ZipArchive;

use crate::{batches, report::Report};
use killer::Killer;
use plan::Plan;
use store::Store;

/// How often the batch is asked how far it is, and the table whether that is so.
const ASK: Duration = Duration::from_secs(5);

/// How long the batch may take. A message whose worker was killed comes again after six minutes.
const PATIENCE: Duration = Duration::from_hours(2);

/// Kills that come after the last row has its outcome, while the archive is made: whoever makes it is alone then, and
/// would be killed for as long as anybody is.
const AFTERWARDS: usize = 2;

/// Makes the batch in a storm that this seed gives.
pub async fn measure(cloud: &Cloud, layout: &Layout, seed: u64, report: &mut Report) -> Outcome {
    let mut random = fastrand::Rng::with_seed(seed);
    let plan = Plan::new(&mut random);
    say(format_args!(
        "\n{} rows, {} of them bad, and a process of documents-worker killed every 1 to 4 s: --storm {seed}",
        plan.rows(),
        plan.errors().len()
    ));
    let mut person = cloud.person("storm").await;
    let path = batches::begin(cloud, &person, &plan.order()).await?;
    let store = Store::of(cloud, &person, layout).await?;
    let started = Instant::now();
    let killer = Killer::begin(layout, random)?;
    let seen = follow(cloud, &mut person, &path, &store, &killer).await;
    let kills = killer.end();
    let seen = seen?;
    say(format_args!(
        "{:.0} s   {kills}   asked {} times how far it is",
        started.elapsed().as_secs_f64(),
        seen.asked
    ));
    report.none("told before it was so, or less than before", &seen.untrue);
    Found::of(cloud, &person, &path, &store, &seen.archive)
        .await?
        .hold_against(&plan, report);
    Ok(())
}

/// What was told of the batch until its archive was made.
#[derive(Default)]
struct Seen {
    asked: usize,
    /// What was more than there was, or less than before.
    untrue: Vec<String>,
    /// Where the archive is.
    archive: String,
}

/// Asks until there is an archive.
async fn follow(
    cloud: &Cloud,
    person: &mut Person,
    path: &str,
    store: &Store,
    killer: &Killer,
) -> Outcome<Seen> {
    let mut seen = Seen::default();
    let started = Instant::now();
    let mut before = [0; 2];
    while started.elapsed() < PATIENCE {
        tokio::time::sleep(ASK).await;
        let Some(batch) = batches::ask(cloud, person, path).await else {
            continue;
        };
        // Counted after it was told, so that what has come in between excuses nothing.
        let there = [
            store.count("batch-document#").await?,
            store.count("batch-error#").await?,
        ];
        let told = ["ready", "failed"].map(|name| number(&batch[name]));
        note(format_args!(
            "{:>10}  {told:?} told, {there:?} there",
            "batch"
        ));
        seen.asked += 1;
        for (index, name) in ["ready", "failed"].into_iter().enumerate() {
            let (told, there, before) = (told[index], there[index], before[index]);
            if told > there || told < before {
                seen.untrue
                    .push(format!("{told} {name}, {there} there, {before} before"));
            }
        }
        before = told;
        if batch["status"] == "done" {
            killer.calm(AFTERWARDS);
        }
        if let Some(link) = batch["zip_url"].as_str() {
            link.clone_into(&mut seen.archive);
            return Ok(seen);
        }
    }
    Err(Failure::new(format!("no archive after {PATIENCE:?}")))
}

fn number(value: &Value) -> usize {
    let number = value
        .as_u64()
        .and_then(|number| usize::try_from(number).ok());
    number.unwrap_or_default()
}

/// What there is at the end, each thing in words that can be compared.
struct Found {
    /// `row`, as the API lists the documents.
    rows: Vec<String>,
    /// `row pointer`, as the API lists the errors.
    errors: Vec<String>,
    /// The ids of the documents that the API lists.
    ids: Vec<String>,
    /// The same of the rows of the table.
    in_table: Vec<String>,
    /// The same of the objects of the bucket.
    in_bucket: Vec<String>,
    /// `row-id SHA-256`, as the API lists the documents.
    files: Vec<String>,
    /// The same of the entries of the archive.
    in_archive: Vec<String>,
}

impl Found {
    async fn of(
        cloud: &Cloud,
        person: &Person,
        path: &str,
        store: &Store,
        archive: &str,
    ) -> Outcome<Self> {
        let documents = all(cloud, person, &format!("{path}/documents")).await?;
        let errors = all(cloud, person, &format!("{path}/errors")).await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let row = |item: &Value| number(&item["row"]);
        let file = |item: &Value| {
            let (id, sha256) = (text(&item["id"]), text(&item["sha256"]));
            format!("{:05}-{id} {sha256}", row(item))
        };
        let error = |item: &Value| format!("{} {}", row(item), text(&item["pointer"]));
        let (status, octets) = cloud.follow(archive).await;
        if status != 200 {
            return Err(Failure::new(format!("the archive's link answers {status}")));
        }
        Ok(Self {
            rows: documents.iter().map(|item| row(item).to_string()).collect(),
            errors: errors.iter().map(error).collect(),
            ids: documents.iter().map(|item| text(&item["id"])).collect(),
            in_table: store.documents().await?,
            in_bucket: store.objects().await?,
            files: documents.iter().map(file).collect(),
            in_archive: entries(octets)?,
        })
    }

    fn hold_against(&self, plan: &Plan, report: &mut Report) {
        report.same("documents by row", &self.rows, &plan.documents());
        report.same("row errors with their places", &self.errors, &plan.errors());
        report.same("documents in the table", &self.in_table, &self.ids);
        report.same("objects in the bucket", &self.in_bucket, &self.ids);
        report.same("entries of the archive", &self.in_archive, &self.files);
    }
}

/// Every item of a list, page after page.
async fn all(cloud: &Cloud, person: &Person, path: &str) -> Outcome<Vec<Value>> {
    let (mut items, mut page) = (Vec::new(), format!("{path}?limit=100"));
    loop {
        let answer = cloud.get(&page, Some(&person.access)).await;
        let found = answer.body["items"]
            .as_array()
            .ok_or_else(|| Failure::new(format!("{page} answers {:?}", answer.body)))?;
        items.extend(found.iter().cloned());
        match answer.body["next_cursor"].as_str() {
            Some(next) => page = format!("{path}?limit=100&cursor={next}"),
            None => return Ok(items),
        }
    }
}

/// `row-id SHA-256` of each entry. Reading one to its end compares its CRC-32 too.
fn entries(octets: Vec<u8>) -> Outcome<Vec<String>> {
    let mut archive = ZipArchive::new(Cursor::new(octets)).during("opening the archive")?;
    let mut found = Vec::with_capacity(archive.len());
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).during("finding an entry")?;
        let mut file = Vec::new();
        entry.read_to_end(&mut file).during("reading an entry")?;
        let name = entry.name().trim_end_matches(".pdf");
        let hash = HEXLOWER.encode(digest(&SHA256, &file).as_ref());
        found.push(format!("{name} {hash}"));
    }
    Ok(found)
}

/// What one list has less and more than another, each thing as often as it stands there.
pub fn apart(found: &[String], wanted: &[String]) -> (Vec<String>, Vec<String>) {
    let mut counts: BTreeMap<&str, isize> = BTreeMap::new();
    for thing in found {
        *counts.entry(thing).or_default() += 1;
    }
    for thing in wanted {
        *counts.entry(thing).or_default() -= 1;
    }
    let those = |sign: isize| {
        let those = counts.iter().filter(move |(_, count)| **count * sign > 0);
        those.map(|(thing, _)| (*thing).to_owned()).collect()
    };
    (those(-1), those(1))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;

    fn texts(all: &[&str]) -> Vec<String> {
        all.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn what_stands_there_twice_is_one_too_many() {
        let (missing, more) = apart(&texts(&["a", "b", "b"]), &texts(&["c", "b", "a"]));

        assert_eq!((missing, more), (texts(&["c"]), texts(&["b"])));
    }

    #[test]
    fn an_entry_is_known_by_its_name_and_what_it_holds() {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default();
        archive.start_file("00007-doc_1.pdf", options).unwrap();
        archive.write_all(b"abc").unwrap();
        let octets = archive.finish().unwrap().into_inner();

        let found = entries(octets).unwrap();

        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(found, [format!("00007-doc_1 {hash}")]);
    }
}
