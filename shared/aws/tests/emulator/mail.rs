//! The mail that the emulator would have sent.

use domain::Email;
use ports::mailer::Mail;
use serde_json::Value;

use crate::browser;

/// Every message from this sender, in order.
pub fn sent_by(emulator: &str, sender: &str) -> Vec<Mail> {
    let messages = all(emulator)
        .into_iter()
        .filter(|message| message["Source"] == sender);
    messages
        .map(|message| Mail {
            to: message["To"][0].as_str().unwrap().parse().unwrap(),
            subject: message["Subject"].as_str().unwrap().to_owned(),
            text: message["BodyText"].as_str().unwrap().to_owned(),
        })
        .collect()
}

/// The six digits in the newest message to this address.
pub fn code_for(emulator: &str, email: &Email) -> String {
    let newest = all(emulator)
        .into_iter()
        .rfind(|message| message["To"][0] == email.as_str());
    let newest = newest.expect("a message");
    let text = format!("{}\n{}", newest["BodyText"], newest["BodyHtml"]);
    let mut digits = text.split(|c: char| !c.is_ascii_digit());
    digits
        .find(|run| run.len() == 6)
        .expect("six digits")
        .to_owned()
}

fn all(emulator: &str) -> Vec<Value> {
    let answer = browser::get(&format!("{emulator}/_ministack/ses/messages"));
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    let accounts = answer["messages"].as_object().unwrap();
    accounts
        .values()
        .filter_map(Value::as_array)
        .flatten()
        .cloned()
        .collect()
}
