//! llama.cpp's server: built once from the pinned sources, started on a port of 127.0.0.1.
//! <https://github.com/ggml-org/llama.cpp/tree/master/tools/server>

use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::{
    emulator::tail,
    failure::{Failure, Outcome, While},
    layout::Layout,
    model::{
        child,
        progress::{Progress, ninja},
        store::Store,
        tools,
    },
    package::digest_of,
};

/// The name under which every model answers, so that nobody takes its text for publishable copy.
pub const ALIAS: &str = "local-dev";

/// How many tokens a request and its answer may have together.
pub const TOKENS: u32 = 2048;

/// How many requests are answered at a time.
const PARALLEL: u32 = 2;

/// One static program that needs nothing but the C++ runtime; no instruction of this very processor
/// (`GGML_NATIVE`), so that the kept program survives a move to another; nothing that would be fetched while it
/// builds (the web page), nothing that asks git.
const FLAGS: [&str; 14] = [
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DGGML_NATIVE=OFF",
    "-DGGML_OPENMP=OFF",
    "-DLLAMA_CURL=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DCMAKE_DISABLE_FIND_PACKAGE_Git=TRUE",
    "-DGIT_EXE=OFF",
    // What multiplies matrices is optimised by local/model/ggml.cmake; for the rest, parsing JSON, it would
    // only take longer to compile.
    "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG",
];

/// Vector instructions of x86-64 that make it several times faster; in every such processor since 2015.
const VECTORS: [(&str, &str); 4] = [
    ("avx2", "GGML_AVX2"),
    ("fma", "GGML_FMA"),
    ("f16c", "GGML_F16C"),
    ("bmi2", "GGML_BMI2"),
];

/// How much of an installation each step is, in rough seconds of an idle two-core machine.
const TOOLS_WEIGHT: u64 = 10;
const SOURCES_WEIGHT: u64 = 15;
const COMPILE_WEIGHT: u64 = 360;

/// What building the server weighs in a plan.
pub const WEIGHT: u64 = TOOLS_WEIGHT + SOURCES_WEIGHT + COMPILE_WEIGHT;

/// The name of the built program in the store: another archive or other flags, another program.
fn file_name(layout: &Layout) -> Outcome<String> {
    let read = |path| fs::read_to_string(path).during("reading the server's recipe");
    let (archive, hook) = (read(archive(layout))?, read(hook(layout))?);
    let recipe = format!("{archive}{hook}{}{:?}", std::env::consts::ARCH, flags());
    Ok(format!(
        "llama-server-{}",
        &digest_of(recipe.as_bytes())[..16]
    ))
}

fn archive(layout: &Layout) -> PathBuf {
    layout.root().join("local/model/llama-cpp.txt")
}

fn hook(layout: &Layout) -> PathBuf {
    layout.root().join("local/model/ggml.cmake")
}

fn flags() -> Vec<String> {
    let mut flags: Vec<String> = FLAGS.iter().map(ToString::to_string).collect();
    if std::env::consts::ARCH == "x86_64" {
        let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        flags.extend(vectors(&processor));
    }
    flags
}

/// All of the vector instructions, or on an older processor none.
fn vectors(processor: &str) -> Vec<String> {
    let has: Vec<&str> = processor
        .lines()
        .find_map(|line| line.strip_prefix("flags"))
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let all = VECTORS.iter().all(|(name, _)| has.contains(name));
    let value = if all { "ON" } else { "OFF" };
    let mut flags: Vec<String> = VECTORS
        .iter()
        .map(|(_, option)| format!("-D{option}={value}"))
        .collect();
    if !all {
        flags.push("-DGGML_AVX=OFF".to_owned());
    }
    flags
}

/// The built program, if it is here and runs on this machine.
pub fn installed(layout: &Layout, store: &Store) -> Outcome<Option<PathBuf>> {
    Ok(store.get(&file_name(layout)?, runs))
}

fn runs(program: &Path) -> Outcome {
    let tried = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .during(format_args!("starting {}", program.display()))?;
    if tried.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("it does not run here ({tried})")))
    }
}

/// The program, built first if it is not here. A build that was interrupted is taken up where it was.
pub fn install(layout: &Layout, store: &Store, progress: &mut Progress<'_>) -> Outcome<PathBuf> {
    if let Some(program) = installed(layout, store)? {
        return Ok(program);
    }
    require_compiler()?;
    let name = file_name(layout)?;
    let work = layout.model().join(&name);
    progress.step(TOOLS_WEIGHT, "installing CMake")?;
    let python = tools::ensure(layout)?;
    progress.step(SOURCES_WEIGHT, "fetching the server's sources")?;
    let sources = sources(layout, &python, &work)?;
    progress.step(COMPILE_WEIGHT, "compiling the server")?;
    compile(layout, &sources, &work, progress)?;
    let draft = store.draft(&name)?;
    let built = work.join("build/bin/llama-server");
    fs::copy(&built, &draft).during("keeping the server")?;
    // Without its symbols it has two thirds of the size; with them it serves as well.
    let _as_it_is = Command::new("strip").arg(&draft).status();
    runs(&draft)?;
    let program = store.put(&draft, &name)?;
    fs::remove_dir_all(&work).during("removing the server's build")?;
    Ok(program)
}

