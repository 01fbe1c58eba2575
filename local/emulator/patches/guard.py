"""Keeps the patches honest: each names the exact code that it replaces."""

import hashlib
import importlib.metadata
import inspect


class Drift(SystemExit):
    """The emulator is not the one that the patches were written for."""

    def __init__(self, what: str) -> None:
        super().__init__(f"emulator drift: {what}; read local/emulator/patches again before going on")


def require_version(expected: str) -> None:
    """Stops unless the installed emulator has exactly this version."""
    found = importlib.metadata.version("ministack")
    if found != expected:
        raise Drift(f"ministack {found} is installed, the patches are for {expected}")


def fingerprint(function) -> str:
    """The first 12 hex digits of the SHA-256 of a function's source."""
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]


def replace(owner, name: str, source: str, make):
    """Puts `make(original)` where `owner.name` was, if that is still the code with this fingerprint."""
    original = getattr(owner, name, None)
    if original is None:
        raise Drift(f"{owner.__name__}.{name} is gone")
    if fingerprint(original) != source:
        raise Drift(f"{owner.__name__}.{name} has changed (its fingerprint is {fingerprint(original)})")
    replacement = make(original)
    setattr(owner, name, replacement)
    return original, replacement


def replace_provisioner(kind: str, action: str, name: str, source: str, make) -> None:
    """The same for what makes (`create`) or changes (`update`) a kind of CloudFormation resource."""
    from ministack.services.cloudformation import provisioners

    tables = [value for value in vars(provisioners).values() if isinstance(value, dict)]
    table = next((found for found in tables if isinstance(found.get(kind), dict) and action in found[kind]), None)
    original, replacement = replace(provisioners, name, source, make)
    if table is None or table[kind][action] is not original:
        raise Drift(f"{kind} is not provisioned by {name}")
    table[kind][action] = replacement


def rely(owner, *names: str) -> None:
    """Stops unless everything that a patch calls is still there."""
    missing = [name for name in names if not hasattr(owner, name)]
    if missing:
        raise Drift(f"{owner.__name__} has no {', '.join(missing)}")
