//! What else draws invoices: `ReportLab`, `WeasyPrint` and headless Chromium, each warm in one process of its own.
//!
//! They are installed, pinned and hash-checked, under `target/fleet/bench`. One that cannot be had here is told as
//! missing. What a peer has drawn is read again before its time counts: two A4 pages, every text, every font.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use fleet::{Failure, Outcome, failure::While, layout::Layout, node, python};
use serde_json::Value;

use crate::invoices::{Invoice, Measured};

/// Somebody else who draws documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// PDF by program, in Python.
    ReportLab,
    /// HTML and CSS for print, in Python over Pango.
    WeasyPrint,
    /// HTML and CSS in a browser.
    Chromium,
}

impl Peer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ReportLab, Self::WeasyPrint, Self::Chromium];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReportLab => "ReportLab",
            Self::WeasyPrint => "WeasyPrint",
            Self::Chromium => "Chromium",
        }
    }

    /// The part of its time that ours has to stay below.
    pub const fn share(self) -> f64 {
        match self {
            Self::ReportLab => 1.0,
            Self::WeasyPrint | Self::Chromium => 0.1,
        }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::ReportLab => "reportlab_peer.py",
            Self::WeasyPrint => "weasyprint_peer.py",
            Self::Chromium => "chromium_peer.mjs",
        }
    }
}

/// Where the peers work.
pub struct Workshop {
    /// Their programs.
    sources: PathBuf,
    /// What is installed, and what they read and write.
    home: PathBuf,
}

impl Workshop {
    /// The workshop of this checkout.
    pub fn open() -> Outcome<Self> {
        let layout = Layout::developer();
        let workshop = Self {
            sources: layout.root().join("local/bench/peers"),
            home: layout.target().join("fleet/bench-peers"),
        };
        for directory in [workshop.documents(), workshop.home.join("tmp")] {
            make(&directory)?;
        }
        Ok(workshop)
    }

    fn documents(&self) -> PathBuf {
        self.home.join("documents")
    }

    fn list(&self) -> PathBuf {
        self.documents().join("documents.json")
    }

    /// Writes down what is to be drawn, for those who read HTML and for those who do not. The style of the pages
    /// stands in a file of its own, so that who keeps what it has read need not read it again.
    pub fn lay_out(&self, invoices: &[Invoice]) -> Outcome {
        let paper = self.sources.join("paper.css");
        let paper = fs::read_to_string(&paper).during("reading the peers' style")?;
        let mut list = Vec::new();
        for (index, invoice) in invoices.iter().enumerate() {
            let Page {
                style,
                plain,
                linked,
            } = Page::of(&invoice.html()?)?;
            let at = |name: &str| self.documents().join(name);
            write(&at("style.css"), &format!("{style}\n{paper}"))?;
            write(&at(&format!("{index}.html")), &linked)?;
            let mut entry = invoice.blocks();
            entry["html"] = Value::String(plain);
            list.push(entry);
        }
        write(&self.list(), &Value::Array(list).to_string())
    }

    /// Lets a peer draw all of them, and reads what it drew.
    pub fn measure(&self, peer: Peer, warm_up: usize, documents: usize) -> Outcome<Measured> {
        let out = self.home.join(peer.name());
        make(&out)?;
        let mut command = self.command(peer)?;
        command.arg(self.list()).arg(warm_up.to_string()).arg(&out);
        command.env("TMPDIR", self.home.join("tmp"));
        let output = command.output().during("starting a peer")?;
        let measured = said(&output)?;
        self.check(&out, documents)?;
        Ok(measured)
    }

    /// Keeps our own first and last file, and reads them like those of the others.
    pub fn keep(&self, name: &str, files: &[Vec<u8>]) -> Outcome {
        let out = self.home.join(name);
        make(&out)?;
        for (index, file) in [(0, files.first()), (files.len() - 1, files.last())] {
            let path = out.join(format!("{index}.pdf"));
            fs::write(&path, file.map_or(&[][..], Vec::as_slice))
                .during(format_args!("writing {}", path.display()))?;
        }
        match self.check(&out, files.len()) {
            // Without Python nobody can read it, and nobody is there to be compared with.
            Err(_) if self.python().is_err() => Ok(()),
            read => read,
        }
    }

    fn command(&self, peer: Peer) -> Outcome<Command> {
        let program = peer.program();
        if peer == Peer::Chromium {
            let home = self.node()?;
            copy(&self.sources.join(program), &home.join(program))?;
            let mut node = Command::new("node");
            node.arg(home.join(program));
            return Ok(node);
        }
        let mut python = Command::new(self.python()?);
        python.arg(self.sources.join(program));
        Ok(python)
    }

