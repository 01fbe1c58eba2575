//! Markdown as text: the words in their paragraphs, without the marks.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// The words of a page of Markdown. HTML in it is read as HTML.
pub fn read(source: &str) -> String {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut text = String::with_capacity(source.len());
    let mut markup = String::new();
    for event in Parser::new_ext(source, options) {
        match event {
            // A block of HTML comes line by line, and only whole it can be told what is hidden in it.
            Event::Html(piece) => {
                markup.push_str(&piece);
                continue;
            }
            Event::Text(words) | Event::Code(words) => text.push_str(&words),
            Event::SoftBreak | Event::HardBreak | Event::Start(Tag::Item) => text.push('\n'),
            Event::End(end) => text.push_str(behind(end)),
            _ => {}
        }
        flush(&mut text, &mut markup);
    }
    flush(&mut text, &mut markup);
    text
}

fn flush(text: &mut String, markup: &mut String) {
    if !markup.is_empty() {
        text.push_str(&super::html::read(markup));
        text.push_str("\n\n");
        markup.clear();
    }
}

fn behind(end: TagEnd) -> &'static str {
    match end {
        TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::CodeBlock | TagEnd::List(_) => "\n\n",
        TagEnd::Table | TagEnd::Item | TagEnd::TableRow | TagEnd::TableHead => "\n",
        TagEnd::TableCell => "\t",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_stay_and_the_marks_go() {
        let source = "# Horario\n\nAbrimos a las **siete**, [también](https://example.com) el domingo.\n\n\
                      * pan\n* tartas\n\n| Día | Hora |\n|---|---|\n| lunes | 7 |\n\n<script>\nevil()\n</script>\n";

        let text = crate::read::tidy(&read(source));

        assert_eq!(
            text,
            "Horario\n\nAbrimos a las siete, también el domingo.\n\npan\n\ntartas\n\nDía\tHora\nlunes\t7"
        );
    }
}
