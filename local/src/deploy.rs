//! Brings the emulator to what the template and the binaries say, doing only what changed.

use std::{collections::BTreeMap, fs, path::Path, path::PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    cloud::Cloud,
    console::{Step, note},
    emulator::REGION,
    failure::{Failure, Outcome, While},
    layout::Layout,
    outputs::Outputs,
    package::{self, Package},
    stack::Stack,
    template::{self, Local, Prepared},
    yaml,
};

/// The packages' bucket. It is not the fleet's: the stack does not know it.
const BUCKET: &str = "fleet-packages";

/// A stack to deploy.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The stack's name.
    pub stack: String,
    /// The template's file.
    pub template: PathBuf,
}

/// A template with the packages of its functions, ready to deploy.
#[derive(Clone, Debug)]
pub struct Packed {
    source: Value,
    packages: BTreeMap<String, Package>,
}

/// What was deployed last; it lies with the emulator's state and is lost with it.
#[derive(Default, Deserialize, Serialize)]
struct Deployed {
    template: String,
    packages: BTreeMap<String, String>,
}

impl Deployed {
    fn read(record: &Path) -> Self {
        fs::read(record)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
    }

    fn write(&self, record: &Path) -> Outcome {
        let text = serde_json::to_vec(self).during("recording the deployment")?;
        fs::write(record, text).during("recording the deployment")
    }
}

impl Deployment {
    /// The fleet's own template.
    pub fn fleet(layout: &Layout) -> Self {
        Self {
            stack: "fleet".to_owned(),
            template: layout.root().join("template.yaml"),
        }
    }

    /// Reads the template and packs its functions. Needs no emulator.
    pub fn pack(&self, layout: &Layout) -> Outcome<Packed> {
        let text = fs::read_to_string(&self.template)
            .during(format_args!("reading {}", self.template.display()))?;
        let source = yaml::parse(&text)?;
        let packages = package::pack(layout, template::functions(&source).into_values().collect())?;
        Ok(Packed { source, packages })
    }

    /// Uploads and deploys what changed; answers what the stack made.
    pub async fn run(&self, layout: &Layout, cloud: &Cloud, packed: Packed) -> Outcome<Outputs> {
        let step = Step::start("deploy", self.template.display());
        let record = layout.state().join(format!("{}.deployed.json", self.stack));
        let stack = Stack::new(cloud, &self.stack);
        let exists = stack.is_usable().await?;
        let before = if exists {
            Deployed::read(&record)
        } else {
            Deployed::default()
        };
        let changed = changed(&before.packages, &packed.packages);
        upload(cloud, &changed, &step).await?;
        let prepared = template::prepare(packed.source, &local(cloud, &packed.packages));
        let now = Deployed {
            template: fingerprint(&prepared),
            packages: digests(&packed.packages),
        };
        let same_template = exists && before.template == now.template;
        if !same_template {
            let address = upload_template(cloud, &self.stack, &prepared).await?;
            stack
                .apply(&prepared, &address, &step)
                .await
                .map_err(|failure| explained(failure, layout))?;
        }
        let outputs = Outputs::of(&stack, &prepared, cloud.endpoint()).await?;
        let updated = if exists {
            update_functions(cloud, &outputs, &changed, &step).await?
        } else {
            0
        };
        now.write(&record)?;
        step.done(summary(
            exists,
            same_template,
            updated,
            outputs.functions.len(),
        ));
        if !same_template {
            for line in &prepared.dropped {
                note(format_args!("{:>10}  {line}", "left out"));
            }
        }
        Ok(outputs)
    }
}

fn local(cloud: &Cloud, packages: &BTreeMap<String, Package>) -> Local {
    Local {
        endpoint: cloud.endpoint().to_owned(),
        bucket: BUCKET.to_owned(),
        packages: packages
            .keys()
            .map(|binary| (binary.clone(), key(binary)))
            .collect(),
    }
}

fn digests(packages: &BTreeMap<String, Package>) -> BTreeMap<String, String> {
    packages
        .iter()
        .map(|(binary, package)| (binary.clone(), package.digest.clone()))
        .collect()
}

fn summary(exists: bool, same_template: bool, updated: usize, functions: usize) -> String {
    match (exists, same_template) {
        (false, _) => format!("stack created, {functions} functions"),
        (true, false) => format!("stack updated, code of {updated} functions"),
        (true, true) => format!("code of {updated} of {functions} functions updated"),
    }
}

fn key(binary: &str) -> String {
    format!("{binary}.zip")
}

