"""Lets plain HTTP on loopback stand for TLS.

The template's policies deny whatever does not come over TLS (`aws:SecureTransport`), as they should on AWS. The
emulator tells the truth about a connection that never leaves the machine, and everybody would be denied.
"""

from ministack import app

from . import guard


def _always_secure(original):
    def pin(source_ip, secure_transport):
        original(source_ip, True)

    return pin


def apply() -> None:
    guard.replace(app, "pin_request_origin", "de819c1bd9ac", _always_secure)
