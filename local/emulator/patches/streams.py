"""Gives Kinesis and DynamoDB stream mappings the failure handling that they have on AWS.

The emulator ignores a partial batch response (the failed records are lost), retries a failed batch for ever
whatever `MaximumRetryAttempts` says, and runs every stream consumer on the one poller thread, so that a slow
one holds up all the others. Here each shard of each mapping has its own thread while it has work, and a
failure moves the checkpoint to the first failed record, counts the attempt, bisects if asked to, and at the
end of its retries hands the batch to the on-failure destination and goes on.
"""

import hashlib
import json
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone

from ministack.core.arn import ArnParseError, parse_arn
from ministack.core.responses import _request_account_id, _request_region
from ministack.services import lambda_svc, sns, sqs

from . import guard
from .shards import Shard, dynamodb_shards, kinesis_shards, rely as rely_on_shards

FIRST_BACKOFF = 0.2
LONGEST_BACKOFF = 5.0


@dataclass
class Retry:
    """What is remembered between two attempts at the same place of a shard."""

    failures: int = 0
    size: int | None = None  # a bisected batch is shorter than the mapping's

    def delay(self) -> float:
        return min(FIRST_BACKOFF * 2 ** self.failures, LONGEST_BACKOFF)


_retries: dict[str, Retry] = {}


def _sequence(record: dict) -> str:
    return record["kinesis"]["sequenceNumber"] if "kinesis" in record else record["dynamodb"]["SequenceNumber"]


def _arrival(record: dict) -> float:
    if "kinesis" in record:
        return float(record["kinesis"]["approximateArrivalTimestamp"])
    return float(record["dynamodb"].get("ApproximateCreationDateTime", time.time()))


def _first_failed(mapping: dict, records: list[dict], result: dict) -> int | None:
    """The index of the first record to do again; None when the whole batch is done."""
    if result.get("error"):
        return 0
    if "ReportBatchItemFailures" not in (mapping.get("FunctionResponseTypes") or []):
        return None
    body = result.get("body")
    try:
        body = json.loads(body) if isinstance(body, (str, bytes)) else body
    except ValueError:
        return 0
    failures = (body or {}).get("batchItemFailures") if isinstance(body, dict) else None
    if not failures:
        return None
    named = {failure.get("itemIdentifier") for failure in failures}
    indexes = [index for index, record in enumerate(records) if _sequence(record) in named]
    # An answer that names no record of this batch fails all of it.
    return min(indexes, default=0)


def _exhausted(mapping: dict, records: list[dict], failures: int) -> str | None:
    """Why the failed batch is given up, if it is. Absent and -1 mean without limit."""
    attempts, age = mapping.get("MaximumRetryAttempts"), mapping.get("MaximumRecordAgeInSeconds")
    if age not in (None, -1) and time.time() - min(map(_arrival, records)) > int(age):
        return "MaxRecordAgeExceeded"
    if attempts not in (None, -1) and failures > int(attempts):
        return "RetryAttemptsExhausted"
    return None


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _failure_record(shard: Shard, records: list[dict], failures: int, condition: str, result: dict) -> str:
    """The invocation record that Lambda sends to an on-failure queue or topic; it names the records, no more."""
    info = "KinesisBatchInfo" if "kinesis" in records[0] else "DDBStreamBatchInfo"
    return json.dumps({
        "requestContext": {
            "requestId": str(uuid.uuid4()),
            "functionArn": shard.mapping["FunctionArn"],
            "condition": condition,
            "approximateInvokeCount": failures,
        },
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled" if result.get("error") else None,
        },
        "version": "1.0",
        "timestamp": _stamp(time.time()),
        info: {
            "shardId": shard.name,
            "startSequenceNumber": _sequence(records[0]),
            "endSequenceNumber": _sequence(records[-1]),
            "approximateArrivalOfFirstRecord": _stamp(_arrival(records[0])),
            "approximateArrivalOfLastRecord": _stamp(_arrival(records[-1])),
            "batchSize": len(records),
            "streamArn": shard.mapping["EventSourceArn"],
        },
    })


