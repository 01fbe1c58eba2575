//! The words of a page of HTML, by the tokenizer that browsers use.
//!
//! No tree is built: a page that is nested a million times costs no more than its octets.

use std::cell::RefCell;

use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

/// Elements whose content nobody reads.
const HIDDEN: [&str; 8] = [
    "script", "style", "noscript", "template", "iframe", "noembed", "noframes", "svg",
];

/// Elements that go on in the line; before and behind every other one a new line begins.
const INLINE: [&str; 30] = [
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em",
    "font", "i", "ins", "kbd", "label", "mark", "q", "s", "samp", "small", "span", "strong", "sub",
    "sup", "time", "u", "var",
];

/// Elements with an empty line around them.
const PARAGRAPHS: [&str; 14] = [
    "p",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "ul",
    "ol",
    "table",
    "pre",
    "blockquote",
    "section",
    "article",
];

/// The words of a page.
pub fn read(source: &str) -> String {
    let input = BufferQueue::default();
    input.push_back(source.into());
    let tokenizer = Tokenizer::new(Words::default(), TokenizerOpts::default());
    // Nothing here stops the tokenizer, so that one turn reads everything.
    drop(tokenizer.feed(&input));
    tokenizer.end();
    tokenizer.sink.0.into_inner().text
}

#[derive(Default)]
struct Words(RefCell<State>);

#[derive(Default)]
struct State {
    text: String,
    /// The hidden element that is open, and how many of its name are inside each other.
    hidden: Option<(String, usize)>,
    /// How many `pre` are open: there, line ends count.
    kept: usize,
}

impl TokenSink for Words {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut state = self.0.borrow_mut();
        match token {
            Token::TagToken(tag) => return state.tag(&tag),
            Token::CharacterTokens(words) => state.say(&words),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl State {
    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        let opens = tag.kind == TagKind::StartTag && !tag.self_closing;
        if let Some((hidden, depth)) = &mut self.hidden {
            if hidden == name {
                *depth = if opens { *depth + 1 } else { *depth - 1 };
            }
            if *depth == 0 {
                self.hidden = None;
            }
            return TokenSinkResult::Continue;
        }
        if opens && HIDDEN.contains(&name) {
            self.hidden = Some((name.to_owned(), 1));
        }
        if name == "pre" {
            self.kept = if opens {
                self.kept + 1
            } else {
                self.kept.saturating_sub(1)
            };
        }
        match name {
            "td" | "th" if tag.kind == TagKind::EndTag || self.text.ends_with('\n') => {}
            "td" | "th" => self.text.push('\t'),
            name if PARAGRAPHS.contains(&name) => self.text.push_str("\n\n"),
            name if !INLINE.contains(&name) => self.text.push('\n'),
            _ => {}
        }
        raw(name, opens)
    }

    fn say(&mut self, words: &str) {
        if self.hidden.is_some() {
            return;
        }
        if self.kept > 0 {
            self.text.push_str(words);
            return;
        }
        for c in words.chars() {
            let space = c.is_ascii_whitespace();
            if !space {
                self.text.push(c);
            } else if !self.text.ends_with([' ', '\n', '\t']) && !self.text.is_empty() {
                self.text.push(' ');
            }
        }
    }
}

/// How the tokenizer goes on behind a tag: where a browser's tree would tell it that no tags follow.
fn raw(name: &str, opens: bool) -> TokenSinkResult<()> {
    match name {
        "script" if opens => TokenSinkResult::RawData(RawKind::ScriptData),
        "style" | "iframe" | "noembed" | "noframes" if opens => {
            TokenSinkResult::RawData(RawKind::Rawtext)
        }
        "title" | "textarea" if opens => TokenSinkResult::RawData(RawKind::Rcdata),
        _ => TokenSinkResult::Continue,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::tidy;

    fn words(source: &str) -> String {
        tidy(&read(source))
    }

    #[test]
    fn a_page_says_what_a_reader_sees() {
        let page = "<!doctype html><html><head><title>Pan &amp; tartas</title>\
            <style>p { color: red }</style><script>if (a < b) { steal('</p>') }</script></head>\
            <body><h1>Horario</h1><p>Abrimos\n  a las <b>siet</b>e.<br>Los domingos no.</p>\
            <table><tr><td>lunes</td><td>7</td></tr></table><!-- no --><pre>a\n  b</pre></body>";

        assert_eq!(
            words(page),
            "Pan & tartas\n\nHorario\n\nAbrimos a las siete.\nLos domingos no.\n\nlunes\t7\n\na\n  b"
        );
    }

    #[test]
    fn a_page_that_is_broken_or_nested_without_end_is_read_all_the_same() {
        let deep = format!("{}pan{}", "<div>".repeat(50_000), "</span>".repeat(50_000));

        assert_eq!(words(&deep), "pan");
        assert_eq!(
            words("<p>uno<svg><text>no</svg><p>dos <script>x"),
            "uno\n\ndos"
        );
        assert_eq!(words("1 < 2 &nosuch; &#x41;"), "1 < 2 &nosuch; A");
    }
}
