//! Templates and data that mean harm: each is refused or ended within its limits, in words of our own,
//! and the next document is made at once by a process that has not grown.

use std::time::{Duration, Instant};

use documents::job::{Job, Limits, OwnSource, Source, TypesetError};
use documents::renderer::Renderer;
use serde_json::{Value, json};

use crate::text::{squeezed, text_of};
use crate::{renderer, typst};

/// What has to become of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The compiler or a check of ours refuses it.
    Refused,
    /// It uses up its time, its memory or its stack, or is refused on the way.
    Ended,
    /// It has more pages or octets than it may have, or is ended before that shows.
    TooLarge,
    /// It does no harm, and is a document.
    Harmless,
}
use Fate::{Ended, Harmless, Refused, TooLarge};

/// Each with a name; the data is `{"text": …, "n": 7}`.
const SOURCES: [(&str, Fate, &str); 51] = [
    // Time.
    (
        "a long loop",
        Ended,
        "#let n = 0\n#for _ in range(100000000) { n += 1 }\n#n",
    ),
    ("an endless loop", Refused, "#while true {}"),
    (
        "a loop without an end in sight",
        Ended,
        "#let n = 1\n#while n > 0 { n += 1 }",
    ),
    (
        "nested loops",
        Ended,
        "#let n = 0\n#for a in range(100000) { for b in range(100000) { n += 1 } }",
    ),
    ("a recursion", Refused, "#let f(n) = f(n + 1)\n#f(0)"),
    (
        "a recursion that doubles",
        Harmless,
        "#let f(n) = if n == 0 { 1 } else { f(n - 1) + f(n - 1) }\n#f(60)",
    ),
    (
        "a mutual recursion",
        Refused,
        "#let pair = (f: (self, n) => (self.g)(self, n), g: (self, n) => (self.f)(self, n))\n#(pair.f)(pair, 0)",
    ),
    (
        "a slow regular expression",
        Ended,
        "#let s = \"a\" * 100000\n#for _ in range(100000) { s.matches(regex(\"(a|aa)+b\")) }",
    ),
    (
        "a sort of very much",
        Ended,
        "#range(20000000).sorted(key: x => -x).len()",
    ),
    (
        "a show rule that shows itself",
        Harmless,
        "#show \"x\": it => [x x]\nx",
    ),
    (
        "a show rule that grows",
        Refused,
        "#show heading: it => [= a #it.body]\n= a",
    ),
    (
        "a layout that never settles",
        Harmless,
        "#let s = state(\"s\", 0)\n#context { let v = s.final(); s.update(v + 1); [#v] }",
    ),
    (
        "a counter that never settles",
        Harmless,
        "#let c = counter(\"c\")\n#context { c.update(c.final().first() + 1) }",
    ),
    (
        "a great many states",
        Ended,
        "#for i in range(3000000) { state(str(i), 0).update(1) }",
    ),
    (
        "a query of all for each",
        TooLarge,
        "#for i in range(20000) [= H #i\n#context query(heading).len()\n]",
    ),
    // Memory.
    (
        "a text that doubles",
        Ended,
        "#let s = \"x\" * 1024\n#for _ in range(40) { s += s }\n#s.len()",
    ),
    (
        "a range of a thousand million",
        Ended,
        "#range(1000000000).len()",
    ),
    (
        "an array that doubles",
        Ended,
        "#let a = (1,) * 1024\n#for _ in range(40) { a += a }\n#a.len()",
    ),
    (
        "a text of a thousand million",
        Ended,
        "#(\"x\" * 1000000000)",
    ),
    (
        "octets of four thousand million",
        Ended,
        "#bytes((0,) * 4000000000).len()",
    ),
    (
        "a product beyond numbers",
        Refused,
        "#(9223372036854775807 * 2)",
    ),
    (
        "a text repeated beyond numbers",
        Ended,
        "#(\"xx\" * 9223372036854775807)",
    ),
    (
        "a group nested deeply",
        Ended,
        "#let b = []\n#for _ in range(100000) { b = block(b) }\n#b",
    ),
    // Size.
    (
        "a great many pages",
        TooLarge,
        "#for _ in range(100000) { pagebreak() }",
    ),
    (
        "pages a little too many",
        TooLarge,
        "#for _ in range(200) { pagebreak() }",
    ),
    (
        "a great deal of text",
        TooLarge,
        "#(\"lorem ipsum \" * 4000000)",
    ),
    (
        "a page of a thousand kilometres",
        Harmless,
        "#set page(width: 1000000000cm, height: 1000000000cm)\nx",
    ),
    (
        "a page without an end",
        Harmless,
        "#set page(height: auto)\n#for i in range(1000) [#i \\\n]",
    ),
    (
        "a table of a million cells",
        TooLarge,
        "#table(columns: 1000, ..range(1000000).map(str))",
    ),
    (
        "a great picture",
        Ended,
        "#image(bytes(\"<svg xmlns='http://www.w3.org/2000/svg' width='1e9' height='1e9'><filter id='f'><feTurbulence baseFrequency='0.5' numOctaves='99'/></filter><rect width='1e9' height='1e9' filter='url(#f)'/></svg>\"), alt: \"x\")",
    ),
    ("a picture nested in itself", Ended, SVG_LAUGHS),
    // Reach.
    ("a file", Refused, "#read(\"/etc/passwd\")"),
    (
        "a file above the root",
        Refused,
        "#read(\"../../../etc/passwd\")",
    ),
    (
        "the environment",
        Refused,
        "#include \"/proc/self/environ\"",
    ),
    ("a file as a picture", Refused, "#image(\"/etc/hostname\")"),
    ("a file as a table", Refused, "#csv(\"/etc/passwd\")"),
    (
        "another template's data",
        Refused,
        "#json(\"/shown.json/../other.json\")",
    ),
    ("a package", Refused, "#import \"@preview/cetz:0.3.4\""),
    ("a local package", Refused, "#import \"@local/x:1.0.0\""),
    (
        "an address as a file",
        Refused,
        "#read(\"https://example.com/\")",
    ),
    ("a plug-in from a file", Refused, "#plugin(\"/x.wasm\")"),
    (
        "a plug-in from octets",
        Refused,
        "#plugin(bytes((0, 97, 115, 109, 1, 0, 0, 0)))",
    ),
    (
        "a plug-in by another way",
        Refused,
        "#std.plugin(bytes((0, 97, 115, 109, 1, 0, 0, 0)))",
    ),
    ("code from data", Refused, "#eval(data.text)"),
    (
        "code from data by another way",
        Refused,
        "#std.eval(data.text, mode: \"markup\")",
    ),
    ("the clock", Refused, "#datetime.today().display()"),
    // What a reader's click does.
    (
        "a link to a script",
        Refused,
        "#link(\"javascript:app.alert(1)\")[x]",
    ),
    (
        "a link to a file",
        Refused,
        "#link(\"file:///etc/passwd\")[x]",
    ),
    (
        "a link to a program, in a box",
        Refused,
        "#box(rotate(3deg, link(\"ms-msdt:/id\")[x]))",
    ),
    ("a link to data", Refused, "#link(\"data:text/html,x\")[x]"),
    (
        "an attachment",
        Refused,
        "#pdf.attach(\"evil.exe\", bytes(\"MZ\"))",
    ),
];

