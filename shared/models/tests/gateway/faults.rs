//! The sixteen faults of the Failover Bench, and some of our own: each with the answer that the crate's
//! documentation promises.

use std::time::Duration;

use crate::support::{Heard, NOW, Stage, ask};
use models::testing::{BEFORE_CUT, BEFORE_STALL, Fault, text_of};
use models::{Completion, Finish, Gateway, Message, ModelError};
use ports::clock::Clock;
use serde_json::json;

/// Who answers when the first one fails.
const OTHER: &str = "small-1";

/// A gateway to a faulty endpoint with somebody behind it.
fn backed(stage: &Stage, fault: Fault) -> Gateway {
    stage.gateway(&[fault.model(), OTHER])
}

/// The bound of a short question and its answer, which is charged where nobody knows what happened.
const LEAST_BOUND: i64 = 100;

async fn both_ways(stage: &Stage, gateway: &Gateway) -> [Completion; 2] {
    let (heard, streamed) = stage.stream(gateway, &ask("one two", 100)).await;
    let streamed = streamed.unwrap();
    assert_eq!(heard.text, streamed.text);
    let whole = stage.complete(gateway, &ask("one two", 100)).await.unwrap();
    [streamed, whole]
}

fn seconds_gone(stage: &Stage) -> i64 {
    stage
        .clock
        .now()
        .duration_since(NOW.parse().unwrap())
        .as_secs()
}

#[tokio::test]
async fn s01_a_rate_limit_that_names_a_second_is_waited_for() {
    let stage = Stage::new();
    let gateway = stage.gateway(&[Fault::RateLimitedOnce.model()]);

    let (_, answer) = stage.stream(&gateway, &ask("one two", 100)).await;

    assert_eq!(answer.unwrap().cost.micros, 62, "a refusal costs nothing");
    assert!(seconds_gone(&stage) >= 1);
    assert_eq!(stage.provider.asked(Fault::RateLimitedOnce.model()), 2);
    stage.assert_sums().await;
}

#[tokio::test]
async fn s02_a_rate_limit_that_lasts_is_left_to_the_next_and_told_to_the_caller() {
    let stage = Stage::new();
    let gateway = backed(&stage, Fault::RateLimited);
    let alone = stage.gateway(&[Fault::RateLimited.model()]);

    let answers = both_ways(&stage, &gateway).await;
    let refused = stage.complete(&alone, &ask("one two", 100)).await;

    assert!(answers.iter().all(|answer| answer.target == OTHER));
    // The second question did not go there: it said when to come back.
    assert_eq!(answers[0].attempts.len(), 2);
    assert_eq!(answers[1].attempts.len(), 1);
    assert_eq!(
        refused,
        Err(ModelError::Failed {
            retry_after: Some(30)
        })
    );
    assert_eq!(stage.provider.asked(Fault::RateLimited.model()), 2);
    assert_eq!(seconds_gone(&stage), 0, "nobody waits for half a minute");
    stage.assert_sums().await;
}

#[tokio::test]
async fn s03_a_server_error_that_passes_is_asked_again() {
    let stage = Stage::new();
    let gateway = backed(&stage, Fault::ErrorOnce);

    let (_, answer) = stage.stream(&gateway, &ask("one two", 100)).await;
    let answer = answer.unwrap();

    assert_eq!(answer.target, Fault::ErrorOnce.model());
    assert_eq!(answer.cost.micros, 62);
    assert_eq!(answer.attempts[0].outcome, "server_error");
    assert_eq!(stage.provider.asked(OTHER), 0);
    stage.assert_sums().await;
}

