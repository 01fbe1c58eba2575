//! Is it what was agreed, and is it harmless?

use data_encoding::HEXLOWER;
use domain::id::{File, Organisation};
use domain::{Event, Id};
use ports::table::{If, Item, Write, WriteError};
use ring::digest::{Context, SHA256};

use crate::file::{FileRecord, Status};
use crate::kind::{Kind, TELLING};
use crate::scan::{Content, Engine, Scan, Verdict};
use crate::{Files, FilesError, TRIES, object_key};

/// How many octets are read at once.
const PIECE: u64 = 8 * 1024 * 1024;

/// What looking at a file led to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// The file is this now, because of that.
    Is(Status, Option<String>),
    /// It is what was agreed; the verdict comes from elsewhere.
    Waits,
    /// There is no object to look at.
    Gone,
}

impl Files {
    /// Looks at a file that nobody has judged yet. A verdict from elsewhere counts only for what is what was
    /// agreed; that something was found later counts always.
    pub(crate) async fn inspect(
        &self,
        engine: &dyn Engine,
        org: Id<Organisation>,
        row: Item,
        record: FileRecord,
        verdict: Option<Verdict>,
    ) -> Result<(), FilesError> {
        let is_late_find = matches!(
            (&verdict, record.status),
            (Some(Verdict::Infected(_)), Status::Clean)
        );
        if !record.status.is_open() && !is_late_find {
            return Ok(());
        }
        let outcome = match verdict {
            Some(verdict) if record.is_checked => of_verdict(verdict),
            verdict => self.look(engine, org, &record, verdict).await?,
        };
        self.conclude(org, record.id, Some((row, record)), outcome)
            .await
    }

    /// Nobody could look, delivery after delivery.
    pub(crate) async fn give_up(
        &self,
        org: Id<Organisation>,
        id: Id<File>,
    ) -> Result<(), FilesError> {
        let outcome = Outcome::Is(Status::Error, Some("scan_failed".to_owned()));
        self.conclude(org, id, None, outcome).await
    }

    /// Reads the file once, piece by piece, for everything that has to be known of it.
    async fn look(
        &self,
        engine: &dyn Engine,
        org: Id<Organisation>,
        record: &FileRecord,
        verdict: Option<Verdict>,
    ) -> Result<Outcome, FilesError> {
        let (key, facts) = (object_key(org, record.id), &record.facts);
        let Some(head) = self.blobs.head(&key).await? else {
            return Ok(Outcome::Gone);
        };
        let kind = Kind::of(&facts.content_type);
        if head.bytes != facts.bytes {
            return Ok(quarantined("length_mismatch"));
        }
        let content = Content {
            bytes: facts.bytes,
            is_archive: kind.is_some_and(|kind| kind.is_archive),
        };
        let mut scan = match verdict {
            None => engine.begin(content),
            Some(_) => None,
        };
        let mut sum = (!record.is_proven).then(|| Context::new(&SHA256));
        let piece_size = if scan.is_some() || sum.is_some() {
            PIECE
        } else {
            TELLING
        };
        let mut at = 0;
        while at < facts.bytes {
            let Some(piece) = self.blobs.read(&key, at, piece_size).await? else {
                return Ok(Outcome::Gone);
            };
            if piece.is_empty() {
                return Ok(quarantined("length_mismatch"));
            }
            let telling = usize::try_from(TELLING).unwrap_or(usize::MAX);
            let beginning = &piece[..piece.len().min(telling)];
            if at == 0 && !kind.is_some_and(|kind| kind.fits(beginning)) {
                return Ok(quarantined("type_mismatch"));
            }
            at += piece.len() as u64;
            if let Some(sum) = &mut sum {
                sum.update(&piece);
            }
            if let Some(scan) = &mut scan {
                scan.feed(&piece);
            }
            if scan.is_none() && sum.is_none() {
                break;
            }
        }
        let found = sum.map(|sum| HEXLOWER.encode(sum.finish().as_ref()));
        if found.is_some_and(|found| found != facts.sha256) {
            return Ok(quarantined("checksum_mismatch"));
        }
        let verdict = verdict.or_else(|| scan.map(Scan::verdict));
        Ok(verdict.map_or(Outcome::Waits, of_verdict))
    }

    /// Writes what was found, with its events, on whatever the row has become meanwhile.
    async fn conclude(
        &self,
        org: Id<Organisation>,
        id: Id<File>,
        mut known: Option<(Item, FileRecord)>,
        outcome: Outcome,
    ) -> Result<(), FilesError> {
        for _ in 0..TRIES {
            let found = match known.take() {
                Some(found) => Some(found),
                None => self.row(org, id).await?,
            };
            let Some((row, record)) = found else {
                return Ok(());
            };
            let Some(parts) = self.verdict_parts(org, &row, record, &outcome) else {
                return Ok(());
            };
            match self.write(parts).await {
                Ok(()) => return Ok(()),
                Err(WriteError::Condition(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(WriteError::Conflict.into())
    }

    /// What has to be written, if anything has.
    fn verdict_parts(
        &self,
        org: Id<Organisation>,
        row: &Item,
        record: FileRecord,
        outcome: &Outcome,
    ) -> Option<Vec<Write>> {
        let (status, finding) = match outcome {
            Outcome::Gone => return None,
            Outcome::Waits if record.is_checked => return None,
            Outcome::Waits => (record.status, record.finding.clone()),
            Outcome::Is(status, finding) => (*status, finding.clone()),
        };
        let may_become = record.status.is_open()
            || (record.status == Status::Clean && status == Status::Infected);
        let is_news = (status, &finding) != (record.status, &record.finding);
        let was_checked = record.is_checked;
        // Giving up says nothing of type and checksum: whoever looks again looks at everything.
        let is_checked = was_checked || status != Status::Error;
        if !may_become || (!is_news && is_checked == was_checked) {
            return None;
        }
        let file = record.id;
        let next = FileRecord {
            status,
            finding: finding.clone(),
            is_checked,
            scanned_at: is_news.then(|| self.clock.now()).or(record.scanned_at),
            ..record
        };
        let put = Write::Put(next.following(org, row), If::VersionIs(row.version));
        let mut parts = vec![put];
        if is_news {
            let verdict = status.name().to_owned();
            parts.push(self.announce(org, Event::FileScanned { file, verdict }));
        }
        if let (true, Status::Infected, Some(threat)) = (is_news, status, finding) {
            parts.push(self.announce(org, Event::FileInfected { file, threat }));
        }
        Some(parts)
    }
}

fn of_verdict(verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Clean => Outcome::Is(Status::Clean, None),
        Verdict::Infected(name) => Outcome::Is(Status::Infected, Some(name)),
        Verdict::Failed(why) => Outcome::Is(Status::Error, Some(why.to_owned())),
    }
}

fn quarantined(why: &str) -> Outcome {
    Outcome::Is(Status::Quarantined, Some(why.to_owned()))
}
