#!/usr/bin/env python3
"""Scans template.yaml, as it is and expanded to plain CloudFormation, with four tools that each see
something the others miss: sam validate, cfn-lint with its serverless rules, checkov and cdk-nag.

    python3 local/scan/scan.py

A finding fails the scan unless accepted.toml gives the reason to live with it; an entry there that no
tool reports any more fails it too. The tools are pinned and live in target/fleet/scan.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TOOLS = ROOT / "target" / "fleet" / "scan"
TEMPLATE = ROOT / "template.yaml"
EXPANDED = TOOLS / "expanded.json"

# Values that switch everything on, so that what only prod has is scanned too.
PARAMETERS = ("Stage=prod", "AllowedOrigins=https://app.example.com", "DomainName=api.example.com",
              "MailSender=hello@example.com", "AlarmEmail=ops@example.com", "MalwareScan=guardduty")

# No tool may ask AWS anything or report home; the region is only there because SAM insists on one.
ENVIRONMENT = os.environ | {"AWS_DEFAULT_REGION": "eu-west-1", "SAM_CLI_TELEMETRY": "0"}


@dataclass(frozen=True, order=True)
class Finding:
    """What one tool says of one resource; the same finding in both forms of the template is one."""

    tool: str
    rule: str
    resource: str


class ScanError(Exception):
    """The scan could not be carried out; says what to do."""


def main() -> int:
    try:
        TOOLS.mkdir(parents=True, exist_ok=True)
        install_all()
        findings = scan_all()
        return report(findings, accepted())
    except ScanError as error:
        print(f"scan: {error}", file=sys.stderr)
        return 2


# ---------------------------------------------------------------- tools

def install_all() -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda install: install(), (
            lambda: install_python("venv", HERE / "requirements.txt"),
            lambda: install_python("checkov", HERE / "checkov.txt"),
            install_nag,
        )))


def install_python(name: str, requirements: Path) -> None:
    """A virtual environment with exactly these packages, made anew when the list changes."""
    home = TOOLS / name
    if not stale(home, requirements):
        return
    print(f"scan: installing {requirements.name} (once)", flush=True)
    shutil.rmtree(home, ignore_errors=True)
    try:
        venv.create(home, with_pip=True)
    except subprocess.CalledProcessError:
        raise ScanError("python3 cannot make a virtual environment: install python3-venv") from None
    run(home / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "-r", requirements)
    mark(home, requirements)


def install_nag() -> None:
    home = TOOLS / "nag"
    lock = HERE / "nag" / "package-lock.json"
    if stale(home, lock):
        if not shutil.which("npm"):
            raise ScanError("cdk-nag needs node and npm: install nodejs and npm")
        print("scan: installing cdk-nag (once)", flush=True)
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(HERE / "nag", home)
        run("npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", cwd=home)
        mark(home, lock)
    shutil.copy(HERE / "nag" / "check.mjs", home)


def stale(home: Path, source: Path) -> bool:
    marker = home / ".installed"
    return not marker.exists() or marker.read_text() != digest(source)


def mark(home: Path, source: Path) -> None:
    (home / ".installed").write_text(digest(source))


def digest(source: Path) -> str:
    return hashlib.sha256(source.read_bytes()).hexdigest()


def run(*command: object, allowed: tuple[int, ...] = (0,), cwd: Path = ROOT) -> str:
    """Standard output of a command, or a ScanError with what it said."""
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode not in allowed:
        raise ScanError(f"{command[0]} failed ({done.returncode}):\n{done.stdout}{done.stderr}")
    return done.stdout


# ---------------------------------------------------------------- scans

def scan_all() -> dict[Finding, str]:
    """Every finding with the tool's own words."""
    run(TOOLS / "venv" / "bin" / "python", HERE / "expand.py", TEMPLATE, EXPANDED, *PARAMETERS)
    scans = (sam, lambda: cfn_lint(TEMPLATE), lambda: cfn_lint(EXPANDED),
             lambda: checkov(TEMPLATE), lambda: checkov(EXPANDED), nag)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = list(pool.map(lambda scan: scan(), scans))
    return {finding: message for result in results for finding, message in result}


def sam() -> list[tuple[Finding, str]]:
    """The check that `sam deploy` users run; cfn-lint's own findings are told apart below."""
    done = subprocess.run([TOOLS / "venv" / "bin" / "sam", "validate", "--lint", "--template", TEMPLATE], cwd=ROOT,
                          env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return []
    return [(Finding("sam", "validate", "template.yaml"), (done.stdout + done.stderr).strip())]


def cfn_lint(template: Path) -> list[tuple[Finding, str]]:
    # cfn-lint's exit code is a sum of bits for error, warning and information; 1 and 32 mean that it broke.
    text = run(TOOLS / "venv" / "bin" / "cfn-lint", template, "--format", "json", "--append-rules", "cfn_lint_serverless.rules",
               allowed=(0, 2, 4, 6, 8, 10, 12, 14))
    return [(Finding("cfn-lint", match["Rule"]["Id"], resource_of(match["Location"].get("Path"))), match["Message"])
            for match in json.loads(text or "[]")]


def resource_of(path: list | None) -> str:
    if not path:
        return "template"
    return str(path[1]) if path[0] == "Resources" and len(path) > 1 else str(path[0])


def checkov(template: Path) -> list[tuple[Finding, str]]:
    text = run(TOOLS / "checkov" / "bin" / "checkov", "--file", template, "--framework", "cloudformation", "--output", "json",
               "--compact", "--quiet", "--skip-download", allowed=(0, 1))
    report = json.loads(text)
    errors = report["results"].get("parsing_errors")
    if errors:
        raise ScanError(f"checkov cannot read {errors}")
    return [(Finding("checkov", check["check_id"], check["resource"].split(".")[-1]), check["check_name"])
            for check in report["results"]["failed_checks"]]


def nag() -> list[tuple[Finding, str]]:
    text = run("node", TOOLS / "nag" / "check.mjs", EXPANDED)
    return [(Finding("cdk-nag", f["rule"], f["resource"]), f["message"]) for f in json.loads(text)]


# ---------------------------------------------------------------- judgement

def accepted() -> set[Finding]:
    entries = tomllib.loads((HERE / "accepted.toml").read_text(encoding="utf-8"))["accepted"]
    for entry in entries:
        if len(entry["reason"].split()) < 4:
            raise ScanError(f"accepted.toml: {entry['rule']} needs a reason that a stranger understands")
    return {Finding(e["tool"], e["rule"], resource) for e in entries for resource in e["resources"]}


def report(findings: dict[Finding, str], known: set[Finding]) -> int:
    unexplained = sorted(set(findings) - known)
    forgotten = sorted(known - set(findings))
    for finding in unexplained:
        print(f"{finding.tool} {finding.rule} {finding.resource}: {findings[finding]}")
    for finding in forgotten:
        print(f"accepted.toml: {finding.tool} {finding.rule} {finding.resource} is not found any more; delete it")
    print(f"scan: {len(unexplained)} without a reason, {len(forgotten)} reasons without a finding, {len(known) - len(forgotten)} accepted")
    return 1 if unexplained or forgotten else 0


if __name__ == "__main__":
    sys.exit(main())
