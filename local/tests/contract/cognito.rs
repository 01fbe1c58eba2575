//! Cognito: codes that are checked, mails that the trigger writes, sign-outs that count.

use fleet::{cloud::Answer, mail};
use serde_json::{Value, json};

use crate::cloud::{Contract, eventually, marker, text};

const PASSWORD: &str = "Correct-Horse-7-Battery";

/// A person who signed up.
struct Person<'a> {
    contract: &'a Contract,
    email: String,
}

impl<'a> Person<'a> {
    async fn sign_up(contract: &'a Contract) -> Self {
        let person = Self {
            contract,
            email: format!("{}@example.com", marker("cognito")),
        };
        let attributes = json!([{ "Name": "email", "Value": person.email }]);
        let answer = person.ask("SignUp", json!({ "Username": person.email, "Password": PASSWORD, "UserAttributes": attributes })).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        person
    }

    async fn ask(&self, operation: &str, mut input: Value) -> Answer {
        input["ClientId"] = json!(self.contract.outputs.cloud.user_pool_client_id);
        let target = format!("AWSCognitoIdentityProviderService.{operation}");
        self.contract
            .cloud
            .json("cognito-idp", &target, &input)
            .await
            .unwrap()
    }

    async fn mails(&self) -> Vec<mail::Mail> {
        let all = mail::inbox(&self.contract.cloud).await.unwrap();
        all.into_iter()
            .filter(|mail| mail.to.contains(&self.email))
            .collect()
    }

    async fn code(&self) -> String {
        eventually("the mail", async || {
            self.mails().await.pop().and_then(|mail| mail.code)
        })
        .await
    }

    async fn confirm(&self, code: &str) -> Answer {
        self.ask(
            "ConfirmSignUp",
            json!({ "Username": self.email, "ConfirmationCode": code }),
        )
        .await
    }

    async fn log_in(&self, password: &str) -> Answer {
        let parameters = json!({ "USERNAME": self.email, "PASSWORD": password });
        self.ask(
            "InitiateAuth",
            json!({ "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": parameters }),
        )
        .await
    }
}

/// Another code than this one.
fn wrong(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

#[tokio::test]
async fn a_wrong_code_is_refused_and_the_mailed_one_accepted() {
    let contract = Contract::start().await;
    let person = Person::sign_up(&contract).await;
    let code = person.code().await;

    let refused = person.confirm(&wrong(&code)).await;
    let unconfirmed = person.log_in(PASSWORD).await;
    let accepted = person.confirm(&code).await;

    assert!(
        refused.text().contains("CodeMismatchException"),
        "{}",
        refused.text()
    );
    assert!(
        unconfirmed.text().contains("UserNotConfirmedException"),
        "{}",
        unconfirmed.text()
    );
    assert_eq!(accepted.status, 200, "{}", accepted.text());
    assert_eq!(person.log_in(PASSWORD).await.status, 200);
    assert!(
        person
            .log_in("Wrong-Horse-7-Battery")
            .await
            .text()
            .contains("NotAuthorizedException")
    );
}

#[tokio::test]
async fn two_people_get_two_codes_and_a_resent_code_replaces_the_first() {
    let contract = Contract::start().await;
    let (person, other) = (
        Person::sign_up(&contract).await,
        Person::sign_up(&contract).await,
    );
    let (first, others) = (person.code().await, other.code().await);

    person
        .ask(
            "ResendConfirmationCode",
            json!({ "Username": person.email }),
        )
        .await;
    let second = eventually("the second mail", async || {
        person
            .mails()
            .await
            .get(1)
            .and_then(|mail| mail.code.clone())
    })
    .await;

    assert!(
        first != others || second != first,
        "codes are drawn, not constant"
    );
    assert_eq!(person.confirm(&second).await.status, 200);
}

#[tokio::test]
async fn the_trigger_writes_the_mails_of_sign_up_resend_and_forgotten_password() {
    let contract = Contract::start().await;
    let person = Person::sign_up(&contract).await;
    person
        .ask(
            "ResendConfirmationCode",
            json!({ "Username": person.email }),
        )
        .await;
    person
        .confirm(&person.mails().await[1].code.clone().unwrap())
        .await;
    person
        .ask("ForgotPassword", json!({ "Username": person.email }))
        .await;

    let mails = eventually("three mails", async || {
        Some(person.mails().await).filter(|mails| mails.len() == 3)
    })
    .await;

    let subjects: Vec<_> = mails.iter().map(|mail| mail.subject.as_str()).collect();
    assert_eq!(
        subjects,
        [
            "probe CustomMessage_SignUp",
            "probe CustomMessage_ResendCode",
            "probe CustomMessage_ForgotPassword"
        ]
    );
    assert!(
        mails
            .iter()
            .all(|mail| mail.text.as_deref().unwrap().starts_with("probe says "))
    );
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_with_the_mailed_code_only() {
    let contract = Contract::start().await;
    let person = Person::sign_up(&contract).await;
    person.confirm(&person.code().await).await;
    person
        .ask("ForgotPassword", json!({ "Username": person.email }))
        .await;
    let code = eventually("the second mail", async || {
        person
            .mails()
            .await
            .get(1)
            .and_then(|mail| mail.code.clone())
    })
    .await;
    let reset = async |code: &str| {
        let input = json!({ "Username": person.email, "ConfirmationCode": code, "Password": "Other-Horse-8-Battery" });
        person.ask("ConfirmForgotPassword", input).await
    };

    let refused = reset(&wrong(&code)).await;
    let accepted = reset(&code).await;

    assert!(
        refused.text().contains("CodeMismatchException"),
        "{}",
        refused.text()
    );
    assert_eq!(accepted.status, 200, "{}", accepted.text());
    assert_eq!(person.log_in("Other-Horse-8-Battery").await.status, 200);
    assert_ne!(person.log_in(PASSWORD).await.status, 200);
}

#[tokio::test]
async fn after_a_global_sign_out_no_token_works() {
    let contract = Contract::start().await;
    let person = Person::sign_up(&contract).await;
    person.confirm(&person.code().await).await;
    let tokens = person.log_in(PASSWORD).await.json()["AuthenticationResult"].clone();
    let (access, refresh) = (text(&tokens["AccessToken"]), text(&tokens["RefreshToken"]));

    let before = person
        .ask("GetUser", json!({ "AccessToken": access }))
        .await;
    person
        .ask("GlobalSignOut", json!({ "AccessToken": access }))
        .await;
    let after = person
        .ask("GetUser", json!({ "AccessToken": access }))
        .await;
    let refreshed = person.ask("InitiateAuth", json!({ "AuthFlow": "REFRESH_TOKEN_AUTH", "AuthParameters": {"REFRESH_TOKEN": refresh} })).await;

    assert_eq!(before.status, 200, "{}", before.text());
    assert_eq!(
        (after.status, refreshed.status),
        (400, 400),
        "{} {}",
        after.text(),
        refreshed.text()
    );
}
