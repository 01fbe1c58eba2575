//! `fleet demo`: the story of the fleet, from signing up to a PDF, told step by step.

use std::fs;

use serde_json::{Value, json};

use crate::{
    console::say,
    failure::{Failure, Outcome, While},
    layout::Layout,
    person::Person,
};

/// Runs the command.
pub async fn run() -> Outcome {
    let layout = Layout::developer();
    let mut ada = Person::stranger(&layout, "demo")?;
    let account = ada.sign_up().await?;
    say(format_args!(
        "1. POST /v1/auth/signup        {} is {}",
        plain(&account["user_id"]),
        plain(&account["status"])
    ));
    let (code, confirmed) = ada.confirm().await?;
    say(format_args!(
        "2. POST /v1/auth/confirm       the mail says {code}: {}",
        plain(&confirmed["status"])
    ));
    let tokens = ada.log_in().await?;
    say(format_args!(
        "3. POST /v1/auth/login         a token for {} s",
        tokens["expires_in"]
    ));
    let me = ada.call("GET", "/v1/users/me", None).await?.json();
    say(format_args!(
        "4. GET  /v1/users/me           {} ({}), roles {}",
        plain(&me["name"]),
        plain(&me["id"]),
        me["roles"]
    ));
    let pdf = invoice(&mut ada).await?;
    let path = layout.home().join("demo-invoice.pdf");
    fs::write(&path, &pdf).during(format_args!("writing {}", path.display()))?;
    say(format_args!(
        "6. GET  the download link      {} bytes -> {}",
        pdf.len(),
        path.display()
    ));
    Ok(())
}

/// A value as a person reads it: a text without its quotes.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Asks for an invoice with the sample data that the template itself offers, and fetches it.
async fn invoice(ada: &mut Person) -> Outcome<Vec<u8>> {
    let template = ada
        .call("GET", "/v1/document-templates/invoice", None)
        .await?
        .json();
    let data = template["samples"][0].clone();
    let order = json!({ "template": "invoice", "data": data, "format": "pdf" });
    let document = ada
        .call("POST", "/v1/documents", Some(&order))
        .await?
        .json();
    say(format_args!(
        "5. POST /v1/documents          {} is {}, {} page(s)",
        plain(&document["id"]),
        plain(&document["status"]),
        document["pages"]
    ));
    let link = document["download_url"]
        .as_str()
        .ok_or_else(|| Failure::new(format!("no link in {document}")))?;
    ada.follow(link).await
}