fn require_compiler() -> Outcome {
    for name in ["cc", "c++"] {
        let found = Command::new(name)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !found.is_ok_and(|status| status.success()) {
            return Err(Failure::new(format!("no `{name}` on the PATH"))
                .remedy("install a C and C++ compiler (Debian: build-essential), or give an endpoint in FLEET_MODEL_TARGETS"));
        }
    }
    Ok(())
}

/// The unpacked sources. The archive is fetched by version and hash; pip asks it for its name, with a build tool
/// that is pinned as well, and nothing of it is built or installed.
fn sources(layout: &Layout, python: &Path, work: &Path) -> Outcome<PathBuf> {
    let sources = work.join("sources");
    let whole = work.join("sources.whole");
    if whole.exists() {
        return Ok(sources);
    }
    if work.exists() {
        fs::remove_dir_all(work).during("removing an unfinished build")?;
    }
    fs::create_dir_all(&sources).during("making the server's build directory")?;
    let mut pip = tools::pip_download(python, work);
    pip.args(["--require-hashes", "--no-binary", ":all:"]);
    pip.arg("--no-build-isolation")
        .arg("-r")
        .arg(archive(layout));
    pip.env("PATH", with_tools(layout)?);
    child::run(&mut pip, |_line| ())?;
    let entries = fs::read_dir(work).during("reading the server's archive")?;
    let release = entries
        .flatten()
        .find_map(|entry| {
            Some(
                entry
                    .file_name()
                    .to_str()?
                    .strip_suffix(".tar.gz")?
                    .to_owned(),
            )
        })
        .ok_or_else(|| Failure::new("pip left no archive of the server's sources"))?;
    let tarball = work.join(format!("{release}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(&tarball).arg("-C").arg(&sources);
    // What it has of a repository points to one that is not there, and git would say so again and again.
    tar.arg("--exclude=.git");
    tar.arg("--strip-components=3")
        .arg(format!("{release}/vendor/llama.cpp"));
    child::run(&mut tar, |_line| ())?;
    fs::remove_file(&tarball).during("removing the server's archive")?;
    File::create(&whole).during("marking the server's sources")?;
    Ok(sources)
}

fn with_tools(layout: &Layout) -> Outcome<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(layout.tools().join("bin")).chain(std::env::split_paths(&path));
    std::env::join_paths(all).during("reading the PATH")
}

fn compile(layout: &Layout, sources: &Path, work: &Path, progress: &mut Progress<'_>) -> Outcome {
    let build = work.join("build");
    let tools = layout.tools().join("bin");
    let mut optimised = OsString::from("-DCMAKE_PROJECT_ggml_INCLUDE=");
    optimised.push(hook(layout));
    let mut make = OsString::from("-DCMAKE_MAKE_PROGRAM=");
    make.push(tools.join("ninja"));
    let mut cmake = Command::new(tools.join("cmake"));
    cmake.args(["-G", "Ninja", "-S"]).arg(sources);
    cmake.arg("-B").arg(&build);
    cmake.args(flags()).arg(optimised).arg(make);
    child::run(&mut cmake, |_line| ())?;
    let mut ninja_build = Command::new(tools.join("ninja"));
    ninja_build.arg("-C").arg(&build).arg("llama-server");
    child::run(&mut ninja_build, |line| {
        if let Some((part, whole)) = ninja(line) {
            let doing = format!("compiling the server, {part} of {whole} files");
            progress.share(part, whole, &doing);
        }
    })
}

/// Starts the program with a model, on this port, its words appended to the model's log. One thread: two that
/// share a busy core wait for each other and are five times slower. No second cache of prompts beside the context, nobody can read another's prompt, and no page from elsewhere.
pub fn start(layout: &Layout, program: &Path, weights: &Path, port: u16) -> Outcome<Child> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(layout.model_log())
        .during("opening the model's log")?;
    let errors = log.try_clone().during("opening the model's log")?;
    Command::new(program)
        .arg("--model")
        .arg(weights)
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .args(["--alias", ALIAS, "--parallel", &PARALLEL.to_string()])
        .args(["--ctx-size", &(TOKENS * PARALLEL).to_string()])
        .args(["--threads", "1", "--threads-batch", "1"])
        .args(["--embeddings", "--pooling", "mean"])
        .args(["--cache-ram", "0", "--no-slots", "--offline", "--no-ui"])
        .args(["--cors-origins", "localhost"])
        .current_dir(layout.model())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .during("starting the model's server")
}

/// What the model's log says at its end, for a failure.
pub fn last_words(layout: &Layout) -> String {
    tail(&layout.model_log(), 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_without_one_of_the_vector_instructions_gets_none() {
        let new = "model name\t: x\nflags\t\t: sse avx avx2 fma f16c bmi2\n";
        let old = "flags\t\t: sse avx f16c\n";

        assert!(vectors(new).iter().all(|flag| flag.ends_with("=ON")));
        assert!(vectors(old).iter().all(|flag| flag.ends_with("=OFF")));
        assert!(vectors(old).contains(&"-DGGML_AVX=OFF".to_owned()));
    }

    #[test]
    fn the_kept_program_is_named_after_what_it_was_built_from() {
        let name = file_name(&Layout::developer()).unwrap();

        assert!(name.starts_with("llama-server-"), "{name}");
        assert_eq!(name.len(), "llama-server-".len() + 16);
    }
}
