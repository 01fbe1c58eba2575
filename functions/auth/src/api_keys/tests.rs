//! Keys through the routes as people manage them, and cut off at every call.

use std::time::Duration;

use domain::id::{ApiKey, Id};
use domain::{Caller, Event, OrganisationRole, PlatformRole};
use ports::clock::Clock;
use ports::faults::{Fault, Faults};
use runtime::Api;
use runtime::testing::{Answer, Call};
use serde_json::{Value, json};

use crate::api_key::{ApiKeyRow, KeyText};
use crate::world::World;

const KEYS: &str = "/v1/api-keys";

fn member(role: OrganisationRole) -> Caller {
    Caller::new(
        "usr_00000000000000000000000000000001".parse().unwrap(),
        "org_00000000000000000000000000000002".parse().unwrap(),
        "ses_00000000000000000000000000000003".parse().unwrap(),
        PlatformRole::User,
        Some(role),
    )
}

fn admin() -> Caller {
    member(OrganisationRole::Admin)
}

fn owner() -> Caller {
    Caller {
        user: "usr_00000000000000000000000000000009".parse().unwrap(),
        ..member(OrganisationRole::Owner)
    }
}

fn wanted() -> Value {
    json!({"name": " CI ", "permissions": ["documents:read", "documents:create"]})
}

fn program(permissions: &[&str]) -> Caller {
    let given = permissions.iter().map(|&permission| permission.to_owned());
    let admin = admin();
    Caller::with_key(
        admin.user,
        admin.organisation,
        "key_00000000000000000000000000000004".parse().unwrap(),
        &given.collect(),
        PlatformRole::User,
        OrganisationRole::Owner,
    )
}

struct Desk {
    world: World,
    api: Api,
}

impl Desk {
    fn new() -> Self {
        let world = World::new();
        let api = world.api();
        Self { world, api }
    }

    async fn send(&self, by: &Caller, call: Call) -> Answer {
        call.by(by).send(&self.api.router()).await
    }

    async fn create(&self, by: &Caller, body: &Value) -> Answer {
        self.send(by, Call::post(KEYS, body)).await
    }

    /// A key of the admin's: its id and its path.
    async fn key(&self) -> (String, String) {
        let made = self.create(&admin(), &wanted()).await;
        assert_eq!(made.status, 201, "{:?}", made.json());
        let id = made.json()["id"].as_str().unwrap().to_owned();
        (id.clone(), format!("{KEYS}/{id}"))
    }

    fn rows(&self) -> Vec<ApiKeyRow> {
        let rows = self.world.table.rows();
        let keys = rows.iter().filter(|row| row.key.sk.starts_with("key#"));
        keys.map(|row| row.parse().unwrap()).collect()
    }

    fn names(&self) -> Vec<&'static str> {
        self.world.events().iter().map(Event::name).collect()
    }

    fn tally(&self) -> Value {
        let rows = self.world.table.rows();
        let tally = rows.iter().find(|row| row.key.sk == "keys").unwrap();
        tally.attributes["keys"].clone()
    }
}

fn outcome(answer: &Answer) -> (u16, Option<String>) {
    (answer.status.as_u16(), answer.code())
}

#[tokio::test]
async fn a_key_is_made_shown_once_listed_changed_and_revoked() {
    let desk = Desk::new();
    let body = json!({"name": "CI", "permissions": ["documents:read"], "expires_at": "2027-01-01T00:00:00Z"});

    let made = desk.create(&admin(), &body).await;

    assert_eq!(made.status, 201);
    let mut names: Vec<_> = made.json().as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["id", "key"]);
    let text = made.json()["key"].as_str().unwrap().to_owned();
    let path = format!("{KEYS}/{}", made.json()["id"].as_str().unwrap());
    let read = desk.send(&admin(), Call::get(&path)).await;
    assert_eq!(
        read.json(),
        json!({
            "id": made.json()["id"], "name": "CI", "permissions": ["documents:read"],
            "created_by": admin().user, "created_at": desk.world.clock.now(), "minted_at": desk.world.clock.now(),
            "expires_at": "2027-01-01T00:00:00Z", "last_used_at": null
        })
    );
    assert_eq!(read.header("etag"), Some("\"v1\""));
    let patch = json!({"name": "Nightly", "permissions": ["documents:create"]});
    let call = Call::new("PATCH", &path).json(&patch);
    let stale = call.clone().header("if-match", "\"v7\"");
    assert_eq!(
        outcome(&desk.send(&admin(), stale).await),
        (412, Some("version_mismatch".into()))
    );
    let changed = desk.send(&admin(), call.header("if-match", "\"v1\"")).await;
    assert_eq!(
        (&changed.json()["name"], &changed.json()["permissions"]),
        (&json!("Nightly"), &json!(["documents:create"]))
    );
    assert_eq!(changed.header("etag"), Some("\"v2\""));
    let listed = desk.send(&admin(), Call::get(KEYS)).await;
    assert_eq!(listed.json()["items"], json!([changed.json()]));
    assert_eq!(
        desk.send(&admin(), Call::new("DELETE", &path)).await.status,
        204
    );
    for call in [Call::get(&path), Call::new("DELETE", &path)] {
        assert_eq!(desk.send(&admin(), call).await.status, 404);
    }
    assert_eq!(
        desk.names(),
        [
            "auth.api_key_created",
            "auth.api_key_changed",
            "auth.api_key_revoked"
        ]
    );
    for row in desk.world.table.changes() {
        let stored = format!("{row:?}");
        assert!(!stored.contains(&text[62..]), "{stored}");
    }
}