    /// The interpreter of the peers in Python; the fonts that one of them brings lie beside the documents then.
    fn python(&self) -> Outcome<PathBuf> {
        let venv = self.home.join("venv");
        python::ensure(&venv, &self.sources.join("requirements.txt"))?;
        let interpreter = python::interpreter(&venv);
        let place = "import reportlab; print(reportlab.__path__[0])";
        let asked = Command::new(&interpreter).args(["-c", place]).output();
        let answer = asked.during("looking for the fonts")?.stdout;
        let fonts = Path::new(String::from_utf8_lossy(&answer).trim()).join("fonts");
        for font in ["Vera.ttf", "VeraBd.ttf"] {
            copy(&fonts.join(font), &self.documents().join(font))?;
        }
        Ok(interpreter)
    }

    /// Where the browser is installed.
    fn node(&self) -> Outcome<PathBuf> {
        let home = self.home.join("node");
        node::ensure(Command::new("npm"), &self.sources, &home)?;
        Ok(home)
    }

    /// Reads the first and the last file of somebody.
    fn check(&self, out: &Path, documents: usize) -> Outcome {
        let mut command = Command::new(self.python()?);
        command.arg(self.sources.join("check.py")).arg(self.list());
        for index in [0, documents.saturating_sub(1)] {
            let file = out.join(format!("{index}.pdf"));
            command.arg(format!("{index}:{}", file.display()));
        }
        let output = command.output().during("reading what was drawn")?;
        let faults: Vec<Vec<String>> = serde_json::from_slice(&output.stdout)
            .map_err(|_| Failure::new(format!("reading what was drawn: {}", last(&output))))?;
        match faults.concat().first() {
            None => Ok(()),
            Some(fault) => Err(Failure::new(format!(
                "what was drawn is not the invoice: {fault} ({} more)",
                faults.concat().len() - 1
            ))),
        }
    }
}

/// Our page of HTML, taken apart.
struct Page {
    style: String,
    /// Without its style, and without its policy, which lets it load nothing.
    plain: String,
    /// That with a link to `style.css`.
    linked: String,
}

impl Page {
    fn of(html: &str) -> Outcome<Self> {
        let is_policy = |line: &&str| line.contains("Content-Security-Policy");
        let free: String = html
            .split_inclusive('\n')
            .filter(|line| !is_policy(line))
            .collect();
        let parts = free.split_once("<style>").and_then(|(before, rest)| {
            let (style, after) = rest.split_once("</style>")?;
            Some((before, style, after))
        });
        let (before, style, after) =
            parts.ok_or_else(|| Failure::new("our page of HTML has no style"))?;
        Ok(Self {
            style: style.to_owned(),
            plain: format!("{before}{after}"),
            linked: format!("{before}<link rel=\"stylesheet\" href=\"style.css\"/>{after}"),
        })
    }
}

fn said(output: &Output) -> Outcome<Measured> {
    if !output.status.success() {
        return Err(Failure::new(last(output)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    let said: Value = serde_json::from_str(line).during("reading what a peer says")?;
    let number = |name: &str| said[name].as_f64().unwrap_or(f64::NAN);
    let warm = said["warm_ms"].as_array().into_iter().flatten();
    Ok(Measured {
        version: said["version"].as_str().unwrap_or_default().to_owned(),
        first: number("first_ms"),
        warm: warm.filter_map(Value::as_f64).collect(),
        memory: number("peak_mb"),
        octets: said["octets"].as_u64().unwrap_or_default(),
    })
}

/// The last thing that a program complained of.
fn last(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.map_or_else(|| output.status.to_string(), str::to_owned)
}

fn make(directory: &Path) -> Outcome {
    fs::create_dir_all(directory).during(format_args!("making {}", directory.display()))
}

fn write(path: &Path, text: &str) -> Outcome {
    fs::write(path, text).during(format_args!("writing {}", path.display()))
}

fn copy(from: &Path, to: &Path) -> Outcome {
    fs::copy(from, to)
        .map(drop)
        .during(format_args!("copying {}", from.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_for_peers_may_load_its_style_and_has_none_inside() {
        let html = "<head>\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'\"/>\n\
                    <style>p{margin:0}</style>\n</head>\n<p>Total</p>";

        let page = Page::of(html).unwrap();

        assert_eq!(page.style, "p{margin:0}");
        assert_eq!(page.plain, "<head>\n\n</head>\n<p>Total</p>");
        assert!(
            page.linked
                .contains("<link rel=\"stylesheet\" href=\"style.css\"/>")
        );
    }

    #[test]
    fn a_page_without_a_style_is_not_drawn_without_one() {
        assert!(Page::of("<head></head>").is_err());
    }
}
