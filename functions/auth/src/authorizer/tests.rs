//! Who is let through, who is not, and how long a word holds.

use std::time::Duration;

use domain::Locale;
use domain::id::Kind;
use ports::faults::Fault;
use ports::table::{If, MemoryTable, Write};
use secrecy::ExposeSecret;
use serde_json::json;

use super::*;
use crate::jwks::KeySource;
use crate::token::forge::{self, Forge};
use crate::world::{World, address, caller, later, origin};
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
    assert_eq!((caller.user, caller.session), origin(&tokens));
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

    let expected = ["token_invalid", "token_invalid", "token_missing"];
    for ((name, answer), code) in verdicts.iter().zip(expected) {
        assert_eq!(
            *answer,
            json!({"isAuthorized": true, "context": {"refused": code}}),
            "{name:?}"
        );
    }
    assert_eq!(verdicts.len(), expected.len());
}
