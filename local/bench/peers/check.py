"""Whether each peer has drawn the whole invoice: so that nobody is fast by drawing less.

    python check.py documents.json [index:file.pdf …]

Prints for each file, in order, what is wrong with it, as a JSON list of lists.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pypdf import PageObject, PdfReader

PAGES = 2
A4 = (595.28, 841.89)


def faults(file: str, document: dict) -> list[str]:
    reader = PdfReader(file)
    found = []
    if len(reader.pages) != PAGES:
        found.append(f"{len(reader.pages)} pages, not {PAGES}")
    for page in reader.pages:
        if any(abs(side - wanted) > 1 for side, wanted in zip(page.mediabox[2:], A4, strict=True)):
            found.append(f"a page of {page.mediabox.width} by {page.mediabox.height} points")
        found += [f"the font {name} is not in the file" for name in strangers(page)]
    # Where words break, and with what spaces, is each one's own affair.
    said = squeezed("".join(page.extract_text() for page in reader.pages))
    table = next(block for block in document["blocks"] if block["kind"] == "table")
    found += [f"no “{text}”" for text in texts(document, table) if squeezed(text) not in said]
    # Sums that stand at the foot of each page say of a part what holds for the whole.
    total = table["totals"][-1][1]
    if said.count(squeezed(total)) > 1:
        found.append(f"the total {total} more than once")
    return found


def texts(document: dict, table: dict) -> list[str]:
    """Everything that a reader must find."""
    rows = [cell for row in [table["columns"], *table["rows"], *table["totals"]] for cell in row]
    return [document["title"], *rows]


def squeezed(text: str) -> str:
    return "".join(text.split()).replace("\u2011", "-").casefold()


def strangers(page: PageObject) -> list[str]:
    """Fonts that a reader's machine would have to have."""
    fonts = page["/Resources"].get("/Font", {})
    return [name for name, font in fonts.items() if not is_embedded(font.get_object())]


def is_embedded(font: dict) -> bool:
    if font["/Subtype"] == "/Type3":
        return True
    descendants = font.get("/DescendantFonts")
    if descendants:
        return all(is_embedded(one.get_object()) for one in descendants.get_object())
    descriptor = font.get("/FontDescriptor", {})
    return any(name in descriptor for name in ("/FontFile", "/FontFile2", "/FontFile3"))


def main() -> None:
    documents = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    named = (argument.split(":", 1) for argument in sys.argv[2:])
    print(json.dumps([faults(file, documents[int(index)]) for index, file in named]))


if __name__ == "__main__":
    main()
