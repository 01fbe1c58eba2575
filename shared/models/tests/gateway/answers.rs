//! Questions that are answered, over real sockets.

use crate::support::{Stage, ask};
use models::{ChatRequest, Finish, Message, ModelError};

#[tokio::test]
async fn a_question_is_answered_and_paid_for() {
    let stage = Stage::new();
    let gateway = stage.gateway(&["small-1"]);

    let answer = stage
        .complete(&gateway, &ask("one two three", 100))
        .await
        .unwrap();

    assert_eq!(answer.text, models::testing::text_of(60));
    assert_eq!(answer.finish, Finish::Stop);
    assert_eq!((answer.usage.input, answer.usage.output), (3, 60));
    assert_eq!(answer.cost.micros, 63);
    assert!(answer.settled && !answer.usage.estimated);
    let received = stage.provider.received();
    assert_eq!(received[0].authorization.as_deref(), Some("Bearer sk-test"));
    assert_eq!(received[0].path, "/v1/chat/completions");
    stage.assert_sums().await;
}

#[tokio::test]
async fn without_a_target_nobody_is_asked() {
    let stage = Stage::new();
    let none = stage.gateway(&[]);
    let one = stage.gateway(&["small-1"]);
    let mut other = ask("Hola", 10);
    other.model = Some("large-1".into());

    assert_eq!(
        stage.complete(&none, &ask("Hola", 10)).await,
        Err(ModelError::NoTarget)
    );
    assert_eq!(
        stage.complete(&one, &other).await,
        Err(ModelError::UnknownModel)
    );
    let empty = ChatRequest::new(Vec::<Message>::new(), 10);
    assert!(matches!(
        stage.complete(&one, &empty).await,
        Err(ModelError::Invalid(_))
    ));
    assert!(stage.provider.received().is_empty());
}
