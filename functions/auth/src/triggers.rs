//! The words of the user pool's mail, in the reader's language (Cognito's `CustomMessage` trigger).
//!
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-custom-message.html>

use domain::Locale;
use serde_json::{Value, json};

/// A message: the code stands where the pool's placeholder is.
struct Message {
    subject: &'static str,
    /// What stands before the code, as HTML.
    before: &'static str,
    /// What stands after it, as HTML.
    after: &'static str,
}

/// Answers a trigger: words the message of the ones that send a code, and passes all others through.
///
/// The person's name is not in the message: whoever signs a stranger up chooses it, and would have us
/// deliver their text.
pub fn answer(mut event: Value) -> Value {
    let locale = locale(&event["request"]);
    let source = event["triggerSource"].as_str().unwrap_or_default();
    let Some(message) = message(source, locale) else {
        return event;
    };
    let placeholder = event["request"]["codeParameter"]
        .as_str()
        .unwrap_or("{####}");
    let Message {
        subject,
        before,
        after,
    } = message;
    let body = format!("<p>{before}</p><p><strong>{placeholder}</strong></p><p>{after}</p>");
    event["response"]["emailSubject"] = json!(subject);
    event["response"]["emailMessage"] = json!(body);
    event
}

/// What the call asks for, then what the person chose when they signed up.
fn locale(request: &Value) -> Locale {
    [
        &request["clientMetadata"]["locale"],
        &request["userAttributes"]["locale"],
    ]
    .into_iter()
    .find_map(|tag| Locale::from_tag(tag.as_str()?))
    .unwrap_or_default()
}

fn message(source: &str, locale: Locale) -> Option<Message> {
    Some(match (source, locale) {
        ("CustomMessage_SignUp" | "CustomMessage_ResendCode", Locale::Es) => Message {
            subject: "Tu código de confirmación",
            before: "Este es el código para confirmar tu dirección de correo:",
            after: "Caduca en 24 horas. Si no has sido tú, no hagas nada: sin el código nadie puede usar la cuenta.",
        },
        ("CustomMessage_SignUp" | "CustomMessage_ResendCode", Locale::En) => Message {
            subject: "Your confirmation code",
            before: "This is the code that confirms your e-mail address:",
            after: "It expires in 24 hours. If this was not you, do nothing: nobody can use the account without it.",
        },
        ("CustomMessage_ForgotPassword", Locale::Es) => Message {
            subject: "Ya tienes una cuenta: código para una nueva contraseña",
            before: "Alguien ha pedido una nueva contraseña, o ha intentado registrarse con esta dirección, que ya \
                     tiene una cuenta. Si has sido tú y recuerdas tu contraseña, inicia sesión. Si no la recuerdas, \
                     este es el código para elegir otra:",
            after: "Caduca en una hora. Si no has sido tú, no hagas nada: tu contraseña no ha cambiado.",
        },
        ("CustomMessage_ForgotPassword", Locale::En) => Message {
            subject: "You have an account: code for a new password",
            before: "Somebody asked for a new password, or tried to sign up with this address, which has an account \
                     already. If it was you and you know your password, sign in. If you do not, this is the code \
                     to choose another:",
            after: "It expires in one hour. If this was not you, do nothing: your password has not changed.",
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(source: &str, locale: Option<&str>) -> Value {
        let mut event: Value =
            serde_json::from_str(include_str!("../../../events/auth-triggers/sign-up.json"))
                .unwrap();
        event["triggerSource"] = json!(source);
        event["request"]["userAttributes"]["locale"] = json!(locale);
        event
    }

    #[test]
    fn each_message_exists_in_both_languages_and_keeps_the_code() {
        for source in [
            "CustomMessage_SignUp",
            "CustomMessage_ResendCode",
            "CustomMessage_ForgotPassword",
        ] {
            let [es, en] = ["es-MX", "en"]
                .map(|locale| answer(event(source, Some(locale)))["response"].clone());

            assert_ne!(es["emailSubject"], en["emailSubject"]);
            for response in [es, en] {
                assert_eq!(
                    response["emailMessage"]
                        .as_str()
                        .unwrap()
                        .matches("{####}")
                        .count(),
                    1
                );
                assert!(!response["emailSubject"].as_str().unwrap().contains('\n'));
            }
        }
    }

    #[test]
    fn the_call_may_ask_for_another_language_than_the_person_has() {
        let mut event = event("CustomMessage_SignUp", Some("en"));
        event["request"]["clientMetadata"] = json!({"locale": "es"});

        assert_eq!(
            answer(event)["response"]["emailSubject"],
            "Tu código de confirmación"
        );
    }

    #[test]
    fn whoever_has_no_language_reads_english() {
        assert_eq!(
            answer(event("CustomMessage_SignUp", None))["response"]["emailSubject"],
            "Your confirmation code"
        );
        assert_eq!(
            answer(event("CustomMessage_SignUp", Some("de")))["response"]["emailSubject"],
            "Your confirmation code"
        );
    }

    #[test]
    fn other_triggers_pass_through() {
        for source in ["PreSignUp_SignUp", "CustomMessage_AdminCreateUser", ""] {
            let event = event(source, Some("es"));

            assert_eq!(answer(event.clone()), event);
        }
        assert_eq!(answer(json!({})), json!({}));
    }

    #[test]
    fn the_name_that_somebody_chose_is_not_delivered() {
        let mut event = event("CustomMessage_SignUp", Some("en"));
        event["request"]["userAttributes"]["name"] = json!("<a href=https://example.com>Win</a>");

        assert!(
            !answer(event)["response"]
                .to_string()
                .contains("example.com")
        );
    }

    #[test]
    fn every_sample_event_gets_its_words() {
        let samples = std::fs::read_dir(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../events/auth-triggers"
        ))
        .unwrap();
        for sample in samples {
            let path = sample.unwrap().path();
            let event: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();

            let answered = answer(event.clone());

            assert_eq!(answered["request"], event["request"]);
            assert!(
                answered["response"]["emailMessage"]
                    .as_str()
                    .unwrap()
                    .contains("{####}"),
                "{}",
                path.display()
            );
        }
    }
}