#[tokio::test]
async fn s04_an_endpoint_that_is_down_is_left_after_two_more_tries() {
    let stage = Stage::new();
    let gateway = backed(&stage, Fault::Unavailable);
    let alone = stage.gateway(&[Fault::Unavailable.model()]);

    let (_, answer) = stage.stream(&gateway, &ask("one two", 100)).await;
    let answer = answer.unwrap();
    let refused = stage.complete(&alone, &ask("one two", 100)).await;

    assert_eq!(answer.target, OTHER);
    assert_eq!(answer.cost.micros, 62);
    assert_eq!(answer.attempts.len(), 4);
    assert_eq!(refused, Err(ModelError::Failed { retry_after: None }));
    assert_eq!(stage.provider.asked(Fault::Unavailable.model()), 6);
    stage.assert_sums().await;
}

#[tokio::test]
async fn s05_a_reset_connection_may_have_been_billed_and_the_next_answers() {
    let stage = Stage::new();
    let gateway = backed(&stage, Fault::Reset);
    let alone = stage.gateway(&[Fault::Reset.model()]);

    let (_, answer) = stage.stream(&gateway, &ask("one two", 100)).await;
    let answer = answer.unwrap();
    let refused = stage.complete(&alone, &ask("one two", 100)).await;

    assert_eq!(answer.target, OTHER);
    assert_eq!(answer.attempts[0].outcome, "reset");
    assert!(answer.attempts[0].micros > LEAST_BOUND);
    assert!(answer.usage.estimated);
    assert_eq!(refused, Err(ModelError::Failed { retry_after: None }));
    assert_eq!(stage.provider.asked(Fault::Reset.model()), 1 + 3);
    stage.assert_sums().await;
}

#[tokio::test]
async fn s06_silence_ends_when_the_first_token_is_due() {
    let stage = Stage::new();
    let silent = stage.provider.target_with(
        Fault::Silent.model(),
        &json!({"timeouts": {"first_token_ms": 200, "total_ms": 300}}),
    );
    let gateway = stage.gateway_to(vec![silent, stage.provider.target(OTHER)]);

    let answers = both_ways(&stage, &gateway).await;

    assert!(answers.iter().all(|answer| answer.target == OTHER));
    assert_eq!(answers[0].attempts[0].outcome, "first_token_timeout");
    assert_eq!(answers[1].attempts[0].outcome, "timeout");
    assert!(
        answers[0].attempts[0].micros > LEAST_BOUND,
        "it may answer still"
    );
    stage.assert_sums().await;
}

#[tokio::test]
async fn s07_a_first_token_that_does_not_come_is_not_waited_for() {
    let stage = Stage::new();
    let gateway = backed(&stage, Fault::SlowFirstToken);

    let (heard, answer) = stage.stream(&gateway, &ask("one two", 100)).await;
    let answer = answer.unwrap();

    assert_eq!(answer.target, OTHER);
    assert_eq!(heard.text, text_of(60), "nothing of the first one was told");
    assert_eq!(answer.attempts[0].outcome, "first_token_timeout");
    stage.assert_sums().await;
}

#[tokio::test]
async fn s08_a_stream_that_is_cut_is_an_error_and_never_an_answer() {
    for (fault, code) in [(Fault::Cut, "cut"), (Fault::CutPolitely, "cut")] {
        let stage = Stage::new();
        let gateway = backed(&stage, fault);

        let (heard, answer) = stage.stream(&gateway, &ask("one two", 100)).await;
        let whole = stage
            .complete(&gateway, &ask("one two", 100))
            .await
            .unwrap();

        assert_eq!(answer, Err(ModelError::Interrupted { code }), "{fault:?}");
        assert_eq!(heard.text, text_of(BEFORE_CUT), "{fault:?}");
        assert_eq!(
            whole.target, OTHER,
            "a whole answer was told to nobody, so the next is asked"
        );
        assert!(stage.assert_sums().await > 2 * LEAST_BOUND);
    }
}

#[tokio::test]
async fn s09_a_stream_that_stalls_ends_when_it_has_been_idle() {
    let stage = Stage::new();
    let gateway = backed(&stage, Fault::Stall);

    let (heard, answer) = stage.stream(&gateway, &ask("one two", 100)).await;

    assert_eq!(answer, Err(ModelError::Interrupted { code: "stalled" }));
    assert_eq!(heard.text, text_of(BEFORE_STALL));
    assert_eq!(stage.provider.asked(OTHER), 0);
    assert!(stage.assert_sums().await > LEAST_BOUND);
}

