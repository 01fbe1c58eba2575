//! The child as a process: it is replaced when it dies, and what it makes depends on nothing but the job.

use std::time::Duration;

use documents::job::TypesetError;
use documents::template::Template;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{job, large_report, renderer, samples};

#[tokio::test]
async fn the_same_job_gives_the_same_bytes_in_two_processes() {
    let (one, other) = (renderer(), renderer());
    for (name, template, data) in samples() {
        let first = one.render(&job(template, data.clone())).await.unwrap();
        let again = one.render(&job(template, data.clone())).await.unwrap();
        let elsewhere = other.render(&job(template, data)).await.unwrap();

        assert_eq!(first.sha256, elsewhere.sha256, "{name}");
        assert_eq!(first, again, "{name}");
    }
    assert_ne!(one.process_id(), other.process_id());
}

#[tokio::test]
async fn another_name_or_another_date_gives_other_bytes() {
    let renderer = renderer();
    let (_, template, data) = samples().remove(0);
    let plain = job(template, data);
    let mut named = plain.clone();
    named.ident = "doc_00000000000000000000000000000002".to_owned();
    let mut dated = plain.clone();
    dated.timestamp = "2026-11-24T10:11:13Z".parse().unwrap();

    let first = renderer.render(&plain).await.unwrap();

    assert_ne!(first.sha256, renderer.render(&named).await.unwrap().sha256);
    assert_ne!(first.sha256, renderer.render(&dated).await.unwrap().sha256);
}

#[tokio::test]
async fn one_child_makes_many_documents() {
    let renderer = renderer();
    let mut ids = std::collections::BTreeSet::new();
    for (_, template, data) in samples() {
        renderer.render(&job(template, data)).await.unwrap();
        ids.insert(renderer.process_id());
    }

    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn a_child_that_a_large_document_has_bloated_is_replaced() {
    let renderer = renderer().within(Duration::from_mins(1));
    renderer.warm().await.unwrap();
    let first = renderer.process_id();
    renderer.render(&large_report()).await.unwrap();

    let sample = job(Template::Letter, Template::Letter.samples()[0].clone());
    renderer.render(&sample).await.unwrap();

    assert!(renderer.process_id().is_some());
    assert_ne!(renderer.process_id(), first);
}

fn killed(process: u32) {
    kill(
        Pid::from_raw(i32::try_from(process).unwrap()),
        Signal::SIGKILL,
    )
    .unwrap();
}

#[tokio::test]
async fn a_child_killed_in_the_middle_is_a_clean_error_and_the_next_job_is_answered() {
    let renderer = renderer();
    renderer.warm().await.unwrap();
    let first = renderer.process_id().unwrap();
    let job = large_report();

    let kill = async {
        tokio::task::yield_now().await;
        killed(first);
    };
    let (answer, ()) = tokio::join!(renderer.render(&job), kill);

    assert!(
        matches!(answer, Err(TypesetError::Crashed { .. })),
        "{answer:?}"
    );
    let sample = crate::job(Template::Letter, Template::Letter.samples()[0].clone());
    assert!(renderer.render(&sample).await.is_ok());
    assert_ne!(renderer.process_id(), Some(first));
}

/// Whether a killed process has ended to its last thread and only waits to be collected.
fn is_over(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).map_or(0, Iterator::count);
    threads <= 1 && (stat.is_empty() || stat.contains(") Z "))
}

#[tokio::test]
async fn a_child_killed_while_idle_is_not_noticed_by_the_next_caller() {
    let renderer = renderer();
    let sample = job(Template::Letter, Template::Letter.samples()[0].clone());
    renderer.render(&sample).await.unwrap();
    let first = renderer.process_id().unwrap();
    killed(first);
    while !is_over(first) {
        tokio::task::yield_now().await;
    }

    assert!(renderer.render(&sample).await.is_ok());
    assert_ne!(renderer.process_id(), Some(first));
}

#[tokio::test]
async fn a_document_that_takes_too_long_is_given_up_and_the_next_is_made() {
    let impatient = renderer().within(Duration::from_millis(20));

    assert_eq!(
        impatient.render(&large_report()).await,
        Err(TypesetError::TimedOut)
    );

    let patient = impatient.within(Duration::from_secs(30));
    let sample = job(Template::Letter, Template::Letter.samples()[0].clone());
    assert!(patient.render(&sample).await.is_ok());
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_no_half_read_answer_behind() {
    let renderer = renderer();
    renderer.warm().await.unwrap();
    let report = large_report();
    assert!(
        tokio::time::timeout(Duration::from_millis(5), renderer.render(&report))
            .await
            .is_err()
    );

    let sample = job(Template::Letter, Template::Letter.samples()[0].clone());
    let after = renderer.render(&sample).await.unwrap();

    assert_eq!(after, crate::renderer().render(&sample).await.unwrap());
}

#[tokio::test]
async fn a_program_that_is_not_there_is_a_clean_error() {
    let nothing = documents::renderer::Renderer::new("/nonexistent/render");
    let sample = job(Template::Letter, Template::Letter.samples()[0].clone());

    assert!(matches!(
        nothing.render(&sample).await,
        Err(TypesetError::Crashed { .. })
    ));
}

#[test]
fn only_the_companion_program_holds_the_engine() {
    // A message of the engine and the name of a font: whoever links either carries both.
    let holds = |program: &str, text: &str| {
        let octets = std::fs::read(program).unwrap();
        octets
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    for text in ["maximum function call depth exceeded", "LibertinusSerif"] {
        assert!(
            holds(env!("CARGO_BIN_EXE_documents-render"), text),
            "{text}"
        );
        assert!(!holds(env!("CARGO_BIN_EXE_documents-api"), text), "{text}");
    }
}