/// A picture of pictures of pictures.
const SVG_LAUGHS: &str = "#let rows = range(1, 30).map(i => \"<g id='g\" + str(i) + \"'><use href='#g\" + str(i - 1) + \"'/><use href='#g\" + str(i - 1) + \"'/></g>\").join()\n#image(bytes(\"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><g id='g0'><rect width='1' height='1'/></g>\" + rows + \"<use href='#g29'/></svg>\"), alt: \"x\")";

/// The data of every one of them.
fn data() -> Value {
    json!({ "text": "#read(\"/etc/passwd\")", "n": 7 })
}

/// A job as the service would send it for an organisation's template.
fn hostile(source: &str, data: Value) -> Job {
    Job {
        source: Source::Own(OwnSource {
            text: source.to_owned(),
            schema: json!({ "type": "object" }),
            title: "Test".to_owned(),
        }),
        data,
        limits: Limits {
            millis: 2_000,
            ..documents::own::LIMITS
        },
        ..typst("")
    }
}

fn fits(fate: Fate, answer: &Result<u32, TypesetError>) -> bool {
    use TypesetError as E;
    match fate {
        Harmless => answer.is_ok(),
        Refused => matches!(answer, Err(E::Refused { .. })),
        Ended => matches!(answer, Err(E::TimedOut | E::Aborted | E::Refused { .. })),
        TooLarge => matches!(
            answer,
            Err(E::TooManyPages { .. } | E::TooBig { .. } | E::TimedOut | E::Aborted)
        ),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a hostile template takes is what is tested"
)]
async fn try_out(renderer: &Renderer, job: &Job) -> (Result<u32, TypesetError>, Duration) {
    let begun = Instant::now();
    let answer = renderer.render(job).await;
    (answer.map(|made| made.pages.unwrap_or(0)), begun.elapsed())
}

/// Resident memory of this process, the parent, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

#[tokio::test]
async fn every_hostile_template_ends_within_its_limits_and_the_next_document_is_made() {
    let renderer = renderer();
    renderer.render(&typst("Fine")).await.unwrap();
    let before = resident();
    let nested = format!("#let x = {}1{}", "(".repeat(100_000), ")".repeat(100_000));
    let deep = format!("#[{}x{}]", "[".repeat(50_000), "]".repeat(50_000));
    let all = SOURCES.into_iter().chain([
        ("an expression nested deeply", Ended, nested.as_str()),
        ("markup nested deeply", Ended, deep.as_str()),
    ]);

    let mut strange = Vec::new();
    for (name, fate, source) in all {
        let (answer, took) = try_out(&renderer, &hostile(source, data())).await;
        let (next, _) = try_out(&renderer, &typst("Fine")).await;

        if !fits(fate, &answer) || next != Ok(1) || took > Duration::from_secs(6) {
            strange.push(format!("{name}: {answer:?} after {took:?}, then {next:?}"));
        }
    }

    assert!(strange.is_empty(), "{}", strange.join("\n"));
    let grown = resident().saturating_sub(before);
    assert!(grown < 24 * 1024, "the parent grew by {grown} KiB");
}

