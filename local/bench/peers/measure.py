"""What a peer in Python does: draws one document after another in one process and says how long each took.

    python reportlab_peer.py documents.json warm-up out/

`documents.json` holds the documents; the first of the process is told apart from those that warm it up, and
those from the rest. The last line of the standard output is JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

# ReportLab brings it, and every peer draws with it: no peer depends on what fonts the machine has.
FONTS = {"regular": "Vera.ttf", "bold": "VeraBd.ttf"}


def run(version: str, draw: Callable[[dict], bytes]) -> None:
    """Draws every document, writes the first and the last file, and says what was measured."""
    documents = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    warm_up, out = int(sys.argv[2]), Path(sys.argv[3])
    milliseconds, files = [], []
    for document in documents:
        started = time.perf_counter()
        file = draw(document)
        milliseconds.append((time.perf_counter() - started) * 1e3)
        files.append(file)
    kept = {0: files[0], len(files) - 1: files[-1]}
    for index, file in kept.items():
        (out / f"{index}.pdf").write_bytes(file)
    print(json.dumps({
        "version": version,
        "first_ms": milliseconds[0],
        "warm_ms": milliseconds[1 + warm_up:],
        "octets": len(files[-1]),
        "peak_mb": peak(),
    }))


def peak() -> float:
    """The most resident memory that this process ever had, in megabytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kibibytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(kibibytes) * 1024 / 1e6