fn changed<'a>(
    before: &BTreeMap<String, String>,
    packages: &'a BTreeMap<String, Package>,
) -> BTreeMap<&'a String, &'a Package> {
    packages
        .iter()
        .filter(|(binary, package)| before.get(*binary) != Some(&package.digest))
        .collect()
}

/// Puts the prepared template where `CloudFormation` fetches it from.
async fn upload_template(cloud: &Cloud, stack: &str, prepared: &Prepared) -> Outcome<String> {
    let path = format!("/{BUCKET}/{stack}.json");
    let body = prepared.body.to_string().into_bytes();
    cloud
        .signed(
            "s3",
            "PUT",
            &path,
            &[("content-type", "application/json")],
            body,
        )
        .await?
        .accepted("uploading the template")?;
    Ok(format!("{}{path}", cloud.endpoint()))
}

/// Adds what the emulator's log says of the failure: the stack's events do not carry it.
fn explained(failure: Failure, layout: &Layout) -> Failure {
    let log = fs::read_to_string(layout.log()).unwrap_or_default();
    let reasons: Vec<_> = log
        .lines()
        .filter(|line| line.contains("Failed to provision"))
        .collect();
    match reasons.last() {
        Some(reason) => failure.remedy(*reason),
        None => failure,
    }
}

/// Keys do not carry the digest: a function whose code alone changed must not change the template.
async fn upload(cloud: &Cloud, packages: &BTreeMap<&String, &Package>, step: &Step) -> Outcome {
    make_bucket(cloud).await?;
    for (binary, package) in packages {
        step.detail(format_args!("uploading {binary}"));
        let zip =
            fs::read(&package.path).during(format_args!("reading {}", package.path.display()))?;
        let path = format!("/{BUCKET}/{}", key(binary));
        cloud
            .signed(
                "s3",
                "PUT",
                &path,
                &[("content-type", "application/zip")],
                zip,
            )
            .await?
            .accepted("uploading a package")?;
    }
    Ok(())
}

async fn make_bucket(cloud: &Cloud) -> Outcome {
    let place = format!(
        "<CreateBucketConfiguration><LocationConstraint>{REGION}</LocationConstraint></CreateBucketConfiguration>"
    );
    let made = cloud
        .signed("s3", "PUT", &format!("/{BUCKET}"), &[], place.into_bytes())
        .await?;
    // 409: it is there already.
    if made.status == 409 {
        Ok(())
    } else {
        made.accepted("making the packages' bucket").map(|_made| ())
    }
}

/// Gives functions that existed before their new code.
async fn update_functions(
    cloud: &Cloud,
    outputs: &Outputs,
    changed: &BTreeMap<&String, &Package>,
    step: &Step,
) -> Outcome<usize> {
    for binary in changed.keys() {
        let name = outputs
            .functions
            .get(*binary)
            .ok_or_else(|| Failure::new(format!("the stack has no function for {binary}")))?;
        step.detail(format_args!("updating {binary}"));
        let input = json!({ "S3Bucket": BUCKET, "S3Key": key(binary) }).to_string();
        let path = format!("/2015-03-31/functions/{name}/code");
        let headers = [("content-type", "application/json")];
        cloud
            .signed("lambda", "PUT", &path, &headers, input.into_bytes())
            .await?
            .accepted("updating a function's code")?;
    }
    Ok(changed.len())
}

fn fingerprint(prepared: &Prepared) -> String {
    package::digest_of(format!("{}{:?}", prepared.body, prepared.parameters).as_bytes())
}

/// Removes a cloud's state, so that the next start is the first.
pub fn forget(layout: &Layout) -> Outcome {
    for directory in [layout.state(), layout.scratch()] {
        remove(&directory)?;
    }
    Ok(())
}

fn remove(directory: &Path) -> Outcome {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).during(format_args!("removing {}", directory.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_changed_package_is_deployed_again() {
        let package = |digest: &str| Package {
            path: PathBuf::new(),
            digest: digest.to_owned(),
        };
        let packages = BTreeMap::from([
            ("a".to_owned(), package("1")),
            ("b".to_owned(), package("2")),
            ("c".to_owned(), package("3")),
        ]);
        let before = BTreeMap::from([
            ("a".to_owned(), "1".to_owned()),
            ("b".to_owned(), "1".to_owned()),
        ]);

        let changed: Vec<_> = changed(&before, &packages).into_keys().collect();

        assert_eq!(changed, ["b", "c"]);
    }
}
