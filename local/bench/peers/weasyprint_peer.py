"""WeasyPrint. Its style sheet is parsed and its fonts are read once, before the documents."""

from __future__ import annotations

import sys
from pathlib import Path

import measure

try:
    import weasyprint
    from weasyprint.text.fonts import FontConfiguration
except OSError as error:
    # It is Python over Pango, which no package of PyPI brings.
    sys.exit(f"Pango is not on this machine (Debian: libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0): {error}")

FONTS = FontConfiguration()
STYLE = weasyprint.CSS(filename=Path(sys.argv[1]).with_name("style.css"), font_config=FONTS)


def draw(document: dict) -> bytes:
    page = weasyprint.HTML(string=document["html"])
    return page.write_pdf(stylesheets=[STYLE], font_config=FONTS)


if __name__ == "__main__":
    measure.run(weasyprint.__version__, draw)
