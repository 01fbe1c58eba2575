//! `fleet mail`: the e-mails that the fleet sent, which never leave this machine.

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    cloud::Cloud,
    console::say,
    emulator::Emulator,
    failure::{Failure, Outcome, While},
    layout::Layout,
};

/// What `fleet mail` can be asked for.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Show the whole message with this number.
    index: Option<usize>,
    /// Show the newest message to this address.
    #[arg(long, conflicts_with = "index")]
    to: Option<String>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

/// A message that was sent.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Mail {
    /// When, in RFC 3339 or as the emulator says it.
    #[serde(alias = "Timestamp")]
    pub time: Value,
    /// The sender.
    #[serde(alias = "Source")]
    pub from: String,
    /// The recipients.
    #[serde(alias = "To")]
    pub to: Vec<String>,
    /// The subject.
    #[serde(alias = "Subject")]
    pub subject: String,
    /// The plain text, empty when there is only HTML.
    #[serde(alias = "BodyText", default)]
    pub text: Option<String>,
    /// The HTML.
    #[serde(alias = "BodyHtml", default)]
    pub html: Option<String>,
    /// The six-digit code in it, if there is one.
    #[serde(default)]
    pub code: Option<String>,
}

/// Runs the command.
pub async fn run(options: &Options) -> Outcome {
    let emulator = Emulator::require(&Layout::developer())?;
    let all = inbox(&Cloud::new(emulator.url())?).await?;
    let chosen: Vec<(usize, &Mail)> = match (options.index, &options.to) {
        (Some(index), _) => vec![(
            index,
            all.get(index)
                .ok_or_else(|| none(&format!("with number {index}"), all.len()))?,
        )],
        (None, Some(address)) => {
            vec![newest(&all, address).ok_or_else(|| none(&format!("to {address}"), all.len()))?]
        }
        (None, None) => all.iter().enumerate().collect(),
    };
    if options.json {
        let mails: Vec<_> = chosen.iter().map(|(_, mail)| mail).collect();
        say(serde_json::to_string_pretty(&mails).during("writing mails")?);
    } else if options.index.is_some() || options.to.is_some() {
        for (index, mail) in chosen {
            show(index, mail);
        }
    } else {
        for (index, mail) in chosen {
            say(line(index, mail));
        }
    }
    Ok(())
}

/// Every message of the emulator, oldest first.
pub async fn inbox(cloud: &Cloud) -> Outcome<Vec<Mail>> {
    let answer = cloud
        .plain("GET", "/_ministack/ses/messages", &[], Vec::new())
        .await?
        .accepted("reading the mail")?
        .json();
    let mut mails = Vec::new();
    for message in answer["messages"]
        .as_object()
        .into_iter()
        .flat_map(|accounts| accounts.values())
        .filter_map(Value::as_array)
        .flatten()
    {
        let mut mail: Mail = serde_json::from_value(message.clone()).during("reading a mail")?;
        mail.code = code(mail.text.as_deref().unwrap_or_default())
            .or_else(|| code(mail.html.as_deref().unwrap_or_default()));
        mails.push(mail);
    }
    Ok(mails)
}

/// The newest message to an address, with its number.
pub fn newest<'a>(mails: &'a [Mail], address: &str) -> Option<(usize, &'a Mail)> {
    mails
        .iter()
        .enumerate()
        .rev()
        .find(|(_, mail)| mail.to.iter().any(|to| to.eq_ignore_ascii_case(address)))
}

fn none(which: &str, count: usize) -> Failure {
    Failure::new(format!("no mail {which}; there are {count}"))
}

fn line(index: usize, mail: &Mail) -> String {
    let code = mail
        .code
        .as_deref()
        .map(|code| format!("  [{code}]"))
        .unwrap_or_default();
    format!("{index:>4}  {}  {}{code}", mail.to.join(", "), mail.subject)
}

fn show(index: usize, mail: &Mail) {
    say(format_args!(
        "#{index}\nFrom:    {}\nTo:      {}\nSubject: {}",
        mail.from,
        mail.to.join(", "),
        mail.subject
    ));
    if let Some(code) = &mail.code {
        say(format_args!("Code:    {code}"));
    }
    let text = mail.text.as_deref().filter(|text| !text.is_empty());
    say(format_args!(
        "\n{}",
        text.or(mail.html.as_deref()).unwrap_or_default()
    ));
}

/// The first run of exactly six digits that is no part of a longer word, a colour (`#112233`) for instance.
fn code(text: &str) -> Option<String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric() && letter != '#');
    words
        .into_iter()
        .find(|word| word.len() == 6 && word.bytes().all(|byte| byte.is_ascii_digit()))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_the_lone_run_of_six_digits() {
        assert_eq!(code("Your code is 012345."), Some("012345".to_owned()));
        assert_eq!(
            code("<p style='color:#112233'>código <b>987654</b></p>"),
            Some("987654".to_owned())
        );
        assert_eq!(code("order 1234567, year 2026"), None);
    }

    #[test]
    fn the_newest_message_to_an_address_is_found_whatever_its_case() {
        let mail = |to: &str, subject: &str| -> Mail {
            serde_json::from_value(serde_json::json!({"Timestamp": 1, "Source": "a@b", "To": [to], "Subject": subject})).unwrap()
        };
        let mails = [
            mail("Ada@example.com", "first"),
            mail("ada@example.com", "second"),
            mail("bob@example.com", "third"),
        ];

        assert_eq!(
            newest(&mails, "ADA@example.com").unwrap().1.subject,
            "second"
        );
        assert!(newest(&mails, "eve@example.com").is_none());
    }
}
