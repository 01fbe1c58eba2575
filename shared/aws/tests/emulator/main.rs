//! The contract of every port, kept by the adapters on real emulated services.
//!
//! The cloud is the one that `cargo fleet test` starts and names in `FLEET_OUTPUTS`. Each test makes
//! resources of its own in it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod browser;
mod cloud;
mod mail;

use cloud::Cloud;
use domain::Locale;
use ports::blobs::Download;
use ports::channels::{Channel, Channels, Frame};
use ports::clock::{Clock, SystemClock};
use ports::contract;
use ports::identity::{Credentials, IdentityError, SignIn, totp};
use ports::sockets::SocketError;
use ports::table::Query;
use secrecy::ExposeSecret;

#[tokio::test]
async fn the_table_keeps_the_contract() {
    let cloud = Cloud::running().await;
    let name = cloud.make_table().await;

    contract::table::holds_for(&*cloud.clients.table(name)).await;
}

#[tokio::test]
async fn the_blobs_keep_the_contract() {
    let cloud = Cloud::running().await;
    let bucket = cloud.make_bucket().await;
    let follow = |url: &str| {
        let answer = browser::get(url);
        (answer.status == 200).then(|| Download {
            file_name: answer.file_name(),
            blob: answer.into_blob(),
        })
    };

    contract::blobs::holds_for(&*cloud.clients.blobs(bucket), &follow).await;
}

#[tokio::test]
async fn the_uploads_keep_the_contract() {
    let cloud = Cloud::running().await;
    let bucket = cloud.make_bucket().await;

    contract::blobs::uploads::holds_for(&*cloud.clients.uploads(bucket), &|ticket, body| {
        browser::put(&ticket.url, &ticket.headers, body).status
    })
    .await;
}

#[tokio::test]
async fn files_in_parts_keep_the_contract() {
    let cloud = Cloud::running().await;
    let bucket = cloud.make_bucket().await;
    let blobs = cloud.clients.blobs(&bucket);

    contract::blobs::assembly::holds_for(&*blobs, &*cloud.clients.assembly(&bucket)).await;
}

#[tokio::test]
async fn a_link_without_its_signature_opens_nothing() {
    let cloud = Cloud::running().await;
    let bucket = cloud.make_bucket().await;
    let blobs = cloud.clients.blobs(bucket);
    let blob = ports::blobs::Blob {
        bytes: b"secret".to_vec(),
        content_type: "text/plain".into(),
    };
    blobs.put("org_1/a.txt", blob).await.unwrap();
    let link = blobs
        .link("org_1/a.txt", "a.txt", std::time::Duration::from_mins(1))
        .await
        .unwrap();
    let (address, _) = link.url.split_once('?').unwrap();

    assert_eq!(browser::get(&link.url).status, 200);
    assert_eq!(browser::get(address).status, 403);
    assert_eq!(
        browser::get(&link.url.replace("a.txt?", "b.txt?")).status,
        403
    );
}

#[tokio::test]
async fn the_queue_keeps_the_contract() {
    let cloud = Cloud::running().await;
    let url = cloud.make_queue().await;

    contract::queue::holds_for(&*cloud.clients.queue(&url), async |count| {
        cloud.receive(&url, count).await
    })
    .await;
}

#[tokio::test]
async fn the_bus_keeps_the_contract() {
    let cloud = Cloud::running().await;
    let url = cloud.make_queue().await;
    let bus = cloud.make_bus_into(&url).await;
    let published = async |count| {
        let messages = cloud.receive(&url, count).await;
        messages
            .iter()
            .map(|message| cloud::envelope(&message.body))
            .collect()
    };

    contract::bus::holds_for(&*cloud.clients.bus(bus), published).await;
}

#[tokio::test]
async fn the_channels_keep_the_contract() {
    let cloud = Cloud::running().await;
    let name = cloud.make_table().await;
    let channels = cloud.clients.channels(name, cloud.socket_endpoint());

    contract::channels::holds_for(&*channels).await;
}

