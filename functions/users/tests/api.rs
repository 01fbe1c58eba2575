//! Profiles and organisations as their owner sees them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use domain::id::Id;
use domain::{Account, Caller, Envelope, Event, Locale, OrganisationRole, PlatformRole};
use http::StatusCode;
use ports::clock::ManualClock;
use ports::faults::Fault;
use ports::ids::SequentialIds;
use ports::table::{If, Item, Key, MemoryTable, Query, Table, Write};
use runtime::testing::{Answer, Call};
use runtime::{Api, Platform};
use serde_json::{Value, json};
use users::Users;

struct World {
    api: Api,
    users: Arc<Users>,
    table: Arc<MemoryTable>,
    caller: Caller,
}

async fn world() -> World {
    let (table, accounts) = (MemoryTable::shared(), MemoryTable::shared());
    let (clock, ids) = (
        ManualClock::at_text("2026-01-02T03:04:05Z"),
        SequentialIds::shared(),
    );
    let account = Account {
        user: "usr_00000000000000000000000000000001".parse().unwrap(),
        organisation: "org_00000000000000000000000000000002".parse().unwrap(),
        email: "ana@example.com".parse().unwrap(),
        name: "Ana".into(),
        locale: Locale::Es,
        platform_role: PlatformRole::User,
        created_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        confirmed_at: None,
        not_before: None,
    };
    let row = Item::new(Key::new(account.user, Account::SORT), &account);
    accounts
        .write(vec![Write::Put(row, If::Absent)])
        .await
        .unwrap();
    let users = Arc::new(Users {
        table: table.clone(),
        accounts,
        clock: clock.clone(),
        ids: ids.clone(),
    });
    let platform = Platform {
        requests: MemoryTable::shared(),
        clock,
        ids,
    };
    let caller = Caller::new(
        account.user,
        account.organisation,
        "ses_00000000000000000000000000000003".parse().unwrap(),
        PlatformRole::User,
        Some(OrganisationRole::Owner),
    );
    World {
        api: Api::new(users::api::routes(users.clone()), platform).unwrap(),
        users,
        table,
        caller,
    }
}

impl World {
    async fn send(&self, call: Call) -> Answer {
        call.by(&self.caller).send(&self.api.router()).await
    }

    async fn events(&self) -> Vec<Value> {
        let rows = self
            .table
            .query(&Query::prefix(self.caller.user, "event#"))
            .await
            .unwrap();
        rows.items
            .into_iter()
            .map(|row| row.attributes["envelope"].clone())
            .collect()
    }
}

fn confirmed(user: Id<domain::id::User>, organisation: Id<domain::id::Organisation>) -> Envelope {
    Envelope {
        id: "evt_00000000000000000000000000000009".parse().unwrap(),
        time: "2026-01-02T03:04:05Z".parse().unwrap(),
        version: 1,
        org: organisation,
        trace: None,
        causation: None,
        event: Event::UserConfirmed { user },
    }
}

#[tokio::test]
async fn the_first_request_finds_a_profile_without_waiting_for_the_event() {
    let world = world().await;

    let me = world.send(Call::get("/v1/users/me")).await;

    assert_eq!(
        me.json(),
        json!({
            "id": "usr_00000000000000000000000000000001", "email": "ana@example.com", "name": "Ana", "locale": "es",
            "time_zone": "Etc/UTC", "roles": ["user", "owner"],
            "organisation": "org_00000000000000000000000000000002", "created_at": "2026-01-01T00:00:00Z"
        })
    );
    assert_eq!(me.header("etag"), Some("\"v1\""));
}

#[tokio::test]
async fn event_and_first_request_together_make_one_profile_in_any_order() {
    let world = world().await;
    let event = confirmed(world.caller.user, world.caller.organisation);

    world.users.on(&event).await.unwrap();
    world.send(Call::get("/v1/users/me")).await;
    world.users.on(&event).await.unwrap();

    let events = world.events().await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(
        (&events[0]["type"], &events[0]["causation"]),
        (&json!("users.created"), &json!(event.id))
    );
}

#[tokio::test]
async fn a_lost_acknowledgement_makes_no_second_profile() {
    let world = world().await;
    // The calls are: read the profile, write; the write happens and its answer is lost.
    world.table.faults().fail_call(1, Fault::After);

    let failed = world.send(Call::get("/v1/users/me")).await;
    let again = world.send(Call::get("/v1/users/me")).await;

    assert_eq!(
        (failed.status.as_u16(), again.status),
        (503, StatusCode::OK)
    );
    assert_eq!(world.events().await.len(), 1);
}

#[tokio::test]
async fn a_change_is_seen_and_announced_with_the_names_of_its_fields() {
    let world = world().await;
    let patch = json!({"name": "Ana María", "time_zone": "Europe/Madrid"});

    let changed = world
        .send(
            Call::new("PATCH", "/v1/users/me")
                .json(&patch)
                .header("if-match", "\"v1\""),
        )
        .await;

    assert_eq!(
        (changed.status, changed.header("etag")),
        (StatusCode::OK, Some("\"v2\""))
    );
    assert_eq!(changed.json()["name"], "Ana María");
    let last = world.events().await.pop().unwrap();
    assert_eq!(last["data"]["fields"], json!(["name", "time_zone"]));
}

#[tokio::test]
async fn a_change_of_an_old_reading_is_refused() {
    let world = world().await;
    world
        .send(Call::new("PATCH", "/v1/users/me").json(&json!({"name": "B"})))
        .await;

    let refused = world
        .send(
            Call::new("PATCH", "/v1/users/me")
                .json(&json!({"name": "C"}))
                .header("if-match", "\"v1\""),
        )
        .await;

    assert_eq!(refused.code().as_deref(), Some("version_mismatch"));
    assert_eq!(
        world.send(Call::get("/v1/users/me")).await.json()["name"],
        "B"
    );
}

#[tokio::test]
async fn every_bad_field_is_named_at_once() {
    let world = world().await;
    let patch = json!({"name": "\u{7}", "time_zone": "Mars/Olympus"});

    let refused = world
        .send(Call::new("PATCH", "/v1/users/me").json(&patch))
        .await;

    let pointers: Vec<Value> = refused.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["pointer"].clone())
        .collect();
    assert_eq!(
        (refused.status.as_u16(), pointers),
        (422, vec![json!("/name"), json!("/time_zone")])
    );
}

#[tokio::test]
async fn a_person_lists_the_organisations_that_they_belong_to() {
    let world = world().await;
    world.send(Call::get("/v1/users/me")).await;

    let listed = world.send(Call::get("/v1/orgs")).await.json();

    assert_eq!(listed["next_cursor"], Value::Null);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["role"], "owner");
}
