//! What every mail service must do.

use super::assert_refused;
use crate::mailer::{Mail, Mailer};

/// Runs every check. `mailbox` gives the messages that arrived, in order.
pub async fn holds_for(mailer: &dyn Mailer, mailbox: impl AsyncFn() -> Vec<Mail>) {
    let mail = |subject: &str| Mail {
        to: "ana+contract@example.com".parse().expect("an address"),
        subject: subject.into(),
        text: "Hola, Ana:\n\nTu factura está lista. 🦤\n".into(),
    };

    assert_refused(
        mailer.send(mail("a\r\nBcc: x@example.com")).await,
        "a subject with a second header in it",
    );
    assert_refused(mailer.send(mail("")).await, "an empty subject");
    assert_eq!(mailer.send(mail("Tu código: ñ")).await, Ok(()));
    assert_eq!(mailbox().await, vec![mail("Tu código: ñ")]);
}