#[tokio::test]
async fn a_connection_that_never_was_is_gone() {
    let cloud = Cloud::running().await;
    let sockets = cloud.clients.sockets(cloud.socket_endpoint());

    let sent = sockets.send("L0SM9cOFvHcCIhw=", "{}").await;

    assert_eq!(sent, Err(SocketError::Gone));
    assert_eq!(sockets.close("L0SM9cOFvHcCIhw=").await, Ok(()));
}

#[tokio::test]
async fn a_subscriber_who_is_gone_is_forgotten_by_the_first_push() {
    let cloud = Cloud::running().await;
    let name = cloud.make_table().await;
    let channels = cloud.clients.channels(&name, cloud.socket_endpoint());
    let channel = Channel::content(
        "org_00000000000000000000000000000001".parse().unwrap(),
        "con_00000000000000000000000000000002".parse().unwrap(),
    );
    let until = SystemClock.now() + jiff::SignedDuration::from_mins(15);
    let seat = channels.subscribe(&channel, "never-was", until, None);
    channels.begin(seat.await.unwrap()).await.unwrap();
    let rows = async || {
        let listening = Query::prefix(&channel, "sub#");
        let table = cloud.clients.table(&name);
        table.query(&listening).await.unwrap().items.len()
    };
    assert_eq!(rows().await, 1);

    let frame = Frame::new("content.done", serde_json::json!({}));
    assert_eq!(channels.publish(&channel, vec![frame]).await, Ok(1));

    assert_eq!(rows().await, 0);
}

#[tokio::test]
async fn the_mailer_keeps_the_contract() {
    let cloud = Cloud::running().await;
    let sender = cloud.make_sender().await;
    let mailbox = async || mail::sent_by(&cloud.url, &sender);

    contract::mailer::holds_for(&*cloud.clients.mailer(&sender), mailbox).await;
}

#[tokio::test]
async fn the_secrets_keep_the_contract() {
    let cloud = Cloud::running().await;
    let id = cloud.make_secret("its value").await;

    contract::secrets::holds_for(&*cloud.clients.secrets(), &id, "its value").await;
}

#[tokio::test]
async fn the_keys_keep_the_contract() {
    let cloud = Cloud::running().await;
    let key = cloud.make_key().await;

    contract::keys::holds_for(&*cloud.clients.keys(key)).await;
}

#[tokio::test]
async fn the_pool_keeps_the_contract() {
    let cloud = Cloud::running().await;
    let (pool, client) = cloud.make_pool().await;
    let stage = contract::identity::Stage {
        identity: &*cloud.clients.identity(pool, client),
        code_for: &|email| mail::code_for(&cloud.url, email),
        claims: &cloud::claims,
    };

    stage.holds().await;
}

#[tokio::test]
async fn a_second_factor_is_asked_for_and_checked() {
    let cloud = Cloud::running().await;
    let (pool, client) = cloud.make_pool().await;
    let identity = cloud.clients.identity(pool, client);
    let who = person();
    identity.sign_up(&who).await.unwrap();
    let code = mail::code_for(&cloud.url, &who.email);
    identity.confirm(&who.email, &code).await.unwrap();
    let sign_in = async || identity.sign_in(&who.email, &who.password).await.unwrap();
    let SignIn::Tokens(tokens) = sign_in().await else {
        panic!("no second factor is set up yet");
    };
    let secret = cloud.enrol_totp(tokens.access.expose_secret()).await;
    let SignIn::TotpChallenge { session } = sign_in().await else {
        panic!("a second factor is set up");
    };
    let answer = async |code: &str| identity.answer_totp(&who.email, &session, code).await;
    let right = totp::code(&secret, SystemClock.now());
    let wrong = if right == "000000" {
        "111111"
    } else {
        "000000"
    };

    assert_eq!(
        answer(wrong).await.unwrap_err(),
        IdentityError::CodeMismatch
    );
    assert!(answer(&right).await.unwrap().refresh.is_some());
}

fn person() -> Credentials {
    Credentials {
        email: "totp.contract@example.com".parse().unwrap(),
        password: "Correct horse 7 battery!".into(),
        name: "Ana".into(),
        locale: Locale::Es,
    }
}
