"""Lets rows expire as the template says.

The emulator deletes rows whose time has come, but its provisioner of tables does not read
`TimeToLiveSpecification`: what a template declares is off, and expired rows stay for ever.
"""

from ministack.services import dynamodb

from . import guard

TABLE = "AWS::DynamoDB::Table"


def _declare(table: str, props: dict) -> None:
    specification = props.get("TimeToLiveSpecification")
    if not specification:
        return
    enabled = str(specification.get("Enabled", False)).lower() == "true"
    wanted = {"AttributeName": specification.get("AttributeName"), "Enabled": enabled}
    status, _headers, body = dynamodb._update_ttl({"TableName": table, "TimeToLiveSpecification": wanted})
    if status >= 400:
        raise ValueError(f"time to live of {table}: {body!r}")


def _creating(original):
    def create(logical_id, props, stack_name):
        made = original(logical_id, props, stack_name)
        _declare(made[0], props)
        return made

    return create


def _updating(original):
    def update(physical_id, old_props, new_props, stack_name, logical_id=None):
        made = original(physical_id, old_props, new_props, stack_name, logical_id)
        _declare(made[0], new_props)
        return made

    return update


def apply() -> None:
    guard.rely(dynamodb, "_update_ttl")
    guard.replace_provisioner(TABLE, "create", "_ddb_create", "277586e016c6", _creating)
    guard.replace_provisioner(TABLE, "update", "_ddb_update", "0665980ffdd0", _updating)
