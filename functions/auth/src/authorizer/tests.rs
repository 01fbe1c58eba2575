//! Who is let through, who is not, and how long a word holds.

use std::time::Duration;

use domain::Locale;
use domain::id::Kind;
use ports::faults::Fault;
use ports::table::{If, MemoryTable, Write};
use secrecy::ExposeSecret;
use serde_json::json;

use super::*;
use crate::api_keys::{ApiKeys, KeyChange, NewKey};
use crate::jwks::KeySource;
use crate::token::forge::{self, Forge};
use crate::world::{REFRESH_SECRET, World, address, caller, later, origin};
use crate::{Scope, Tokens};

const ANA: &str = "ana@example.com";

/// The pool's keys, or none.
struct Published(bool);

#[async_trait::async_trait]
impl KeySource for Published {
    async fn fetch(&self) -> Result<Vec<u8>, String> {
        let keys = json!({"keys": [Forge::pool().jwk()]});
        if self.0 {
            Ok(keys.to_string().into_bytes())
        } else {
            Err("down on purpose".into())
        }
    }
}

struct Gate {
    world: World,
    members: Arc<MemoryTable>,
    authorizer: Authorizer,
}

fn gate() -> Gate {
    gate_with(true)
}

fn gate_with(keys: bool) -> Gate {
    let (world, members) = (World::new(), MemoryTable::shared());
    let authorizer = Authorizer {
        verifier: forge::verifier(),
        keys: KeySet::new(Published(keys), world.clock.clone()),
        accounts: world.table.clone(),
        members: members.clone(),
        usage: world.requests.clone(),
        secrets: world.secrets.clone(),
        key_secret_id: REFRESH_SECRET.into(),
        clock: world.clock.clone(),
        recent: Recent::default(),
    };
    Gate {
        world,
        members,
        authorizer,
    }
}

