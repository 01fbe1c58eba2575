//! A batch as its sender sees it.

use std::collections::BTreeSet;

use documents::batch::document_of;
use ports::faults::Fault;
use runtime::testing::Call;
use serde_json::{Value, json};

use crate::{World, bad_letter, caller, id_of, letter, letters};

#[tokio::test]
async fn rows_become_documents_and_what_does_not_fit_becomes_an_error() {
    let world = World::new();
    let bad = BTreeSet::from([3, 24]);
    let mut rows = letters(30, &bad);
    rows[24]["subject"] = json!("A smile 😀");

    let path = world.batch(&rows).await;
    let queued = world.get(&path).await;
    world.settle().await;

    assert_eq!(
        [&queued["status"], &queued["total"], &queued["ready"]],
        [&json!("queued"), &json!(30), &json!(0)]
    );
    world.assert_made(&path, 30, &bad, "undisturbed").await;
    let errors = world.all(&format!("{path}/errors")).await;
    assert_eq!(
        errors[0],
        json!({
            "row": 3, "code": "validation_failed",
            "pointer": "/rows/3/subject", "detail": "This field is missing",
            "errors": [{ "pointer": "/rows/3/subject", "detail": "This field is missing" }],
        })
    );
    assert_eq!(errors[1]["pointer"], "/rows/24/subject");
    assert!(errors[1]["detail"].as_str().unwrap().contains("U+1F600"));
    let spanish = Call::get(&format!("{path}/errors")).header("accept-language", "es");
    let spanish = world.send(spanish).await.json();
    assert_eq!(spanish["items"][0]["detail"], "Falta este campo");
}

#[tokio::test]
async fn all_documents_come_as_one_file() {
    let world = World::new();
    let bad = BTreeSet::from([1]);
    let path = world.batch(&letters(5, &bad)).await;
    let early = world.send(Call::get(&format!("{path}/zip"))).await;
    world.settle().await;

    let files = world.unzipped(&path).await;

    assert_eq!(early.code().as_deref(), Some("archive_not_there"));
    let names: Vec<String> = [0, 2, 3, 4]
        .map(|row| format!("{row:05}-{}.pdf", document_of(id_of(&path), row)))
        .into();
    assert_eq!(files.keys().cloned().collect::<Vec<_>>(), names);
    assert!(files.values().all(|file| file.starts_with(b"%PDF-")));
    assert!(world.get(&path).await["zip_url"].is_string());
}

#[tokio::test]
async fn whoever_listens_hears_how_far_it_is_and_of_its_end() {
    let world = World::new();
    let path = world.batch(&letters(45, &BTreeSet::from([7]))).await;
    world.settle().await;

    let told = world.told(&path);

    assert_eq!(
        told[0],
        (
            "batch.progress".to_owned(),
            json!({ "ready": 19, "failed": 1, "total": 45 })
        )
    );
    // The clock stands, so that the second chunk comes too soon after the first to be told of.
    assert_eq!(
        told[1],
        (
            "batch.done".to_owned(),
            json!({ "ready": 44, "failed": 1, "cancelled": 0 })
        )
    );
    assert_eq!(told[2].0, "batch.archived");
    assert_eq!(told.len(), 3, "{told:?}");
}

#[tokio::test]
async fn a_trial_says_what_the_rows_would_meet_and_makes_nothing() {
    let world = World::new();
    let body = json!({ "template": "letter", "rows": [letter(0), bad_letter(), letter(2)] });

    let answer = world
        .send(Call::post("/v1/document-batches?dry_run=true", &body))
        .await;

    assert_eq!(answer.status.as_u16(), 200);
    let said = answer.json();
    assert_eq!(
        [&said["total"], &said["valid"], &said["invalid"]],
        [&json!(3), &json!(2), &json!(1)]
    );
    assert_eq!(said["errors"][0]["pointer"], "/rows/1/subject");
    assert!(world.table.rows().is_empty() && world.blobs.keys().is_empty());
}