def _give_up(shard: Shard, records: list[dict], failures: int, condition: str, result: dict) -> None:
    target = ((shard.mapping.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination")
    if not target:
        return
    body = _failure_record(shard, records, failures, condition, result)
    if parse_arn(target).service == "sns":
        sns._fanout(target, str(uuid.uuid4()), body, "", "", {})
        return
    queue = sqs._queue_by_arn(target)
    if queue is None:
        lambda_svc.logger.error("on-failure destination %s does not exist", target)
        return
    now = time.time()
    queue["messages"].append({
        "id": str(uuid.uuid4()), "body": body, "md5_body": hashlib.md5(body.encode()).hexdigest(), "md5_attrs": "",
        "receipt_handle": None, "sent_at": now, "visible_at": now + sqs.queue_delay(queue), "receive_count": 0,
        "first_receive_at": None, "message_attributes": {}, "sys": {}, "group_id": None, "dedup_id": None,
        "dedup_cache_key": None, "seq": None,
    })


def _attempt(shard: Shard) -> bool:
    """One invocation for one shard. True when the checkpoint moved."""
    retry = _retries.setdefault(shard.key, Retry())
    start = shard.position()
    raw = shard.read(start, retry.size or int(shard.mapping.get("BatchSize") or 100))
    wanted = lambda_svc._apply_filter_criteria(raw, shard.mapping)
    if not wanted:
        shard.advance(start + len(raw))
        return True
    result = lambda_svc._execute_function(shard.function, {"Records": wanted})
    if result.get("throttle"):
        return False
    failed = _first_failed(shard.mapping, wanted, result)
    shard.mapping["LastProcessingResult"] = "OK" if failed is None else "FAILED"
    if failed is None:
        _retries.pop(shard.key, None)
        shard.advance(start + len(raw))
        return True
    if failed > 0:
        _retries[shard.key] = Retry(failures=1)
        shard.advance(start + raw.index(wanted[failed]))
        return True
    return _after_failure(shard, retry, start, raw, wanted, result)


def _after_failure(shard: Shard, retry: Retry, start: int, raw: list, wanted: list, result: dict) -> bool:
    lambda_svc.logger.warning("stream batch of %s failed: %s", shard.mapping["FunctionArn"], result.get("body"))
    if shard.mapping.get("BisectBatchOnFunctionError") and len(wanted) > 1:
        retry.size = (len(raw) + 1) // 2  # halving costs no attempt, as on AWS
        return False
    retry.failures += 1
    condition = _exhausted(shard.mapping, wanted, retry.failures)
    if condition is None:
        return False
    _give_up(shard, wanted, retry.failures, condition, result)
    _retries.pop(shard.key, None)
    shard.advance(start + len(raw))
    return True


def _work(shard: Shard) -> None:
    """A shard's thread: an attempt, and after a failed one the pause that the next has to wait for."""
    if not _attempt(shard):
        time.sleep(_retries.get(shard.key, Retry()).delay())


def _dispatch(mapping: dict, service: str, shards_of) -> bool:
    try:
        source = parse_arn(mapping.get("EventSourceArn", ""))
    except ArnParseError:
        return False
    if source.service != service or source.region != lambda_svc.get_region() or not mapping.get("Enabled", True):
        return False
    function, _config = lambda_svc._get_func_record_for_qualifier(mapping["FunctionName"], mapping.get("Qualifier"))
    if function is None:
        return False
    started = False
    for shard in shards_of(mapping, function, source):
        # One batch of a shard at a time keeps its order. Only the poller adds to the count.
        if lambda_svc._esm_inflight.get(shard.key, 0) == 0:
            lambda_svc._dispatch_esm_batch(shard.key, _work, shard)
            started = True
    return started


def _polling(service: str, shards_of):
    def make(_original):
        def poll() -> bool:
            started = False
            for account, region, mapping in lambda_svc._iter_all_esms():
                account_token, region_token = _request_account_id.set(account), _request_region.set(region)
                try:
                    started = _dispatch(mapping, service, shards_of) or started
                finally:
                    _request_account_id.reset(account_token)
                    _request_region.reset(region_token)
            return started

        return poll

    return make


def apply() -> None:
    guard.rely(
        lambda_svc, "_apply_filter_criteria", "_execute_function", "_dispatch_esm_batch", "_esm_inflight",
        "_iter_all_esms", "_get_func_record_for_qualifier",
    )
    guard.rely(sqs, "_queue_by_arn", "queue_delay")
    rely_on_shards()
    guard.replace(lambda_svc, "_poll_kinesis", "0d590120d060", _polling("kinesis", kinesis_shards))
    guard.replace(lambda_svc, "_poll_dynamodb_streams", "2b2460e933a9", _polling("dynamodb", dynamodb_shards))