#[tokio::test]
async fn s10_a_malformed_piece_costs_that_piece_only() {
    let stage = Stage::new();
    let gateway = backed(&stage, Fault::MalformedChunk);

    let (heard, answer) = stage.stream(&gateway, &ask("one two", 100)).await;
    let answer = answer.unwrap();

    assert_eq!(answer.target, Fault::MalformedChunk.model());
    assert_eq!(heard.text, text_of(60));
    assert_eq!(answer.cost.micros, 62);
    stage.assert_sums().await;
}

#[tokio::test]
async fn s11_a_missing_done_after_the_reason_is_fine() {
    let stage = Stage::new();
    let gateway = backed(&stage, Fault::NoDone);

    let (_, answer) = stage.stream(&gateway, &ask("one two", 100)).await;
    let answer = answer.unwrap();

    assert_eq!(
        (answer.target.as_str(), answer.finish),
        (Fault::NoDone.model(), Finish::Stop)
    );
    assert_eq!(answer.cost.micros, 62);
    stage.assert_sums().await;
}

#[tokio::test]
async fn s12_a_question_that_is_too_long_goes_to_who_has_more_room_only() {
    let stage = Stage::new();
    let small = stage
        .provider
        .target_with(Fault::ContextLength.model(), &json!({"context": 4096}));
    let same = stage
        .provider
        .target_with("same", &json!({"context": 4096}));
    let large = stage
        .provider
        .target_with("large", &json!({"context": 128_000}));
    let with_room = stage.gateway_to(vec![small.clone(), same.clone(), large]);
    let without = stage.gateway_to(vec![small, same]);

    let (_, answer) = stage.stream(&with_room, &ask("one two", 100)).await;
    let refused = stage.complete(&without, &ask("one two", 100)).await;

    assert_eq!(answer.unwrap().target, "large");
    assert_eq!(refused, Err(ModelError::ContextTooLong));
    assert_eq!(stage.provider.asked("same"), 0);
    assert_eq!(
        stage.provider.asked(Fault::ContextLength.model()),
        2,
        "once a question"
    );
    assert_eq!(stage.assert_sums().await, 62);
}

#[tokio::test]
async fn s13_filtered_content_is_shopped_around_to_nobody() {
    for fault in [Fault::ContentFilter, Fault::FilteredLate] {
        let stage = Stage::new();
        let gateway = backed(&stage, fault);

        let (_, streamed) = stage.stream(&gateway, &ask("one two", 100)).await;
        let whole = stage.complete(&gateway, &ask("one two", 100)).await;

        assert_eq!(streamed, Err(ModelError::Filtered), "{fault:?}");
        assert_eq!(whole, Err(ModelError::Filtered), "{fault:?}");
        assert_eq!(stage.provider.asked(fault.model()), 2, "{fault:?}");
        assert_eq!(stage.provider.asked(OTHER), 0, "{fault:?}");
        let paid = stage.assert_sums().await;
        assert_eq!(
            paid > 0,
            fault == Fault::FilteredLate,
            "tokens that were made are paid"
        );
    }
}