#[tokio::test]
async fn what_cannot_be_taken_on_is_named() {
    let world = World::new();
    let large = json!({ "text": "x".repeat(300 * 1024) });
    for (body, status, pointer) in [
        (json!({ "template": "letter", "rows": [] }), 422, "/rows"),
        (json!({ "template": "letter" }), 422, "/rows"),
        (
            json!({ "template": "contract", "rows": [letter(0)] }),
            422,
            "/template",
        ),
        (
            json!({ "template": "letter", "rows": [letter(0), 7] }),
            422,
            "/rows/1",
        ),
        (
            json!({ "template": "letter", "rows": [large] }),
            422,
            "/rows/0",
        ),
        (
            json!({ "template": "letter", "rows": vec![json!({}); 10_001] }),
            422,
            "/rows",
        ),
        (
            json!({ "template": "letter", "rows": [{}], "colour": 1 }),
            400,
            "/colour",
        ),
    ] {
        let answer = world.send(Call::post("/v1/document-batches", &body)).await;

        let said = answer.json();
        assert_eq!(
            (answer.status.as_u16(), &said["errors"][0]["pointer"]),
            (status, &json!(pointer)),
            "{said}"
        );
    }
    assert!(
        world.blobs.keys().is_empty(),
        "nothing is kept of what was refused"
    );
}

#[tokio::test]
async fn a_request_that_is_sent_again_takes_on_one_batch() {
    let world = World::new();
    let body = json!({ "template": "letter", "rows": [letter(0)] });
    let call = Call::post("/v1/document-batches", &body).header("idempotency-key", "batch-1");

    let (first, again) = (world.send(call.clone()).await, world.send(call).await);
    world.settle().await;

    assert_eq!(first.json()["id"], again.json()["id"]);
    let listed = world.all("/v1/document-batches").await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["status"], "done");
}

#[tokio::test]
async fn another_tenants_batch_does_not_exist() {
    let world = World::new();
    let path = world.batch(&letters(1, &BTreeSet::new())).await;
    let stranger = caller(2);

    for call in [
        Call::get(&path),
        Call::get(&format!("{path}/errors")),
        Call::get(&format!("{path}/documents")),
        Call::get(&format!("{path}/zip")),
        Call::post(&format!("{path}/cancel"), &json!({})),
        Call::post(&format!("{path}/retry"), &json!({})),
    ] {
        let seen = call.by(&stranger).send(&world.router).await;
        assert_eq!(seen.code().as_deref(), Some("not_found"));
    }
    let listed = Call::get("/v1/document-batches")
        .by(&stranger)
        .send(&world.router)
        .await;
    assert_eq!(listed.json()["items"], json!([]));
}

#[tokio::test]
async fn stopped_before_it_began_nothing_is_made() {
    let world = World::new();
    let path = world.batch(&letters(50, &BTreeSet::new())).await;

    let stopped = world
        .send(Call::post(&format!("{path}/cancel"), &json!({})))
        .await
        .json();
    world.settle().await;
    let again = world
        .send(Call::post(&format!("{path}/cancel"), &json!({})))
        .await
        .json();

    assert_eq!(
        [&stopped["status"], &stopped["cancelled"], &stopped["ready"]],
        [&json!("cancelled"), &json!(50), &json!(0)]
    );
    assert_eq!(stopped, again);
    assert_eq!(stopped, world.get(&path).await);
    assert_eq!(world.announced("documents.rendered").len(), 0);
    assert_eq!(world.announced("documents.batch_done").len(), 1);
}

