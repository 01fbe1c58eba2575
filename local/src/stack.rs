//! `CloudFormation` on the emulator: makes a stack, changes it, tells how far it is and what went wrong.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Operations.html>

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{
    cloud::{Cloud, text, texts},
    console::Step,
    failure::{Failure, Outcome},
    template::Prepared,
};

const VERSION: &str = "2010-05-15";
const LIMIT: Duration = Duration::from_mins(2);

/// A stack by its name.
#[derive(Clone, Debug)]
pub struct Stack<'a> {
    cloud: &'a Cloud,
    name: &'a str,
}

/// A resource that a stack made.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its name in the template.
    pub logical_id: String,
    /// Its name, id or address in the cloud.
    pub physical_id: String,
    /// Such as `AWS::SQS::Queue`.
    pub kind: String,
}

impl<'a> Stack<'a> {
    /// A stack that may or may not exist.
    pub fn new(cloud: &'a Cloud, name: &'a str) -> Self {
        Self { cloud, name }
    }

    async fn call(&self, action: &str, more: &[(String, String)]) -> Outcome<(u16, String)> {
        let mut parameters = vec![("StackName".to_owned(), self.name.to_owned())];
        parameters.extend_from_slice(more);
        let answer = self
            .cloud
            .query("cloudformation", action, VERSION, &parameters)
            .await?;
        Ok((answer.status, answer.text()))
    }

    /// Its status, such as `CREATE_COMPLETE`; none when there is no such stack.
    pub async fn status(&self) -> Outcome<Option<String>> {
        let (status, body) = self.call("DescribeStacks", &[]).await?;
        Ok((status == 200)
            .then(|| text(&body, "StackStatus"))
            .filter(|status| !status.is_empty()))
    }

    /// Whether it was made whole, so that it can be changed.
    pub async fn is_usable(&self) -> Outcome<bool> {
        let status = self.status().await?.unwrap_or_default();
        Ok(status.ends_with("COMPLETE")
            && !status.contains("ROLLBACK")
            && !status.contains("DELETE"))
    }

    /// Makes the stack, or changes it to this template, and waits until that is done. The template is taken from
    /// an object: in the request itself it may have 51 200 bytes at most.
    pub async fn apply(&self, prepared: &Prepared, template_url: &str, step: &Step) -> Outcome {
        let action = if self.is_usable().await? {
            "UpdateStack"
        } else {
            "CreateStack"
        };
        if action == "CreateStack" && self.status().await?.is_some() {
            self.delete().await?;
        }
        let (status, body) = self.call(action, &input(prepared, template_url)).await?;
        if status == 400 && body.contains("No updates are to be performed") {
            return Ok(());
        }
        if status != 200 {
            return Err(Failure::new(format!(
                "{action}: {status} {}",
                text(&body, "Message")
            )));
        }
        self.wait(
            step,
            prepared.body["Resources"]
                .as_object()
                .map_or(0, serde_json::Map::len),
        )
        .await
    }

    async fn wait(&self, step: &Step, expected: usize) -> Outcome {
        let started = Instant::now();
        loop {
            let status = self.status().await?.unwrap_or_default();
            if status.contains("FAILED") || status.contains("ROLLBACK") {
                return Err(Failure::new(format!("the stack is {status}")));
            }
            if !status.ends_with("IN_PROGRESS") {
                return Ok(());
            }
            if started.elapsed() > LIMIT {
                return Err(Failure::new(format!(
                    "the stack is still {status} after {} s",
                    LIMIT.as_secs()
                )));
            }
            let made = self.resources().await?.len();
            step.detail(format_args!(
                "{made} resources, the template names {expected}"
            ));
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    }

    /// Removes the stack and waits until it is gone.
    pub async fn delete(&self) -> Outcome {
        self.call("DeleteStack", &[]).await?;
        let started = Instant::now();
        while self
            .status()
            .await?
            .is_some_and(|status| status != "DELETE_COMPLETE")
        {
            if started.elapsed() > LIMIT {
                return Err(Failure::new("the old stack does not go away")
                    .remedy("start anew: cargo fleet up --fresh"));
            }
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        Ok(())
    }

    /// What the stack holds, also what SAM added to the template.
    pub async fn resources(&self) -> Outcome<Vec<Resource>> {
        let (_, body) = self.call("DescribeStackResources", &[]).await?;
        let resources = texts(&body, "member").into_iter().map(|member| Resource {
            logical_id: text(&member, "LogicalResourceId"),
            physical_id: text(&member, "PhysicalResourceId"),
            kind: text(&member, "ResourceType"),
        });
        Ok(resources.collect())
    }

    /// The stack's outputs.
    pub async fn outputs(&self) -> Outcome<BTreeMap<String, String>> {
        let (_, body) = self.call("DescribeStacks", &[]).await?;
        Ok(texts(&body, "OutputKey")
            .into_iter()
            .zip(texts(&body, "OutputValue"))
            .collect())
    }
}

fn input(prepared: &Prepared, template_url: &str) -> Vec<(String, String)> {
    let mut input = vec![("TemplateURL".to_owned(), template_url.to_owned())];
    let capabilities = [
        "CAPABILITY_IAM",
        "CAPABILITY_NAMED_IAM",
        "CAPABILITY_AUTO_EXPAND",
    ];
    for (index, capability) in capabilities.iter().enumerate() {
        input.push((
            format!("Capabilities.member.{}", index + 1),
            (*capability).to_owned(),
        ));
    }
    for (index, (name, value)) in prepared.parameters.iter().enumerate() {
        let member = format!("Parameters.member.{}", index + 1);
        input.push((format!("{member}.ParameterKey"), name.clone()));
        input.push((format!("{member}.ParameterValue"), value.clone()));
    }
    input
}
