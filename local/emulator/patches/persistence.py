"""Keeps over a restart what the emulator forgets.

* A table's stream records: only the readers' positions are kept, so that after a restart the positions point
  behind the (empty) stream and every new record is passed over until it has grown past them again.
* Sent e-mails, with the codes that people have not used yet.
"""

import copy

from ministack.services import dynamodb, ses

from . import guard


def _saving(module, names: tuple[str, ...]):
    def make(original):
        def get_state():
            return original() | {f"fleet{name}": copy.deepcopy(getattr(module, name)) for name in names}

        return get_state

    return make


def _restoring(module, names: tuple[str, ...]):
    def make(original):
        def load(data):
            result = original(data)
            for name in names:
                getattr(module, name).update((data or {}).get(f"fleet{name}") or {})
            return result

        return load

    return make


def apply() -> None:
    streams, mails = ("_stream_records", "_stream_trimmed"), ("_sent_emails",)
    guard.rely(dynamodb, *streams)
    guard.rely(ses, *mails)
    guard.replace(dynamodb, "get_state", "ce90690a6033", _saving(dynamodb, streams))
    guard.replace(dynamodb, "load_persisted_state", "6f58d9dc1e6e", _restoring(dynamodb, streams))
    guard.replace(ses, "get_state", "69fba426ea65", _saving(ses, mails))
    guard.replace(ses, "load_persisted_state", "6f58d9dc1e6e", _restoring(ses, mails))