#[tokio::test]
async fn s14_a_refused_prefill_is_the_callers_to_mend() {
    let stage = Stage::new();
    let gateway = backed(&stage, Fault::PrefillRefused);
    let mut request = ask("one two", 100);
    request.messages.push(Message::assistant("Of course: "));

    let refused = stage.complete(&gateway, &request).await;
    let (_, answer) = stage.stream(&gateway, &ask("one two", 100)).await;

    let Err(ModelError::Refused { status, code, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(
        (status, code.as_deref()),
        (400, Some("prefill_not_supported"))
    );
    assert_eq!(answer.unwrap().target, Fault::PrefillRefused.model());
    assert_eq!(stage.provider.received().len(), 2);
    assert_eq!(stage.assert_sums().await, 62);
}

#[tokio::test]
async fn s15_an_endpoint_that_flaps_goes_on_being_used() {
    let stage = Stage::new();
    let gateway = backed(&stage, Fault::Flapping);

    for turn in 0..4 {
        let (heard, answer) = stage.stream(&gateway, &ask("one two", 100)).await;
        let answer = answer.unwrap();
        assert_eq!(answer.target, Fault::Flapping.model(), "{turn}");
        assert_eq!(heard.text, text_of(60));
    }

    assert_eq!(stage.provider.asked(Fault::Flapping.model()), 8);
    assert_eq!(stage.assert_sums().await, 4 * 62);
}

#[tokio::test]
async fn s16_tokens_are_counted_once_and_cached_ones_at_their_price() {
    let stage = Stage::new();
    let price = json!({"price": {"input_micros_per_million": 1_000_000,
        "cached_input_micros_per_million": 500_000, "output_micros_per_million": 2_000_000}});
    let target = stage
        .provider
        .target_with(Fault::Accounting.model(), &price);
    let gateway = stage.gateway_to(vec![target]);

    for answer in both_ways(&stage, &gateway).await {
        // Two words asked, one of them cached, sixty answered: 1 + 0.5 + 120, rounded up once.
        assert_eq!(
            (answer.usage.input, answer.usage.cached, answer.usage.output),
            (2, 1, 60)
        );
        assert_eq!(answer.cost.micros, 122);
    }
    assert_eq!(stage.assert_sums().await, 244);
}

#[tokio::test]
async fn an_answer_without_usage_is_charged_at_a_bound_and_says_so() {
    let stage = Stage::new();
    let gateway = stage.gateway(&[Fault::NoUsage.model()]);

    for answer in both_ways(&stage, &gateway).await {
        assert!(answer.usage.estimated);
        assert!(answer.usage.input >= 2 && answer.usage.output >= 60);
        assert!(answer.usage.output <= 100, "never more than was asked for");
        assert!(answer.cost.micros >= 62);
    }
    stage.assert_sums().await;
}

#[tokio::test]
async fn a_spent_quota_and_a_refused_key_are_not_asked_again() {
    for fault in [Fault::QuotaSpent, Fault::KeyRefused] {
        let stage = Stage::new();
        let gateway = backed(&stage, fault);

        for _ in 0..3 {
            let answer = stage
                .complete(&gateway, &ask("one two", 100))
                .await
                .unwrap();
            assert_eq!(
                (answer.target.as_str(), answer.cost.micros),
                (OTHER, 62),
                "{fault:?}"
            );
        }
        assert_eq!(stage.provider.asked(fault.model()), 1, "{fault:?}");
        stage.clock.advance(Duration::from_secs(61));
        stage
            .complete(&gateway, &ask("one two", 100))
            .await
            .unwrap();
        assert_eq!(
            stage.provider.asked(fault.model()),
            2,
            "it may be mended by now"
        );
        stage.assert_sums().await;
    }
}

#[tokio::test]
async fn what_is_no_answer_at_all_leads_to_the_next() {
    for (fault, code) in [
        (Fault::AllMalformed, "malformed"),
        (Fault::ErrorInStream, "server_error"),
        (Fault::Html, "cut"),
    ] {
        let stage = Stage::new();
        let gateway = backed(&stage, fault);

        let (heard, answer) = stage.stream(&gateway, &ask("one two", 100)).await;
        let answer = answer.unwrap();

        assert_eq!(answer.target, OTHER, "{fault:?}");
        assert_eq!(answer.attempts[0].outcome, code, "{fault:?}");
        assert_eq!(heard.text, text_of(60), "{fault:?}");
        stage.assert_sums().await;
    }
}

#[tokio::test]
async fn who_has_had_enough_pays_for_what_was_seen() {
    let stage = Stage::new();
    let gateway = stage.gateway(&[OTHER]);
    let mut heard = Heard {
        enough: Some(3),
        ..Heard::default()
    };

    let answer = gateway
        .stream(
            &stage.spender,
            stage.call(),
            &ask("one two", 10_000),
            stage.deadline(),
            &mut heard,
        )
        .await
        .unwrap();

    assert_eq!(
        (answer.finish, answer.text.as_str()),
        (Finish::Cancelled, text_of(3).as_str())
    );
    assert!(answer.usage.estimated);
    assert!(
        (3..500).contains(&answer.cost.micros),
        "{}",
        answer.cost.micros
    );
    stage.assert_sums().await;
}

#[tokio::test]
async fn who_cannot_be_told_is_told_no_more_and_pays() {
    let stage = Stage::new();
    let gateway = backed(&stage, Fault::NoDone);
    let mut deaf = Heard {
        fails: true,
        ..Heard::default()
    };

    let answer = gateway
        .stream(
            &stage.spender,
            stage.call(),
            &ask("one two", 100),
            stage.deadline(),
            &mut deaf,
        )
        .await;

    assert!(matches!(answer, Err(ModelError::Port(_))));
    assert_eq!(stage.provider.asked(OTHER), 0);
    assert!(stage.assert_sums().await > 0);
}

#[tokio::test]
async fn a_target_that_failed_twice_is_asked_last_by_every_process_until_its_time_is_over() {
    let stage = Stage::new();
    let (one, two) = (backed(&stage, Fault::Html), backed(&stage, Fault::Html));

    for _ in 0..2 {
        stage.complete(&one, &ask("one two", 100)).await.unwrap();
    }
    assert_eq!(stage.provider.asked(Fault::Html.model()), 2);
    // Another process has never asked it, and does not.
    let answer = stage.complete(&two, &ask("one two", 100)).await.unwrap();
    assert_eq!(answer.attempts.len(), 1);
    assert_eq!(stage.provider.asked(Fault::Html.model()), 2);
    stage.clock.advance(Duration::from_secs(6));
    stage.complete(&two, &ask("one two", 100)).await.unwrap();
    assert_eq!(stage.provider.asked(Fault::Html.model()), 3);
}

#[tokio::test]
async fn a_target_that_is_asked_last_is_asked_all_the_same() {
    let stage = Stage::new();
    let gateway = stage.gateway(&[Fault::KeyRefused.model(), Fault::Html.model()]);

    for _ in 0..3 {
        let refused = stage.complete(&gateway, &ask("one two", 100)).await;
        assert!(matches!(refused, Err(ModelError::Failed { .. })));
    }

    assert_eq!(stage.provider.asked(Fault::KeyRefused.model()), 3);
    assert_eq!(stage.provider.asked(Fault::Html.model()), 3);
}

#[tokio::test]
async fn one_retry_budget_holds_for_all_targets() {
    let stage = Stage::new();
    let down: Vec<_> = ["a", "b", "c", "d"]
        .iter()
        .map(|name| {
            stage
                .provider
                .target_with(Fault::Unavailable.model(), &json!({"name": name}))
        })
        .collect();
    let gateway = stage.gateway_to(down);

    let refused = stage.complete(&gateway, &ask("one two", 100)).await;

    assert!(matches!(refused, Err(ModelError::Failed { .. })));
    assert_eq!(stage.provider.asked(Fault::Unavailable.model()), 4 + 3);
}

#[tokio::test]
async fn without_time_nobody_is_asked_and_nothing_is_paid() {
    let stage = Stage::new();
    let gateway = stage.gateway(&[OTHER]);

    let late = gateway
        .complete(
            &stage.spender,
            stage.call(),
            &ask("one two", 100),
            stage.clock.now(),
        )
        .await;

    assert_eq!(late, Err(ModelError::TimedOut));
    assert!(stage.provider.received().is_empty());
    assert_eq!(stage.assert_sums().await, 0);
}
