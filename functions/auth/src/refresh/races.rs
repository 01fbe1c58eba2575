//! Refreshes that race, get lost, repeat and are stolen.

use std::time::Duration;

use domain::Event;
use futures::future::join_all;
use ports::faults::Fault;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use secrecy::ExposeSecret;

use crate::refresh_token::RefreshToken;
use crate::session::{INACTIVITY, TIMEBOX};
use crate::world::{World, caller, later, origin};
use crate::{AuthError, Scope, Tokens};

const ANA: &str = "ana@example.com";

/// Between two refreshes of a browser that is open: an access token's life.
const REST: u64 = 900;

async fn signed_in(world: &World) -> Tokens {
    world.member(ANA).await;
    world.sign_in(ANA).await
}

#[tokio::test]
async fn each_refresh_gives_a_new_token_of_the_same_session() {
    let world = World::new();
    let mut tokens = signed_in(&world).await;
    let first = origin(&tokens);

    for _ in 0..10 {
        later(&world.clock, REST);
        let next = world.refresh(&tokens).await.unwrap();
        assert_ne!(next.refresh.expose_secret(), tokens.refresh.expose_secret());
        assert_eq!(origin(&next), first);
        tokens = next;
    }

    assert_eq!(world.sessions(first.0)[0].generation, 11);
}

#[tokio::test]
async fn a_token_whose_answer_was_lost_gets_the_current_one_again() {
    let world = World::new();
    let tokens = signed_in(&world).await;
    later(&world.clock, REST);
    let lost = world.refresh(&tokens).await.unwrap();
    later(&world.clock, 3 * 86_400);

    let again = world.refresh(&tokens).await.unwrap();

    assert_eq!(again.refresh.expose_secret(), lost.refresh.expose_secret());
}

#[tokio::test]
async fn a_stolen_token_ends_the_session_for_both() {
    let world = World::new();
    let stolen = signed_in(&world).await;
    later(&world.clock, REST);
    let mine = world.refresh(&stolen).await.unwrap();
    later(&world.clock, REST);
    let mine = world.refresh(&mine).await.unwrap();
    later(&world.clock, 60);

    let thief = world.refresh(&stolen).await;

    assert!(matches!(thief, Err(AuthError::ReusedRefresh)));
    assert!(matches!(
        world.refresh(&mine).await,
        Err(AuthError::InvalidRefresh)
    ));
    let (user, session) = origin(&mine);
    assert!(
        world
            .events()
            .contains(&Event::RefreshReuse { user, session })
    );
    assert_eq!(world.alive(user), 0);
    assert!(matches!(
        world.refresh(&stolen).await,
        Err(AuthError::InvalidRefresh)
    ));
}

#[tokio::test]
async fn a_session_ends_when_it_is_old_or_was_left_alone() {
    let world = World::new();
    let tokens = signed_in(&world).await;
    later(&world.clock, u64::try_from(INACTIVITY.as_secs()).unwrap());
    assert!(matches!(
        world.refresh(&tokens).await,
        Err(AuthError::ExpiredSession)
    ));

    let world = World::new();
    let mut tokens = signed_in(&world).await;
    for _ in 0..29 {
        later(&world.clock, 86_400);
        tokens = world.refresh(&tokens).await.unwrap();
    }
    later(
        &world.clock,
        u64::try_from(TIMEBOX.as_secs()).unwrap() - 29 * 86_400,
    );
    assert!(matches!(
        world.refresh(&tokens).await,
        Err(AuthError::ExpiredSession)
    ));
}

#[tokio::test]
async fn what_is_no_token_of_ours_is_refused() {
    let world = World::new();
    let tokens = signed_in(&world).await;
    let forged = RefreshToken {
        user: origin(&tokens).0,
        session: origin(&tokens).1,
        generation: 9,
    };

    for text in [
        "",
        "rt_",
        "rt_AAAA",
        tokens.access.expose_secret(),
        forged.mint(&"a guess".into()).expose_secret(),
    ] {
        assert!(
            matches!(
                world.auth.refresh(text).await,
                Err(AuthError::InvalidRefresh)
            ),
            "{text}"
        );
    }
    let secret = "the secret of these tests".into();
    let from_the_future = forged.mint(&secret);
    assert!(matches!(
        world.auth.refresh(from_the_future.expose_secret()).await,
        Err(AuthError::InvalidRefresh)
    ));
    assert!(world.refresh(&tokens).await.is_ok());
}

#[tokio::test]
async fn a_sign_in_that_the_pool_ended_ends_here_too() {
    let world = World::new();
    let tokens = signed_in(&world).await;
    ports::identity::Identity::sign_out_everywhere(&*world.identity, &crate::world::address(ANA))
        .await
        .unwrap();

    assert!(matches!(
        world.refresh(&tokens).await,
        Err(AuthError::InvalidRefresh)
    ));

    assert_eq!(world.alive(origin(&tokens).0), 0);
}