#[tokio::test]
async fn nobody_gives_away_what_they_do_not_have() {
    let desk = Desk::new();
    for (permission, detail) in [
        ("documents:fly", "There is no such permission"),
        ("api-keys:manage", "An API key cannot have this permission"),
        ("profile:read", "An API key cannot have this permission"),
        (
            "billing:manage",
            "You do not have this permission, so you cannot give it",
        ),
    ] {
        let (_, path) = desk.key().await;
        let list = json!(["documents:read", permission]);
        for call in [
            Call::post(KEYS, &json!({"name": "x", "permissions": list})),
            Call::new("PATCH", &path).json(&json!({ "permissions": list })),
        ] {
            let refused = desk
                .send(&admin(), call.header("accept-language", "en"))
                .await;

            assert_eq!(
                outcome(&refused),
                (422, Some("validation_failed".into())),
                "{permission}"
            );
            assert_eq!(
                refused.json()["errors"],
                json!([{"pointer": "/permissions/1", "detail": detail}])
            );
        }
    }
    let owners = json!({"name": "x", "permissions": ["billing:manage"]});
    assert_eq!(desk.create(&owner(), &owners).await.status, 201);
}

#[tokio::test]
async fn what_does_not_fit_is_named() {
    let desk = Desk::new();
    let (_, path) = desk.key().await;
    let create = |body| Call::post(KEYS, &body);
    for (call, pointer) in [
        (
            create(json!({"name": " ", "permissions": ["documents:read"]})),
            "/name",
        ),
        (
            create(json!({"name": "a\nb", "permissions": ["documents:read"]})),
            "/name",
        ),
        (
            create(json!({"name": "x", "permissions": []})),
            "/permissions",
        ),
        (create(json!({"name": "x"})), "/permissions"),
        (
            create(json!({"name": "x", "permissions": [1]})),
            "/permissions/0",
        ),
        (
            create(
                json!({"name": "x", "permissions": ["documents:read"], "expires_at": "2020-01-01T00:00:00Z"}),
            ),
            "/expires_at",
        ),
        (
            create(json!({"name": "x", "permissions": ["documents:read"], "expires_at": "soon"})),
            "/expires_at",
        ),
        (
            create(json!({"name": "x", "permissions": ["documents:read"], "admin": true})),
            "/admin",
        ),
        (
            Call::new("PATCH", &path).json(&json!({"name": ""})),
            "/name",
        ),
        (
            Call::new("PATCH", &path).json(&json!({"key": "flt_"})),
            "/key",
        ),
        (
            Call::post(&format!("{path}/reroll"), &json!({})),
            "/grace_seconds",
        ),
        (
            Call::post(
                &format!("{path}/reroll"),
                &json!({"grace_seconds": 604_801}),
            ),
            "/grace_seconds",
        ),
    ] {
        let refused = desk.send(&admin(), call).await;

        assert!(matches!(refused.status.as_u16(), 400 | 422), "{pointer}");
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer);
    }
}

