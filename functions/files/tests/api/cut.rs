//! Everything is cut at every call to the outside and sent again: nothing is lost, nothing is counted twice.

use ports::faults::Fault;
use runtime::testing::{Answer, Call};
use serde_json::{Value, json};

use crate::{Function, agreement, created, owner};

const FAULTS: [Fault; 3] = [Fault::Before, Fault::After, Fault::Throttled];

/// Where a fault strikes.
#[derive(Clone, Copy, Debug)]
enum Place {
    Table(usize),
    Blobs(usize),
}

impl Place {
    /// More places than any use case has calls.
    fn all() -> impl Iterator<Item = Self> {
        (0..8).map(Self::Table).chain((0..5).map(Self::Blobs))
    }

    fn strike(self, function: &Function, fault: Fault) {
        match self {
            Self::Table(call) => function.table.faults().fail_call(call, fault),
            Self::Blobs(call) => function.blobs.faults().fail_call(call, fault),
        }
    }
}

/// Sends a request until its answer is none of a failure.
async fn insist(function: &Function, call: &Call) -> Answer {
    for _ in 0..5 {
        let answer = call.clone().by(&owner()).send(&function.router).await;
        if answer.status != 503 {
            return answer;
        }
    }
    panic!("five attempts and no answer");
}

/// Delivers a notice until it is done.
async fn redeliver(function: &Function, id: &str) {
    let notice = created(&owner(), id).remove(0);
    for delivery in 1..5 {
        if function.on(&notice, delivery).await.is_ok() {
            return;
        }
    }
    panic!("four deliveries and not done");
}

fn upload(parts: Option<u16>) -> Call {
    let mut body = agreement("a", "text/plain", b"text");
    body["parts"] = json!(parts);
    Call::post("/v1/files/uploads", &body).header("idempotency-key", "upload-1")
}

#[tokio::test]
async fn an_upload_cut_anywhere_begins_once() {
    for (fault, place) in cuts() {
        for parts in [None, Some(1)] {
            let function = Function::new();
            place.strike(&function, fault);

            let answer = insist(&function, &upload(parts)).await;

            let here = format!("{fault:?} at {place:?} with parts {parts:?}");
            assert_eq!(answer.status, 201, "{here}");
            function.assert_consistent(&owner(), &here);
            assert_eq!(reserved(&function), 4, "{here}");
            // One that was begun and whose name was not kept is forgotten by the bucket's own rule.
            let most = if parts.is_some() { 2 } else { 0 };
            assert!(function.blobs.undertakings() <= most, "{here}");
        }
    }
}

#[tokio::test]
async fn an_arrival_cut_anywhere_is_one_clean_file() {
    for (fault, place) in cuts() {
        let function = Function::new();
        let started = function.start(&owner(), "text/plain", b"text").await;
        let id = started["id"].as_str().unwrap();
        assert_eq!(function.put(&started["upload"], b"text"), 200);
        place.strike(&function, fault);

        redeliver(&function, id).await;

        let here = format!("{fault:?} at {place:?}");
        redeliver(&function, id).await;
        assert_eq!(function.status(&owner(), id).await, "clean", "{here}");
        assert_eq!(function.announced("files.uploaded"), 1, "{here}");
        assert_eq!(function.announced("files.scanned"), 1, "{here}");
        function.assert_consistent(&owner(), &here);
    }
}

#[tokio::test]
async fn a_deletion_cut_anywhere_leaves_neither_file_nor_room() {
    for (fault, place) in cuts() {
        let function = Function::new();
        let id = function.store(&owner(), "text/plain", b"text").await;
        place.strike(&function, fault);

        let call = Call::new("DELETE", &format!("/v1/files/{id}"));
        insist(&function, &call).await;

        let here = format!("{fault:?} at {place:?}");
        assert_eq!(function.status(&owner(), &id).await, "none", "{here}");
        assert_eq!(function.blobs.keys(), [""; 0], "{here}");
        assert_eq!(function.announced("files.deleted"), 1, "{here}");
        function.assert_consistent(&owner(), &here);
    }
}

