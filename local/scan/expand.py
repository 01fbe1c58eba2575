"""Expands template.yaml to plain CloudFormation without asking AWS anything.

    python expand.py TEMPLATE OUTPUT [PARAMETER=VALUE ...]

The scanners read both: what SAM makes of a few lines is what is deployed, and faults hide there.
"""

import json
import logging
import sys
from pathlib import Path

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoManagedPolicies:
    """The template names none of AWS's policies, so none has to be looked up in an account."""

    def load(self) -> dict:
        return {}


def main(template: str, output: str, *assignments: str) -> None:
    logging.disable(logging.WARNING)  # the translator warns of feature flags that only its service has
    document = yaml_parse(Path(template).read_text(encoding="utf-8"))
    for name, resource in document["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            # What `sam package` would upload; the name of the bucket says nothing to a scanner.
            resource["Properties"]["CodeUri"] = f"s3://packages/{name}.zip"
    parameters = dict(a.split("=", 1) for a in assignments)
    expanded = transform(document, parameters, NoManagedPolicies())
    Path(output).write_text(json.dumps(expanded, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