#[tokio::test]
async fn a_key_manages_no_keys_and_ends_no_sessions() {
    let desk = Desk::new();
    let (_, path) = desk.key().await;
    let key = Caller {
        // As if something had gone wrong elsewhere.
        permissions: admin().permissions,
        ..program(&[])
    };
    for call in [
        Call::post(KEYS, &wanted()),
        Call::get(KEYS),
        Call::get(&path),
        Call::new("PATCH", &path).json(&json!({"name": "x"})),
        Call::new("DELETE", &path),
        Call::post(&format!("{path}/reroll"), &json!({"grace_seconds": 0})),
        Call::new("POST", "/v1/auth/logout?scope=global"),
    ] {
        let refused = desk.send(&key, call.clone()).await;

        assert_eq!(
            outcome(&refused),
            (403, Some("person_required".into())),
            "{call:?}"
        );
    }
    assert_eq!(desk.rows().len(), 1);
}

#[tokio::test]
async fn a_key_learns_what_it_is_and_a_person_is_told_that_they_are_none() {
    let desk = Desk::new();
    let (id, _) = desk.key().await;
    let key = Caller {
        key: Some(id.parse().unwrap()),
        ..program(&["documents:read"])
    };

    let itself = desk.send(&key, Call::get("/v1/api-keys/whoami")).await;
    let person = desk.send(&admin(), Call::get("/v1/api-keys/whoami")).await;

    assert_eq!(
        itself.json(),
        json!({
            "id": id, "name": "CI", "organisation": admin().organisation, "created_by": admin().user,
            "permissions": ["documents:read"], "expires_at": null
        })
    );
    assert_eq!(outcome(&person), (403, Some("api_key_required".into())));
}

#[tokio::test]
async fn another_organisations_key_does_not_exist() {
    let desk = Desk::new();
    let (_, path) = desk.key().await;
    let stranger = Caller {
        organisation: "org_00000000000000000000000000000007".parse().unwrap(),
        ..owner()
    };
    for call in [
        Call::get(&path),
        Call::new("PATCH", &path).json(&json!({"name": "x"})),
        Call::new("DELETE", &path),
        Call::post(&format!("{path}/reroll"), &json!({"grace_seconds": 0})),
    ] {
        assert_eq!(
            outcome(&desk.send(&stranger, call).await),
            (404, Some("not_found".into()))
        );
    }
    let listed = desk.send(&stranger, Call::get(KEYS)).await;
    assert_eq!(listed.json(), json!({"items": [], "next_cursor": null}));
    assert_eq!(desk.rows().len(), 1);
}

#[tokio::test]
async fn an_organisation_has_a_hundred_keys_and_a_revoked_one_makes_room() {
    let desk = Desk::new();
    let (_, path) = desk.key().await;
    for _ in 1..100 {
        desk.key().await;
    }

    let refused = desk.create(&admin(), &wanted()).await;
    let mut seen = 0;
    let mut next = format!("{KEYS}?limit=30");
    loop {
        let page = desk.send(&admin(), Call::get(&next)).await.json();
        seen += page["items"].as_array().unwrap().len();
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        next = format!("{KEYS}?limit=30&cursor={cursor}");
    }
    desk.send(&admin(), Call::new("DELETE", &path)).await;
    let again = desk.create(&admin(), &wanted()).await;

    assert_eq!(outcome(&refused), (409, Some("api_keys_exhausted".into())));
    assert_eq!(seen, 100);
    assert_eq!(again.status, 201);
    assert_eq!((desk.rows().len(), desk.tally()), (100, json!(100)));
}

#[tokio::test]
async fn whoever_may_do_less_than_a_key_does_not_get_its_secret() {
    let desk = Desk::new();
    let owners = json!({"name": "x", "permissions": ["billing:manage"]});
    let made = desk.create(&owner(), &owners).await.json();
    let path = format!("{KEYS}/{}", made["id"].as_str().unwrap());
    let reroll = Call::post(&format!("{path}/reroll"), &json!({"grace_seconds": 0}));

    let by_admin = desk.send(&admin(), reroll.clone()).await;
    let by_owner = desk.send(&owner(), reroll).await;

    assert_eq!(outcome(&by_admin), (403, Some("permission_denied".into())));
    assert_eq!(by_owner.status, 200);
    assert_eq!(by_owner.json()["id"], made["id"]);
    assert_ne!(by_owner.json()["key"], made["key"]);
}

/// What people ask for, as a call about the key at a path.
type Asking = fn(&str) -> Call;

const ASKED: [(&str, Asking); 4] = [
    ("create", |_| Call::post(KEYS, &wanted())),
    ("reroll", |path| {
        Call::post(&format!("{path}/reroll"), &json!({"grace_seconds": 60}))
    }),
    ("update", |path| {
        Call::new("PATCH", path).json(&json!({"name": "other"}))
    }),
    ("revoke", |path| Call::new("DELETE", path)),
];