#[tokio::test]
async fn a_refresh_that_was_cut_anywhere_can_be_tried_again() {
    for port in 0..4 {
        for call in 0..4 {
            for fault in [Fault::Before, Fault::After, Fault::Throttled] {
                let world = World::new();
                let tokens = signed_in(&world).await;
                later(&world.clock, REST);
                let faults = [
                    world.identity.faults(),
                    world.table.faults(),
                    world.keys.faults(),
                    world.secrets.faults(),
                ][port];
                faults.fail_call(call, fault);

                let first = world.refresh(&tokens).await;
                later(&world.clock, 60);
                let second = world.refresh(&tokens).await.or(first);

                assert!(second.is_ok(), "port {port}, call {call}, {fault:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_refresh_that_races_a_sign_out_brings_nothing_back() {
    let world = World::new();
    let tokens = signed_in(&world).await;
    let asking = caller(&tokens);

    let (_, signed_out) = tokio::join!(
        world.refresh(&tokens),
        world.auth.sign_out(&asking, Scope::Local)
    );

    signed_out.unwrap();
    assert_eq!(world.alive(asking.user), 0);
    assert!(matches!(
        world.refresh(&tokens).await,
        Err(AuthError::InvalidRefresh)
    ));
}

/// One wake-up of a browser: its tabs all begin with the token that they share and refresh up to three
/// times at once, each going on with what it got. A tab may lose all its answers. The newest is kept.
#[derive(Clone, Debug)]
struct Round {
    rest: u64,
    tabs: Vec<Tab>,
}

#[derive(Clone, Debug)]
struct Tab {
    answers_are_lost: bool,
    repeats: u8,
}

fn rounds() -> impl Strategy<Value = Vec<Round>> {
    let tab = (any::<bool>(), 0..3_u8).prop_map(|(answers_are_lost, repeats)| Tab {
        answers_are_lost,
        repeats,
    });
    let round = (1..86_400_u64, prop::collection::vec(tab, 1..6))
        .prop_map(|(rest, tabs)| Round { rest, tabs });
    prop::collection::vec(round, 4..8)
}

/// Plays a round. Every refresh of an honest browser has to succeed.
async fn play(world: &World, round: &Round, kept: &mut Tokens) -> usize {
    later(&world.clock, round.rest);
    let sent = kept.clone();
    let tabs = join_all(round.tabs.iter().map(async |tab| {
        let mut mine = sent.clone();
        for _ in 0..=tab.repeats {
            let answer = world
                .refresh(&mine)
                .await
                .expect("nobody is signed out for being fast");
            if !tab.answers_are_lost {
                mine = answer;
            }
        }
        mine
    }))
    .await;
    *kept = tabs
        .into_iter()
        .max_by_key(|tokens| said(tokens).generation)
        .expect("a round has a tab");
    round
        .tabs
        .iter()
        .map(|tab| usize::from(tab.repeats) + 1)
        .sum()
}

fn said(tokens: &Tokens) -> RefreshToken {
    RefreshToken::open(
        tokens.refresh.expose_secret(),
        &"the secret of these tests".into(),
    )
    .unwrap()
}

/// At least 10 000 refreshes in random races: no honest browser is ever signed out, and each copy of a
/// token that comes back after its successor was used, and after the moment that tabs race in, is caught.
#[test]
fn no_race_signs_anybody_out_and_no_replay_stays_unseen() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (mut races, mut replays) = (0, 0);
    while races < 10_000 {
        // A runner counts its cases over all its runs, so that a second run of the same one does nothing.
        let mut runner = TestRunner::new(Config::with_cases(100));
        let seen = std::cell::Cell::new((0, 0));
        runner
            .run(
                &(rounds(), any::<prop::sample::Index>()),
                |(rounds, theft)| {
                    runtime.block_on(async {
                        let world = World::new();
                        let mut kept = signed_in(&world).await;
                        let stolen_at = theft.index(rounds.len());
                        let mut stolen = kept.clone();
                        for (n, round) in rounds.iter().enumerate() {
                            if n == stolen_at {
                                stolen = kept.clone();
                            }
                            let played = play(&world, round, &mut kept).await;
                            seen.set((seen.get().0 + played, seen.get().1));
                        }
                        world.clock.advance(Duration::from_secs(11));
                        let user = origin(&kept).0;
                        let current = world.sessions(user)[0].generation;
                        if said(&stolen).generation + 1 < current {
                            seen.set((seen.get().0, seen.get().1 + 1));
                            let replayed = world.refresh(&stolen).await;
                            prop_assert!(matches!(replayed, Err(AuthError::ReusedRefresh)));
                            prop_assert!(world.refresh(&kept).await.is_err());
                            prop_assert_eq!(world.alive(user), 0);
                        } else {
                            prop_assert!(world.refresh(&kept).await.is_ok());
                        }
                        Ok(())
                    })
                },
            )
            .unwrap();
        races += seen.get().0;
        replays += seen.get().1;
    }
    assert!(
        replays > 50,
        "only {replays} replays among {races} refreshes"
    );
}
