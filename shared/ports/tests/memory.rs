//! The contract, kept by the memory versions.

use std::sync::Arc;

use ports::blobs::MemoryBlobs;
use ports::blobs::uploads::SendError;
use ports::bus::MemoryBus;
use ports::channels::{MemoryChannels, StoredChannels};
use ports::clock::{Clock, ManualClock};
use ports::contract;
use ports::identity::MemoryIdentity;
use ports::identity::memory::TokenMint;
use ports::ids::SequentialIds;
use ports::keys::MemoryKeys;
use ports::mailer::MemoryMailer;
use ports::queue::MemoryQueue;
use ports::secrets::MemorySecrets;
use ports::sockets::MemorySockets;
use ports::table::MemoryTable;

#[tokio::test]
async fn the_memory_table_keeps_the_contract() {
    contract::table::holds_for(&*MemoryTable::shared()).await;
}

#[tokio::test]
async fn the_memory_blobs_keep_the_contract() {
    let clock = ManualClock::at_text("2026-01-02T03:04:05Z");
    let blobs = MemoryBlobs::shared(clock.clone());

    contract::blobs::holds_for(&*blobs, &|url| blobs.follow(url, clock.now()).ok()).await;
    contract::blobs::assembly::holds_for(&*blobs, &*blobs).await;
}

#[tokio::test]
async fn the_memory_uploads_keep_the_contract() {
    let blobs = MemoryBlobs::shared(ManualClock::at_text("2026-01-02T03:04:05Z"));

    contract::blobs::uploads::holds_for(&*blobs, &|ticket, body| {
        let received = blobs.receive(&ticket.url, &ticket.headers, body);
        received.map_or_else(SendError::status, |()| 200)
    })
    .await;
}

#[tokio::test]
async fn the_memory_queue_keeps_the_contract() {
    let queue = MemoryQueue::shared();

    contract::queue::holds_for(&*queue, async |_| queue.drain()).await;
}

#[tokio::test]
async fn the_memory_bus_keeps_the_contract() {
    let bus = MemoryBus::shared();

    contract::bus::holds_for(&*bus, async |_| bus.published()).await;
}

#[tokio::test]
async fn the_memory_channels_keep_the_contract() {
    contract::channels::holds_for(&*MemoryChannels::shared()).await;
}

#[tokio::test]
async fn channels_that_are_stored_in_memory_keep_the_contract() {
    let clock = ManualClock::at_text("2026-01-02T03:04:05Z");
    let (table, sockets) = (MemoryTable::shared(), MemorySockets::shared());
    let channels = StoredChannels::new(table, sockets, clock, SequentialIds::shared());

    contract::channels::holds_for(&channels).await;
}

#[tokio::test]
async fn the_memory_mailer_keeps_the_contract() {
    let mailer = MemoryMailer::shared();

    contract::mailer::holds_for(&*mailer, async || mailer.sent()).await;
}

#[tokio::test]
async fn the_memory_secrets_keep_the_contract() {
    let secrets = MemorySecrets::shared();
    secrets.set("a-secret", "its value");

    contract::secrets::holds_for(&*secrets, "a-secret", "its value").await;
}

#[tokio::test]
async fn the_memory_keys_keep_the_contract() {
    let keys = MemoryKeys::shared();

    contract::keys::holds_for(&*keys).await;
    contract::keys::a_changed_ciphertext_is_refused(&*keys).await;
}

#[tokio::test]
async fn the_memory_pool_keeps_the_contract() {
    let clock = ManualClock::at_text("2026-01-02T03:04:05Z");
    let mint: TokenMint = Arc::new(|claims| serde_json::to_string(claims).unwrap());
    let pool = MemoryIdentity::shared(clock, SequentialIds::shared(), mint);
    let stage = contract::identity::Stage {
        identity: &*pool,
        code_for: &|email| pool.code_for(email).unwrap(),
        claims: &|token| serde_json::from_str(token).unwrap(),
    };

    stage.holds().await;
}
