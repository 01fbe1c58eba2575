"""What python-docx and openpyxl find in files, and how far pictures are apart: as JSON, one entry a file.

    python read.py file.docx file.xlsx picture.png:reference.png …
"""

from __future__ import annotations

import json
import sys
from datetime import datetime

from docx import Document
from docx.table import Table
from openpyxl import load_workbook
from openpyxl.cell import Cell
from PIL import Image, ImageChops

# A picture is compared by squares of this many dots: how a letter's edge is smoothed is the painter's affair.
SQUARE = 8


def docx(path: str) -> dict:
    document = Document(path)
    texts = []
    for block in document.iter_inner_content():
        if isinstance(block, Table):
            texts += [cell.text for row in block.rows for cell in row.cells]
        else:
            texts.append(block.text)
    return {"title": document.core_properties.title, "author": document.core_properties.author, "texts": texts}


def xlsx(path: str) -> dict:
    book = load_workbook(path)
    cells = [typed(cell) for row in book.active.iter_rows() for cell in row if cell.value is not None]
    return {"title": book.properties.title, "author": book.properties.creator, "cells": cells}


def typed(cell: Cell) -> list:
    if isinstance(cell.value, datetime):
        return ["date", cell.value.date().isoformat()]
    if cell.data_type == "n":
        # In millionths, so that no reader of JSON rounds it.
        return ["number", round(cell.value * 1_000_000)]
    return [{"s": "text", "f": "formula"}.get(cell.data_type, cell.data_type), cell.value]


def picture(path: str, reference: str) -> dict:
    made, wanted = Image.open(path).convert("L"), Image.open(reference).convert("L")
    if made.size != wanted.size:
        return {"size": list(made.size), "wanted": list(wanted.size)}
    squares = (made.width // SQUARE, made.height // SQUARE)
    coarse = (image.resize(squares, Image.Resampling.BOX) for image in (made, wanted))
    apart = ImageChops.difference(*coarse).get_flattened_data()
    return {"largest": max(apart), "mean": sum(apart) / len(apart)}


def read(argument: str) -> dict:
    if ".png:" in argument:
        return picture(*argument.split(":"))
    return docx(argument) if argument.endswith(".docx") else xlsx(argument)


if __name__ == "__main__":
    print(json.dumps([read(argument) for argument in sys.argv[1:]]))