#[tokio::test]
async fn a_hostile_schema_ends_its_process_and_not_ours() {
    let renderer = renderer();
    let mut doubling = serde_json::Map::new();
    doubling.insert("d0".to_owned(), json!({ "type": "integer" }));
    for n in 1..40 {
        let lower = json!({ "$ref": format!("#/$defs/d{}", n - 1) });
        doubling.insert(format!("d{n}"), json!({ "allOf": [lower, lower] }));
    }
    for (name, schema) in [
        ("itself", json!({ "$ref": "#" })),
        (
            "itself among others",
            json!({ "allOf": [{ "$ref": "#" }, { "$ref": "#" }] }),
        ),
        (
            "a loop of two",
            json!({ "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } } }),
        ),
        (
            "doubling",
            json!({ "properties": { "n": { "$ref": "#/$defs/d39" } }, "$defs": doubling }),
        ),
        (
            "a huge pattern",
            json!({ "properties": { "text": { "pattern": "((a{1,1000}){1,1000}){1,1000}" } } }),
        ),
        (
            "a look ahead",
            json!({ "properties": { "text": { "pattern": "(?=a)a" } } }),
        ),
        (
            "elsewhere",
            json!({ "$ref": "https://example.com/schema.json" }),
        ),
        ("a file", json!({ "$ref": "file:///etc/passwd" })),
        ("nowhere", json!({ "$ref": "#/$defs/nothing" })),
    ] {
        let mut job = hostile("= Fine", data());
        job.source = Source::Own(OwnSource {
            text: "= Fine".to_owned(),
            schema,
            title: "Test".to_owned(),
        });

        let (answer, took) = try_out(&renderer, &job).await;

        assert!(
            matches!(
                answer,
                Err(TypesetError::BadSchema { .. }
                    | TypesetError::TimedOut
                    | TypesetError::Aborted
                    | TypesetError::Unfit { .. })
            ) || answer == Ok(1),
            "{name}: {answer:?}"
        );
        assert!(took < Duration::from_secs(6), "{name}: {took:?}");
        assert_eq!(try_out(&renderer, &typst("Fine")).await.0, Ok(1), "{name}");
    }
}

#[tokio::test]
async fn a_text_of_the_data_is_printed_as_it_was_written_by_every_template() {
    let renderer = renderer();
    for text in [
        "#read(\"/etc/passwd\")",
        "#panic(1) #eval(\"1\")",
        "*bold* _italic_ `raw` $x^2$",
        "= Heading",
        "<label> @reference // comment /* more */",
        "\\u{41} \\ ~ --- ...",
        "[#link(\"javascript:x\")]",
        "{{template}} ${shell} %s",
        "</script><script>alert(1)</script>",
        "'; DROP TABLE documents; --",
    ] {
        for source in [
            "= T\n#data.text",
            "= T\n#sys.inputs.data.text",
            "= T\n#json(\"/data.json\").text",
        ] {
            let job = hostile(source, json!({ "text": text }));

            let made = renderer.render(&job).await.unwrap();

            let found = squeezed(&text_of(&made.file));
            assert!(found.contains(&squeezed(text)), "{text} in {found}");
        }
    }
}

#[tokio::test]
async fn a_link_that_comes_with_the_data_is_checked_too() {
    let renderer = renderer();
    let source = "= T\n#link(data.url)[Look]";
    for (url, passes) in [
        ("https://example.com/?a=1", true),
        ("mailto:ana@example.com", true),
        ("javascript:alert(1)", false),
        ("JAVASCRIPT:alert(1)", false),
        ("\tjavascript:alert(1)", false),
        ("file:///etc/passwd", false),
    ] {
        let answer = renderer
            .render(&hostile(source, json!({ "url": url })))
            .await;

        assert_eq!(answer.is_ok(), passes, "{url}: {:?}", answer.err());
    }
}

#[tokio::test]
async fn what_the_compiler_says_does_not_quote_the_data() {
    let renderer = renderer();
    let data = json!({ "text": "a private matter", "n": 31_415_926 });
    for source in [
        "#panic(data.text)",
        "#panic(data)",
        "#assert(false, message: data.text + \"!\")",
        "#panic(data.n)",
        "#int(data.text)",
        "#label(data.text)\n#ref(label(data.text))",
        "#data.at(data.text)",
        "#rgb(data.text)",
        "#read(data.text)",
        "#datetime(year: data.n, month: data.n, day: 1)",
    ] {
        let answer = renderer.render(&hostile(source, data.clone())).await;

        let Err(TypesetError::Refused { message, .. }) = answer else {
            panic!("{source}: {answer:?}")
        };
        assert!(
            !message.contains("private") && !message.contains("31415926"),
            "{source}: {message}"
        );
    }
}
