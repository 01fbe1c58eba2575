"""Starts the pinned emulator with the project's patches over it.

The emulator is used as it is published; what it does otherwise than AWS, and the fleet relies on, is
replaced here at start-up. Each patch is a module of `patches` that says what is wrong and why it matters.
`patches.guard` refuses to start over any other version, or over code other than the code that a patch was
written against, so an upgrade is a decision and never an accident.
"""

import os
import sys

from patches import batch_actions, cognito_mail, gateway, guard, http_api_body, key_conditions, persistence, runtime_api, streams, time_to_live, transport


def main() -> None:
    # A session of its own: a Ctrl-C in the developer's terminal is for `fleet`, which then stops this in order.
    if os.getpgrp() != os.getpid():
        os.setsid()
    guard.require_version("1.5.33")
    for patch in (runtime_api, http_api_body, gateway, streams, cognito_mail, persistence, time_to_live, transport, batch_actions, key_conditions):
        patch.apply()
    from ministack.app import main as serve

    sys.exit(serve())


if __name__ == "__main__":
    main()