fn question(headers: &[(&str, &str)]) -> Question {
    Question {
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

fn bearer(tokens: &Tokens) -> String {
    format!("Bearer {}", tokens.access.expose_secret())
}

impl Gate {
    async fn ask(&self, headers: &[(&str, &str)]) -> Verdict {
        let answer = self.authorizer.answer(&question(headers)).await.unwrap();
        assert!(answer.is_authorized);
        answer.context
    }

    async fn ask_as(&self, tokens: &Tokens) -> Verdict {
        self.ask(&[("authorization", &bearer(tokens))]).await
    }

    async fn join(&self, organisation: Id<Organisation>, user: Id<User>, role: OrganisationRole) {
        let membership = Membership {
            organisation,
            user,
            role,
            joined_at: self.world.clock.now(),
        };
        let item = Item::new(Key::new(organisation, Membership::sort(user)), &membership);
        self.members
            .write(vec![Write::Put(item, If::Absent)])
            .await
            .unwrap();
    }
}

/// A program's key and the person who made it.
struct Program {
    maker: Caller,
    id: Id<ApiKey>,
    text: String,
}

impl Gate {
    fn keys(&self) -> ApiKeys {
        ApiKeys::new(&self.world.auth, self.world.requests.clone())
    }

    /// A key that its maker, in this role of organisation 7, has given two permissions.
    async fn program(&self, role: OrganisationRole) -> Program {
        let user = self.world.member(ANA).await;
        let tokens = self.world.sign_in(ANA).await;
        self.join(organisation(7), user, role).await;
        let asked = [
            ("authorization", bearer(&tokens)),
            ("x-organisation", organisation(7).to_string()),
        ];
        let maker = let_through(
            &self
                .ask(&asked.each_ref().map(|(n, v)| (*n, v.as_str())))
                .await,
        );
        self.key(maker, None).await
    }

    async fn key(&self, maker: Caller, expires_at: Option<Timestamp>) -> Program {
        let new = NewKey {
            name: "CI".into(),
            permissions: GIVEN.map(str::to_owned).into(),
            expires_at,
        };
        let request = self.world.platform.ids.uuid(self.world.clock.now());
        let minted = self.keys().create(&maker, request, new).await.unwrap();
        Program {
            maker,
            id: minted.row.id,
            text: minted.text.expose_secret().to_owned(),
        }
    }

    async fn ask_with(&self, key: &str) -> Verdict {
        self.ask(&[("x-api-key", key)]).await
    }

    async fn demote(&self, program: &Program, role: Option<OrganisationRole>) {
        let key = Key::new(organisation(7), Membership::sort(program.maker.user));
        let write = match role {
            None => Write::Delete(key, If::Present),
            Some(role) => {
                let row = self.members.get(&key).await.unwrap().unwrap();
                let membership = Membership {
                    role,
                    ..row.parse().unwrap()
                };
                Write::Put(row.next(&membership), If::Present)
            }
        };
        self.members.write(vec![write]).await.unwrap();
    }
}

const GIVEN: [&str; 2] = ["documents:create", "documents:read"];

const REFUSED: Verdict = Verdict::Refused("api_key_invalid");

fn let_through(verdict: &Verdict) -> Caller {
    match verdict {
        Verdict::Caller(caller) => serde_json::from_str(caller).unwrap(),
        Verdict::Refused(code) => panic!("refused: {code}"),
    }
}

fn organisation(n: u128) -> Id<Organisation> {
    Id::new(uuid::Uuid::from_u128(n))
}

#[tokio::test]
async fn whoever_signed_in_owns_their_personal_organisation() {
    let gate = gate();
    let user = gate.world.member(ANA).await;
    let tokens = gate.world.sign_in(ANA).await;

    let caller = let_through(&gate.ask_as(&tokens).await);

    let account = gate.world.account(user).unwrap();
    let (user_of_token, session) = origin(&tokens);
    assert_eq!(
        (caller.user, caller.session),
        (user_of_token, Some(session))
    );
    assert_eq!(caller.organisation, account.organisation);
    assert_eq!(caller.organisation_role, Some(OrganisationRole::Owner));
    assert!(caller.may("documents:create"));
    let named = gate
        .ask(&[
            ("authorization", &bearer(&tokens)),
            ("x-organisation", &account.organisation.to_string()),
        ])
        .await;
    assert_eq!(let_through(&named), caller);
}

#[tokio::test]
async fn another_organisation_is_open_to_its_members_in_their_role() {
    let gate = gate();
    let user = gate.world.member(ANA).await;
    let tokens = gate.world.sign_in(ANA).await;
    gate.join(organisation(7), user, OrganisationRole::Viewer)
        .await;
    let ask = async |header: &str| {
        gate.ask(&[
            ("Authorization", &bearer(&tokens)),
            ("X-Organisation", header),
        ])
        .await
    };

    let member = let_through(&ask(&organisation(7).to_string()).await);

    assert_eq!(
        (member.organisation, member.organisation_role),
        (organisation(7), Some(OrganisationRole::Viewer))
    );
    assert!(member.may("documents:read") && !member.may("documents:create"));
    for other in [
        organisation(8).to_string(),
        "org_x".into(),
        String::new(),
        format!("{}_{}", User::PREFIX, "0".repeat(32)),
    ] {
        assert_eq!(
            ask(&other).await,
            Verdict::Refused("not_a_member"),
            "{other}"
        );
    }
}

#[tokio::test]
async fn each_reason_has_its_code() {
    let gate = gate();
    gate.world.member(ANA).await;
    let tokens = gate.world.sign_in(ANA).await;
    let pool = Forge::pool();
    let id_token = pool.token(
        &forge::header(),
        &forge::with(forge::claims(), "token_use", json!("id")),
    );
    let strange = Forge::stranger().token(&forge::header(), &forge::claims());
    let unknown = pool.token(&forge::header(), &forge::claims());
    let odd_session = pool.token(
        &forge::header(),
        &forge::with(forge::claims(), "origin_jti", json!("x")),
    );
    for (header, code) in [
        ("Bearer".to_owned(), "token_missing"),
        ("Basic YW5hOng=".to_owned(), "token_missing"),
        (tokens.access.expose_secret().to_owned(), "token_missing"),
        ("Bearer ".to_owned(), "token_invalid"),
        (
            format!("Bearer  {}", tokens.access.expose_secret()),
            "token_invalid",
        ),
        (
            format!("Bearer {},Bearer {unknown}", tokens.access.expose_secret()),
            "token_invalid",
        ),
        (format!("Bearer {strange}"), "token_invalid"),
        (format!("Bearer {id_token}"), "wrong_token_use"),
        (format!("Bearer {unknown}"), "session_revoked"),
        (format!("Bearer {odd_session}"), "session_revoked"),
    ] {
        assert_eq!(
            gate.ask(&[("authorization", &header)]).await,
            Verdict::Refused(code),
            "{header}"
        );
    }
    assert_eq!(gate.ask(&[]).await, Verdict::Refused("token_missing"));
    assert!(matches!(
        gate.ask(&[(
            "authorization",
            &bearer(&tokens).replace("Bearer", "bearer")
        )])
        .await,
        Verdict::Caller(_)
    ));
    later(&gate.world.clock, 901);
    assert_eq!(
        gate.ask_as(&tokens).await,
        Verdict::Refused("token_expired")
    );
}

#[tokio::test]
async fn a_sign_out_is_known_within_five_seconds() {
    for scope in [Scope::Local, Scope::Global] {
        let gate = gate();
        gate.world.member(ANA).await;
        let tokens = gate.world.sign_in(ANA).await;
        later(&gate.world.clock, 1);
        let_through(&gate.ask_as(&tokens).await);

        gate.world
            .auth
            .sign_out(&caller(&tokens), scope)
            .await
            .unwrap();
        later(&gate.world.clock, 5);

        assert_eq!(
            gate.ask_as(&tokens).await,
            Verdict::Refused("session_revoked"),
            "{scope:?}"
        );
    }
}

#[tokio::test]
async fn a_new_password_ends_what_the_old_one_opened() {
    let gate = gate();
    gate.world.member(ANA).await;
    let tokens = gate.world.sign_in(ANA).await;
    later(&gate.world.clock, 1);
    gate.world
        .auth
        .forgot_password(&address(ANA))
        .await
        .unwrap();
    let password = "a new and better password".into();
    gate.world
        .auth
        .reset_password(&address(ANA), &gate.world.code(ANA), &password, Locale::En)
        .await
        .unwrap();

    assert_eq!(
        gate.ask_as(&tokens).await,
        Verdict::Refused("session_revoked")
    );
}

#[tokio::test]
async fn a_busy_caller_costs_two_reads_in_four_seconds() {
    let gate = gate();
    gate.world.member(ANA).await;
    let tokens = gate.world.sign_in(ANA).await;
    let before = gate.world.table.faults().calls();

    for _ in 0..40 {
        let_through(&gate.ask_as(&tokens).await);
        gate.world.clock.advance(Duration::from_millis(99));
    }

    assert_eq!(gate.world.table.faults().calls() - before, 2);
    assert_eq!(gate.members.faults().calls(), 0);
}

#[tokio::test]
async fn a_failure_of_ours_lets_nobody_through() {
    let gate = gate();
    gate.world.member(ANA).await;
    let tokens = gate.world.sign_in(ANA).await;
    let own = gate
        .world
        .account(origin(&tokens).0)
        .unwrap()
        .organisation
        .to_string();
    for fault in [Fault::Before, Fault::After, Fault::Throttled] {
        for call in 0..2 {
            gate.world.table.faults().fail_call(call, fault);
            let failed = gate
                .authorizer
                .answer(&question(&[("authorization", &bearer(&tokens))]))
                .await;
            assert!(
                matches!(failed, Err(AuthorizerError::Port(_))),
                "call {call}, {fault:?}"
            );
        }
        gate.members.faults().fail_next(fault);
        let failed = gate
            .authorizer
            .answer(&question(&[
                ("authorization", &bearer(&tokens)),
                ("x-organisation", &own),
            ]))
            .await;
        assert!(matches!(failed, Err(AuthorizerError::Port(_))), "{fault:?}");
    }
    let blind = gate_with(false);
    let failed = blind
        .authorizer
        .answer(&question(&[("authorization", &bearer(&tokens))]))
        .await;
    assert!(matches!(failed, Err(AuthorizerError::NoKeys(_))));
}

#[tokio::test]
async fn every_sample_event_is_a_question() {
    let gate = gate();
    let mut verdicts = Vec::new();
    for sample in std::fs::read_dir(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../events/authorizer"
    ))
    .unwrap()
    {
        let path = sample.unwrap().path();
        let question: Question = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let answer =
            serde_json::to_value(gate.authorizer.answer(&question).await.unwrap()).unwrap();
        verdicts.push((path.file_name().unwrap().to_owned(), answer));
    }
    verdicts.sort_by(|a, b| a.0.cmp(&b.0));

    let expected = [
        "token_invalid",
        "api_key_invalid",
        "token_invalid",
        "token_missing",
    ];
    for ((name, answer), code) in verdicts.iter().zip(expected) {
        assert_eq!(
            *answer,
            json!({"isAuthorized": true, "context": {"refused": code}}),
            "{name:?}"
        );
    }
    assert_eq!(verdicts.len(), expected.len());
}

#[tokio::test]
async fn a_key_acts_in_its_organisation_with_what_it_was_given() {
    let gate = gate();
    let program = gate.program(OrganisationRole::Admin).await;

    let caller = let_through(&gate.ask_with(&program.text).await);

    assert_eq!(
        (caller.user, caller.organisation, caller.session, caller.key),
        (program.maker.user, organisation(7), None, Some(program.id))
    );
    assert_eq!(caller.permissions, GIVEN.map(str::to_owned).into());
    let as_bearer = format!("Bearer {}", program.text);
    for headers in [
        &[("Authorization", as_bearer.as_str())][..],
        &[("X-Api-Key", program.text.as_str())],
        &[
            ("x-api-key", program.text.as_str()),
            ("x-organisation", organisation(7).to_string().as_str()),
        ],
    ] {
        assert_eq!(let_through(&gate.ask(headers).await), caller);
    }
    let elsewhere = gate
        .ask(&[
            ("x-api-key", &program.text),
            ("x-organisation", &organisation(8).to_string()),
        ])
        .await;
    assert_eq!(elsewhere, Verdict::Refused("not_a_member"));
}

#[tokio::test]
async fn two_credentials_are_one_too_many() {
    let gate = gate();
    let program = gate.program(OrganisationRole::Admin).await;
    let tokens = gate.world.sign_in(ANA).await;
    for authorization in [
        bearer(&tokens),
        format!("Bearer {}", program.text),
        "Basic YW5hOng=".into(),
        String::new(),
    ] {
        let verdict = gate
            .ask(&[
                ("authorization", &authorization),
                ("x-api-key", &program.text),
            ])
            .await;

        assert_eq!(
            verdict,
            Verdict::Refused("credentials_ambiguous"),
            "{authorization}"
        );
    }
}

#[tokio::test]
async fn a_key_that_is_malformed_is_refused_without_a_read() {
    let gate = gate();
    let program = gate.program(OrganisationRole::Admin).await;
    let text = &program.text;
    let calls = || {
        [
            gate.world.table.faults().calls(),
            gate.members.faults().calls(),
            gate.world.requests.faults().calls(),
            gate.world.secrets.faults().calls(),
        ]
    };
    let before = calls();
    let mut typo = text.clone().into_bytes();
    typo[40] = if typo[40] == b'0' { b'1' } else { b'0' };
    for wrong in [
        String::from_utf8(typo).unwrap(),
        text[..text.len() - 1].to_owned(),
        format!("{text}0"),
        format!("{text},{text}"),
        format!(" {text}"),
        text.to_uppercase(),
        text.replace("live", "test"),
        "flt_".into(),
        "flt_live_".into(),
        format!("flt_live_{}", "0".repeat(96)),
        "x".repeat(10_000),
        String::new(),
    ] {
        assert_eq!(gate.ask_with(&wrong).await, REFUSED, "{wrong}");
    }

    assert_eq!(calls(), before);
}

#[tokio::test]
async fn unknown_revoked_expired_and_rerolled_keys_get_one_answer_for_one_read() {
    let gate = gate();
    let program = gate.program(OrganisationRole::Admin).await;
    let maker = program.maker.clone();
    let ids = gate.world.platform.ids.clone();
    let unknown = KeyText::mint(organisation(7), Id::new(uuid::Uuid::max()), &*ids);
    let elsewhere = KeyText::mint(organisation(9), program.id, &*ids);
    let guessed = KeyText::mint(organisation(7), program.id, &*ids);
    let soon = gate.world.clock.now() + SignedDuration::from_secs(60);
    let expired = gate.key(maker.clone(), Some(soon)).await;
    let revoked = gate.key(maker.clone(), None).await;
    gate.keys().revoke(&maker, revoked.id).await.unwrap();
    let rerolled = gate.key(maker.clone(), None).await;
    gate.keys()
        .reroll(&maker, rerolled.id, uuid::Uuid::max(), Duration::ZERO)
        .await
        .unwrap();
    later(&gate.world.clock, 60);

    for (what, text) in [
        ("unknown", unknown.text().expose_secret()),
        ("elsewhere", elsewhere.text().expose_secret()),
        ("guessed", guessed.text().expose_secret()),
        ("expired", expired.text.as_str()),
        ("revoked", revoked.text.as_str()),
        ("rerolled", rerolled.text.as_str()),
    ] {
        let before = gate.world.table.faults().calls();

        assert_eq!(gate.ask_with(text).await, REFUSED, "{what}");

        assert_eq!(gate.world.table.faults().calls() - before, 1, "{what}");
    }
    let_through(&gate.ask_with(&program.text).await);
}

#[tokio::test]
async fn a_revoked_key_is_dead_within_five_seconds() {
    let gate = gate();
    let program = gate.program(OrganisationRole::Admin).await;
    let_through(&gate.ask_with(&program.text).await);

    gate.keys()
        .revoke(&program.maker, program.id)
        .await
        .unwrap();
    later(&gate.world.clock, 5);

    assert_eq!(gate.ask_with(&program.text).await, REFUSED);
}

#[tokio::test]
async fn a_key_weakens_with_its_maker_and_ends_when_they_leave() {
    let gate = gate();
    let program = gate.program(OrganisationRole::Admin).await;
    let_through(&gate.ask_with(&program.text).await);

    gate.demote(&program, Some(OrganisationRole::Viewer)).await;
    later(&gate.world.clock, 5);
    let weak = let_through(&gate.ask_with(&program.text).await);
    gate.demote(&program, None).await;
    later(&gate.world.clock, 5);

    assert_eq!(weak.permissions, ["documents:read".to_owned()].into());
    assert_eq!(gate.ask_with(&program.text).await, REFUSED);
}

#[tokio::test]
async fn both_secrets_open_during_the_grace_and_each_acts_for_who_holds_it() {
    let gate = gate();
    let program = gate.program(OrganisationRole::Admin).await;
    let bea = gate.world.member("bea@example.com").await;
    gate.join(organisation(7), bea, OrganisationRole::Owner)
        .await;
    let by_bea = Caller {
        user: bea,
        ..program.maker.clone()
    };
    let fresh = gate
        .keys()
        .reroll(
            &by_bea,
            program.id,
            uuid::Uuid::max(),
            Duration::from_mins(1),
        )
        .await
        .unwrap();
    let fresh = fresh.text.expose_secret();

    let (old, new) = (
        let_through(&gate.ask_with(&program.text).await),
        let_through(&gate.ask_with(fresh).await),
    );
    later(&gate.world.clock, 60);

    assert_eq!((old.user, new.user), (program.maker.user, bea));
    assert_eq!(old.key, new.key);
    assert_eq!(gate.ask_with(&program.text).await, REFUSED);
    let_through(&gate.ask_with(fresh).await);
}

#[tokio::test]
async fn what_a_key_may_do_changes_within_five_seconds() {
    let gate = gate();
    let program = gate.program(OrganisationRole::Admin).await;
    let_through(&gate.ask_with(&program.text).await);
    let change = KeyChange {
        permissions: Some(["files:read".to_owned()].into()),
        ..KeyChange::default()
    };
    gate.keys()
        .update(&program.maker, program.id, 1, change)
        .await
        .unwrap();
    later(&gate.world.clock, 5);

    let caller = let_through(&gate.ask_with(&program.text).await);

    assert_eq!(caller.permissions, ["files:read".to_owned()].into());
}

#[tokio::test]
async fn a_busy_key_costs_three_reads_in_four_seconds_and_a_note_in_an_hour() {
    let gate = gate();
    let program = gate.program(OrganisationRole::Admin).await;
    let calls = || {
        (
            gate.world.table.faults().calls() + gate.members.faults().calls(),
            gate.world.requests.faults().calls(),
        )
    };
    let before = calls();

    for _ in 0..40 {
        let_through(&gate.ask_with(&program.text).await);
        gate.world.clock.advance(Duration::from_millis(99));
    }
    let after = calls();
    for _ in 0..10 {
        later(&gate.world.clock, 60);
        let_through(&gate.ask_with(&program.text).await);
    }

    assert_eq!((after.0 - before.0, after.1 - before.1), (3, 1));
    assert_eq!(calls().1, after.1);
}

#[tokio::test]
async fn a_used_key_says_in_which_hour() {
    let gate = gate();
    let program = gate.program(OrganisationRole::Admin).await;
    let hour: Timestamp = "2026-01-02T03:00:00Z".parse().unwrap();
    let uses = async || gate.keys().last_uses(&program.maker).await.unwrap();
    assert!(uses().await.is_empty());

    gate.world.requests.faults().fail_next(Fault::Before);
    let_through(&gate.ask_with(&program.text).await);
    let unknown = uses().await.len();
    later(&gate.world.clock, 5);
    let_through(&gate.ask_with(&program.text).await);

    assert_eq!(unknown, 0);
    let first = uses().await[&program.id];
    later(&gate.world.clock, 3600);
    let_through(&gate.ask_with(&program.text).await);
    let second = uses().await[&program.id];
    assert_eq!(second.duration_since(first), SignedDuration::from_hours(1));
    assert_eq!(first.as_second() % 3600, hour.as_second() % 3600);
}

#[tokio::test]
async fn a_failure_of_ours_lets_no_key_through() {
    for fault in [Fault::Before, Fault::After, Fault::Throttled] {
        for (port, calls) in [(0, 2), (1, 1), (2, 1)] {
            for call in 0..calls {
                let gate = gate();
                let program = gate.program(OrganisationRole::Admin).await;
                let faults = [
                    gate.world.table.faults(),
                    gate.members.faults(),
                    gate.world.secrets.faults(),
                ][port];
                faults.fail_call(call, fault);

                let failed = gate
                    .authorizer
                    .answer(&question(&[("x-api-key", &program.text)]))
                    .await;

                assert!(
                    matches!(failed, Err(AuthorizerError::Port(_))),
                    "port {port}, call {call}, {fault:?}"
                );
            }
        }
    }
}