/// Whichever call is cut off, before or after it did its work: the repeat makes what was asked for, once.
#[tokio::test]
async fn what_was_cut_off_anywhere_is_done_once_by_its_repeat() {
    let mut cuts = 0;
    for (what, call_of) in ASKED {
        for port in 0..3 {
            for cut in 0..6 {
                for fault in [Fault::Before, Fault::After, Fault::Throttled] {
                    let case = format!("{what}, port {port}, call {cut}, {fault:?}");
                    let desk = Desk::new();
                    let (id, path) = desk.key().await;
                    let faults = desk.faults(port);
                    faults.fail_call(cut, fault);
                    let (call, begun) = (
                        call_of(&path).header("idempotency-key", "k-1"),
                        faults.calls(),
                    );

                    desk.send(&admin(), call.clone()).await;
                    if faults.calls() - begun <= cut {
                        continue;
                    }
                    cuts += 1;
                    desk.world.clock.advance(Duration::from_mins(1));
                    let again = desk.send(&admin(), call).await;

                    let told =
                        again.status.is_success() || (what == "revoke" && again.status == 404);
                    assert!(told, "{case}: {:?}", again.json());
                    desk.check_done(what, id.parse().unwrap(), &case);
                }
            }
        }
    }
    assert!(cuts > 60, "{cuts}");
}

/// The secret that the caller got in the end is the one that opens.
#[tokio::test]
async fn the_last_answer_holds_the_secret_that_counts() {
    for (what, call_of) in &ASKED[..2] {
        for port in 0..3 {
            for cut in 0..6 {
                let case = format!("{what}, port {port}, call {cut}");
                let desk = Desk::new();
                let (_, path) = desk.key().await;
                desk.faults(port).fail_call(cut, Fault::After);
                let (call, begun) = (
                    call_of(&path).header("idempotency-key", "k-1"),
                    desk.faults(port).calls(),
                );

                desk.send(&admin(), call.clone()).await;
                if desk.faults(port).calls() - begun <= cut {
                    continue;
                }
                desk.world.clock.advance(Duration::from_mins(1));
                let last = desk.send(&admin(), call).await.json();

                let hash = KeyText::parse(last["key"].as_str().unwrap())
                    .unwrap()
                    .hash(&"the secret of these tests".into());
                let id: Id<ApiKey> = last["id"].as_str().unwrap().parse().unwrap();
                let rows = desk.rows();
                let row = rows.iter().find(|row| row.id == id).unwrap();
                assert_eq!(
                    row.admits(&hash, desk.world.clock.now()),
                    Some(admin().user),
                    "{case}"
                );
            }
        }
    }
}

#[tokio::test]
async fn two_who_change_keys_at_once_both_succeed() {
    let desk = Desk::new();
    desk.key().await;
    for conflicts in 1..4 {
        for _ in 0..conflicts {
            desk.world.table.conflict_next_write();
        }
        desk.key().await;
    }

    assert_eq!((desk.rows().len(), desk.tally()), (4, json!(4)));
}

impl Desk {
    fn faults(&self, port: usize) -> &Faults {
        [
            self.world.table.faults(),
            self.world.secrets.faults(),
            self.world.requests.faults(),
        ][port]
    }

    /// That what was asked for has happened to the first key, once.
    #[track_caller]
    fn check_done(&self, what: &str, first: Id<ApiKey>, case: &str) {
        let count = |name: &str| self.names().iter().filter(|known| **known == name).count();
        let rows = self.rows();
        let row = rows.iter().find(|row| row.id == first);
        let (created, changed) = (count("auth.api_key_created"), count("auth.api_key_changed"));
        match (what, row) {
            ("create", Some(_)) => assert_eq!((created, rows.len()), (2, 2), "{case}"),
            ("reroll", Some(row)) => assert_eq!((changed, row.retired.len()), (1, 1), "{case}"),
            ("update", Some(row)) => {
                assert_eq!((changed, row.name.as_str()), (1, "other"), "{case}");
            }
            ("revoke", None) => assert_eq!(count("auth.api_key_revoked"), 1, "{case}"),
            (_, row) => panic!("{case}: {row:?}"),
        }
        assert_eq!(self.tally(), json!(rows.len()), "{case}");
    }
}