#[tokio::test]
async fn an_abort_cut_anywhere_leaves_neither_upload_nor_room() {
    for (fault, place) in cuts() {
        let function = Function::new();
        let started = insist(&function, &upload(Some(1))).await.json();
        let id = started["id"].as_str().unwrap();
        place.strike(&function, fault);

        let call = Call::new("POST", &format!("/v1/files/uploads/{id}/abort"));
        insist(&function, &call).await;

        let here = format!("{fault:?} at {place:?}");
        assert_eq!(function.status(&owner(), id).await, "none", "{here}");
        assert_eq!(function.blobs.undertakings(), 0, "{here}");
        assert_eq!(reserved(&function), 0, "{here}");
        function.assert_consistent(&owner(), &here);
    }
}

#[tokio::test]
async fn a_copy_cut_anywhere_is_one_file() {
    for (fault, place) in cuts() {
        let function = Function::new();
        let id = function.store(&owner(), "text/plain", b"text").await;
        let call = Call::post(&format!("/v1/files/{id}/copy"), &json!({}));
        let call = call.header("idempotency-key", "copy-1");
        place.strike(&function, fault);

        let answer = insist(&function, &call).await;

        let here = format!("{fault:?} at {place:?}");
        assert_eq!(answer.status, 201, "{here}: {}", answer.json());
        let copy = answer.json()["id"].as_str().unwrap().to_owned();
        redeliver(&function, &copy).await;
        assert_eq!(function.status(&owner(), &copy).await, "clean", "{here}");
        assert_eq!(function.blobs.keys().len(), 2, "{here}");
        assert_eq!(function.announced("files.uploaded"), 2, "{here}");
        function.assert_consistent(&owner(), &here);
    }
}

#[tokio::test]
async fn a_completion_cut_anywhere_is_one_file() {
    for (fault, place) in cuts() {
        let function = Function::new();
        let started = insist(&function, &upload(Some(1))).await.json();
        let id = started["id"].as_str().unwrap();
        let body = json!({"parts": [{"number": 1, "sha256": crate::sha256(b"text")}]});
        let path = format!("/v1/files/uploads/{id}/parts");
        let signed = function.send(&owner(), "POST", &path, &body).await.json();
        assert_eq!(function.put(&signed["items"][0]["upload"], b"text"), 200);
        place.strike(&function, fault);

        let call = Call::new("POST", &format!("/v1/files/uploads/{id}/complete"));
        let answer = insist(&function, &call).await;

        let here = format!("{fault:?} at {place:?}");
        assert_eq!(answer.status, 200, "{here}: {}", answer.json());
        assert_eq!(function.announced("files.uploaded"), 1, "{here}");
        function.assert_consistent(&owner(), &here);
    }
}

#[tokio::test]
async fn a_sweep_cut_anywhere_gives_every_room_back_once() {
    for (fault, place) in cuts() {
        let function = Function::new();
        insist(&function, &upload(Some(1))).await;
        function.start(&owner(), "text/plain", b"more text").await;
        function.clock.advance(std::time::Duration::from_hours(25));
        place.strike(&function, fault);

        let answer = insist(&function, &Call::get("/v1/files/usage")).await;
        let again = insist(&function, &Call::get("/v1/files/usage")).await;

        let here = format!("{fault:?} at {place:?}");
        assert_eq!(answer.status, 200, "{here}");
        assert_eq!(again.json()["reserved"], 0, "{here}");
        assert_eq!(function.blobs.undertakings(), 0, "{here}");
        function.assert_consistent(&owner(), &here);
    }
}

fn cuts() -> impl Iterator<Item = (Fault, Place)> {
    FAULTS
        .into_iter()
        .flat_map(|fault| Place::all().map(move |place| (fault, place)))
}

/// The octets set aside, as the row says without a sweep.
fn reserved(function: &Function) -> i64 {
    let rows = function.table.rows();
    let usage = rows.iter().find(|row| row.key.sk == "usage");
    let reserved = usage.and_then(|row| row.attributes.get("reserved"));
    reserved.and_then(Value::as_i64).unwrap_or_default()
}