#[tokio::test]
async fn stopped_in_the_middle_the_numbers_of_the_answer_hold() {
    let world = World::new();
    let path = world.batch(&letters(60, &BTreeSet::new())).await;
    let mut mail = crate::Mail::default();
    world.collect(&mut mail);
    // The plan, and the first of three chunks.
    for _ in 0..2 {
        world
            .worker
            .once(&mail.0.pop_front().unwrap())
            .await
            .unwrap();
        world.collect(&mut mail);
    }

    let stopped = world
        .send(Call::post(&format!("{path}/cancel"), &json!({})))
        .await
        .json();
    while let Some(body) = mail.0.pop_front() {
        world.worker.once(&body).await.unwrap();
    }
    world.settle().await;

    assert_eq!(
        [&stopped["status"], &stopped["ready"], &stopped["cancelled"]],
        [&json!("cancelled"), &json!(20), &json!(40)]
    );
    let after = world.get(&path).await;
    assert_eq!(
        [&after["ready"], &after["cancelled"]],
        [&stopped["ready"], &stopped["cancelled"]]
    );
    assert_eq!(world.announced("documents.rendered").len(), 20);
    assert_eq!(world.unzipped(&path).await.len(), 20);
}

#[tokio::test]
async fn a_worker_that_is_overtaken_by_the_stop_leaves_nothing_behind() {
    let world = World::new();
    let path = world.batch(&letters(20, &BTreeSet::new())).await;
    let mut mail = crate::Mail::default();
    world.collect(&mut mail);
    world
        .worker
        .once(&mail.0.pop_front().unwrap())
        .await
        .unwrap();
    world.collect(&mut mail);
    let order = mail.0.pop_front().unwrap();

    let stop = async {
        // Until the worker has stored some files.
        while world.blobs.keys().len() < 6 {
            tokio::task::yield_now().await;
        }
        world
            .send(Call::post(&format!("{path}/cancel"), &json!({})))
            .await
            .json()
    };
    let (done, stopped) = tokio::join!(world.worker.once(&order), stop);

    assert!(done.is_ok(), "{done:?}");
    assert_eq!(stopped["cancelled"], 20);
    assert_eq!(world.announced("documents.rendered").len(), 0);
    let left: Vec<String> = world
        .blobs
        .keys()
        .iter()
        .filter_map(|key| crate::document_in(key))
        .collect();
    assert_eq!(left, [""; 0]);
}

#[tokio::test]
async fn failed_rows_are_tried_again_corrected() {
    let world = World::new();
    let bad = BTreeSet::from([1, 21, 22]);
    let path = world.batch(&letters(25, &bad)).await;
    let retry = format!("{path}/retry");
    let early = world.send(Call::post(&retry, &json!({}))).await;
    world.settle().await;

    let wrong = json!({ "rows": { "2": letter(2) } });
    let wrong = world.send(Call::post(&retry, &wrong)).await;
    let corrected = json!({ "rows": { "1": letter(1), "22": letter(22) } });
    let again = world.send(Call::post(&retry, &corrected)).await;
    world.settle().await;

    assert_eq!(early.code().as_deref(), Some("batch_unfinished"));
    assert_eq!(
        (wrong.status.as_u16(), &wrong.json()["errors"][0]["pointer"]),
        (422, &json!("/rows/2"))
    );
    let taken = again.json();
    assert_eq!(
        [
            &taken["status"],
            &taken["ready"],
            &taken["failed"],
            &taken["attempt"]
        ],
        [&json!("queued"), &json!(22), &json!(0), &json!(2)]
    );
    let state = world.get(&path).await;
    assert_eq!(
        [
            &state["status"],
            &state["ready"],
            &state["failed"],
            &state["total"]
        ],
        [&json!("done"), &json!(24), &json!(1), &json!(25)]
    );
    let errors: Vec<Value> = world.all(&format!("{path}/errors")).await;
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0]["row"], 21);
    assert_eq!(world.all(&format!("{path}/documents")).await.len(), 24);
    assert_eq!(world.announced("documents.rendered").len(), 24);
    assert_eq!(world.unzipped(&path).await.len(), 24);
}

