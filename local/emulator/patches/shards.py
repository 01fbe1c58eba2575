"""Where a stream mapping reads from: the shards of a Kinesis stream, the one run of a table's changes."""

import base64
from dataclasses import dataclass

from ministack.services import dynamodb, kinesis, lambda_svc

from . import guard


@dataclass
class Shard:
    """One ordered run of records with the mapping's checkpoint in it."""

    mapping: dict
    function: dict
    name: str
    read: object  # (position, count) -> records in the shape of the Lambda event
    position: object  # () -> the checkpoint
    advance: object  # (position) -> None

    @property
    def key(self) -> str:
        return f"{self.mapping['UUID']}/{self.name}"


def _kinesis_record(stream_arn: str, shard_name: str, record: dict) -> dict:
    data = record["Data"]
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record["PartitionKey"],
            "sequenceNumber": record["SequenceNumber"],
            "data": data if isinstance(data, str) else base64.b64encode(data).decode("ascii"),
            "approximateArrivalTimestamp": record["ApproximateArrivalTimestamp"],
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{shard_name}:{record['SequenceNumber']}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": f"arn:aws:iam::{lambda_svc.get_account_id()}:role/lambda-role",
        "awsRegion": lambda_svc.get_region(),
        "eventSourceARN": stream_arn,
    }


def kinesis_shards(mapping: dict, function: dict, source):
    name = lambda_svc._kinesis_stream_name_from_arn_spec(source)
    stream = kinesis._streams.get(name)
    if not stream or stream["StreamStatus"] != "ACTIVE":
        return
    places = lambda_svc._kinesis_positions
    if mapping["UUID"] not in places:
        oldest = mapping.get("StartingPosition", "LATEST") == "TRIM_HORIZON"
        places[mapping["UUID"]] = {key: 0 if oldest else len(s["records"]) for key, s in stream["shards"].items()}
    positions = places[mapping["UUID"]]
    for shard_name, content in list(stream["shards"].items()):
        # A shard that a split made after the mapping is read from its beginning.
        positions.setdefault(shard_name, 0)
        if positions[shard_name] >= len(content["records"]):
            continue

        def read(start, count, content=content, shard_name=shard_name):
            arn = mapping["EventSourceArn"]
            return [_kinesis_record(arn, shard_name, record) for record in content["records"][start:start + count]]

        yield Shard(
            mapping, function, shard_name, read,
            lambda key=shard_name: positions[key],
            lambda to, key=shard_name: positions.__setitem__(key, to),
        )


def dynamodb_shards(mapping: dict, function: dict, source):
    found = lambda_svc._dynamodb_stream_table_from_arn_spec(source)
    table = found[0] if found else None
    if table is None or (dynamodb._tables.get(table) or {}).get("LatestStreamArn") != mapping["EventSourceArn"]:
        return
    lambda_svc._init_stream_position(mapping["UUID"], mapping["EventSourceArn"], mapping.get("StartingPosition", "LATEST"))
    places, lock = lambda_svc._dynamodb_stream_positions, lambda_svc._dynamodb_stream_positions_lock

    def position():
        with lock:
            return max(places[mapping["UUID"]], dynamodb.stream_start_position(table))

    def advance(to):
        with lock:
            places[mapping["UUID"]] = to

    if position() < dynamodb.stream_end_position(table):
        read = lambda start, count: dynamodb.stream_records_since(table, start, count)  # noqa: E731
        yield Shard(mapping, function, "shardId-00000000000000000000-00000000", read, position, advance)


def rely() -> None:
    """Stops unless everything that is called here is still there."""
    guard.rely(
        lambda_svc, "_init_stream_position", "_kinesis_positions", "_dynamodb_stream_positions",
        "_dynamodb_stream_positions_lock", "_kinesis_stream_name_from_arn_spec", "_dynamodb_stream_table_from_arn_spec",
    )
    guard.rely(dynamodb, "stream_records_since", "stream_start_position", "stream_end_position", "_tables")
    guard.rely(kinesis, "_streams")
