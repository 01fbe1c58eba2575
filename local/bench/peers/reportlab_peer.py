"""ReportLab, through Platypus, its layout engine: what a Python service would use for an invoice whose
descriptions may be of any length."""

from __future__ import annotations

import io
from functools import lru_cache
from xml.sax.saxutils import escape

import reportlab
from reportlab.lib.colors import HexColor, white
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import cm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table

import measure

ACCENT, MUTED, HAIRLINE, BAND = map(HexColor, ("#1d3f5e", "#5b6670", "#c3cad1", "#eef2f5"))
MARGIN = 2.2 * cm
WIDTH = A4[0] - 2 * MARGIN

BODY = ParagraphStyle("body", fontName="regular", fontSize=9, leading=12)
RIGHT = ParagraphStyle("right", parent=BODY, alignment=TA_RIGHT)
HEADINGS = {
    1: ParagraphStyle("h1", parent=BODY, fontName="bold", fontSize=20, leading=26, textColor=ACCENT, spaceAfter=8),
    2: ParagraphStyle("h2", parent=BODY, fontName="bold", fontSize=11, leading=15, textColor=ACCENT, spaceBefore=8,
                      spaceAfter=4),
}

FACTS_STYLE = [
    ("TEXTCOLOR", (0, 0), (0, -1), MUTED),
    ("LEFTPADDING", (0, 0), (0, -1), 0),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("FONT", (0, 0), (-1, -1), "regular", 9, 12),
]
TABLE_STYLE = [
    ("FONT", (0, 0), (-1, -1), "regular", 9, 12),
    ("FONT", (0, 0), (-1, 0), "bold", 8.5, 12),
    ("TEXTCOLOR", (0, 0), (-1, 0), ACCENT),
    ("BACKGROUND", (0, 0), (-1, 0), BAND),
    ("LINEBELOW", (0, 0), (-1, -1), 0.5, HAIRLINE),
    ("ALIGN", (1, 0), (-1, -1), "RIGHT"),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("TOPPADDING", (0, 0), (-1, -1), 5),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 5),
]
TOTALS_STYLE = [
    ("FONT", (0, 0), (-1, -2), "regular", 9, 12),
    ("FONT", (0, -1), (-1, -1), "bold", 11, 14),
    ("ALIGN", (1, 0), (1, -1), "RIGHT"),
    ("BACKGROUND", (0, -1), (-1, -1), ACCENT),
    ("TEXTCOLOR", (0, -1), (-1, -1), white),
]


@lru_cache(maxsize=1)
def fonts() -> None:
    """Registered when the first document needs them, as ours are."""
    for name, file in measure.FONTS.items():
        pdfmetrics.registerFont(TTFont(name, file))


class NumberedCanvas(Canvas):
    """Writes "Page x of y", which is known only at the end."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.states = []

    def showPage(self) -> None:  # noqa: N802, the library's name
        self.states.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        for number, state in enumerate(self.states, start=1):
            self.__dict__.update(state)
            self.setFont("regular", 8)
            self.setFillColor(MUTED)
            self.drawString(MARGIN, 1.2 * cm, self._doc.info.title)
            self.drawRightString(A4[0] - MARGIN, 1.2 * cm, f"Page {number} of {len(self.states)}")
            super().showPage()
        super().save()


def words(text: str, style: ParagraphStyle = BODY) -> Paragraph:
    return Paragraph(escape(text), style)


def table(block: dict) -> list[Flowable]:
    # The first column breaks its lines, as ours does; numbers stand on one line each.
    rows = [block["columns"], *([words(first), *rest] for first, *rest in block["rows"])]
    widths = (WIDTH - 9.4 * cm, 2.2 * cm, 2.6 * cm, 1.6 * cm, 3 * cm)
    totals = Table(block["totals"], colWidths=(WIDTH * 0.4, WIDTH * 0.22), hAlign="RIGHT", style=TOTALS_STYLE)
    return [Table(rows, colWidths=widths, repeatRows=1, style=TABLE_STYLE), Spacer(1, 8), totals]


def flowables(block: dict) -> list[Flowable]:
    match block["kind"]:
        case "heading":
            return [words(block["text"], HEADINGS[block["level"]])]
        case "lines":
            return [words(line) for line in block["lines"]]
        case "facts":
            return [Table(block["facts"], colWidths=(3.5 * cm, WIDTH - 3.5 * cm), hAlign="LEFT", style=FACTS_STYLE)]
        case "table":
            return table(block)
        case _:
            return [words(block["text"])]


def draw(document: dict) -> bytes:
    fonts()
    file = io.BytesIO()
    template = SimpleDocTemplate(file, pagesize=A4, leftMargin=MARGIN, rightMargin=MARGIN, topMargin=MARGIN,
                                 bottomMargin=2.4 * cm, initialFontName="regular", title=document["title"], author=document["author"])
    story = [flowable for block in document["blocks"] for flowable in flowables(block)]
    template.build(story, canvasmaker=NumberedCanvas)
    return file.getvalue()


if __name__ == "__main__":
    measure.run(reportlab.Version, draw)