#[tokio::test]
async fn two_repetitions_of_the_same_rows_do_not_write_over_each_other() {
    let world = World::new();
    let path = world.batch(&letters(3, &BTreeSet::from([1]))).await;
    let retry = format!("{path}/retry");
    world.settle().await;
    let corrected = json!({ "rows": { "1": letter(1) } });
    let still_bad = json!({ "rows": { "1": bad_letter() } });

    // One keeps its rows and gets no further; the other begins the attempt.
    world.table.faults().fail_call(2, Fault::Before);
    let cut = world.send(Call::post(&retry, &still_bad)).await;
    let begun = world.send(Call::post(&retry, &corrected)).await;

    assert_eq!((cut.status.as_u16(), begun.status.as_u16()), (503, 202));
    let keys = world.blobs.keys();
    let inputs = keys.iter().filter(|key| key.starts_with("batch-inputs/"));
    assert_eq!(inputs.count(), 3, "{keys:?}");
    world.settle().await;
    assert_eq!(world.get(&path).await["ready"], 3);
}

#[tokio::test]
async fn a_repetition_that_is_stopped_leaves_its_rows_failed() {
    let world = World::new();
    let bad = BTreeSet::from([0, 1, 2]);
    let path = world.batch(&letters(5, &bad)).await;
    world.settle().await;
    world
        .send(Call::post(&format!("{path}/retry"), &json!({})))
        .await;

    let stopped = world
        .send(Call::post(&format!("{path}/cancel"), &json!({})))
        .await
        .json();
    world.settle().await;

    assert_eq!(
        [&stopped["ready"], &stopped["failed"], &stopped["cancelled"]],
        [&json!(2), &json!(3), &json!(0)]
    );
    let again = world
        .send(Call::post(&format!("{path}/retry"), &json!({})))
        .await;
    assert_eq!(again.status.as_u16(), 202);
}

#[tokio::test]
async fn a_batch_without_failures_has_nothing_to_try_again_or_stop() {
    let world = World::new();
    let path = world.batch(&letters(2, &BTreeSet::new())).await;
    world.settle().await;

    let retried = world
        .send(Call::post(&format!("{path}/retry"), &json!({})))
        .await;
    let stopped = world
        .send(Call::post(&format!("{path}/cancel"), &json!({})))
        .await;

    assert_eq!(retried.code().as_deref(), Some("nothing_failed"));
    assert_eq!(stopped.code().as_deref(), Some("batch_finished"));
}

#[tokio::test]
async fn a_table_becomes_documents() {
    let world = World::new();
    let mut common = letter(0);
    common.as_object_mut().unwrap().remove("subject");
    let table = "subject;recipient.name\nFirst;Ana\n;Nobody\nThird;Eva\n";
    let body = json!({ "template": "letter", "common": common, "csv": table });

    let taken = world.send(Call::post("/v1/document-batches", &body)).await;
    world.settle().await;

    assert_eq!(
        (taken.status.as_u16(), &taken.json()["total"]),
        (202, &json!(3)),
        "{}",
        taken.json()
    );
    let path = format!(
        "/v1/document-batches/{}",
        taken.json()["id"].as_str().unwrap()
    );
    let state = world.get(&path).await;
    assert_eq!([&state["ready"], &state["failed"]], [&json!(2), &json!(1)]);
    let errors = world.all(&format!("{path}/errors")).await;
    assert_eq!(errors[0]["pointer"], "/rows/1/subject");
}

#[tokio::test]
async fn a_table_that_cannot_be_read_is_named() {
    let world = World::new();
    for (body, pointer) in [
        (json!({ "template": "letter", "csv": "a,a\n1,2" }), "/csv"),
        (json!({ "template": "letter", "csv": "subject\n" }), "/rows"),
        (json!({ "template": "letter", "xlsx": "UEs=" }), "/xlsx"),
        (json!({ "template": "letter", "xlsx": "?" }), "/xlsx"),
        (
            json!({ "template": "letter", "rows": [], "csv": "a" }),
            "/rows",
        ),
    ] {
        let answer = world.send(Call::post("/v1/document-batches", &body)).await;

        assert_eq!(answer.status.as_u16(), 422, "{body}");
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{body}");
    }
}
