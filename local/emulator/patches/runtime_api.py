"""Takes about 90 ms of waiting out of every invocation.

`/next` is answered with a header segment and a body segment: Nagle's algorithm holds the second until the
first is acknowledged, which loopback delays by 40 ms. And after each answer the worker waits, asleep a timer's
tick at a time, for lines of log that a quiet function never writes. Here it takes the lines that are there;
what comes later is carried to the same log group a moment afterwards.
"""

import threading
import time
import weakref

from ministack.core import lambda_runtime
from ministack.services import cloudwatch_logs, lambda_svc

from . import guard

LATE = 0.1

_workers: weakref.WeakSet = weakref.WeakSet()


def _one_segment(original):
    def build(self, generation, pending):
        class Handler(original(self, generation, pending)):
            disable_nagle_algorithm = True
            wbufsize = -1  # buffered; the server flushes once, at the end of each request

        return Handler

    return build


def _without_waiting(original):
    def drain(self, first_line_wait=0.050, idle_confirm=0.005, hard_cap=0.250):
        if first_line_wait > 0.050:  # a function that failed to start: its reason is worth the time
            return original(self, first_line_wait, idle_confirm, hard_cap)
        _workers.add(self)
        return self._drain_stderr()

    return drain


def _append(config: dict, text: str) -> None:
    """Adds lines to a stream of their own in the function's log group; the invocation's log has made the group."""
    chosen = (config.get("LoggingConfig") or {}).get("LogGroup")
    group = cloudwatch_logs._log_groups.get(chosen or f"/aws/lambda/{config['FunctionName']}")
    if group is None:
        return
    now = int(time.time() * 1000)
    stream = group["streams"].setdefault("late", {
        "events": [], "uploadSequenceToken": "1", "creationTime": now,
        "firstEventTimestamp": None, "lastEventTimestamp": None, "lastIngestionTime": None,
    })
    lines = [{"timestamp": now, "message": line, "ingestionTime": now} for line in text.splitlines()]
    cloudwatch_logs._append_log_events(stream, lines)


def _carry_late_lines() -> None:
    while True:
        time.sleep(LATE)
        for worker in list(_workers):
            text = worker._drain_stderr()
            if text:
                lambda_svc._run_with_function_config_scope(worker.config, _append, worker.config, text)


def apply() -> None:
    guard.rely(cloudwatch_logs, "_log_groups", "_append_log_events")
    guard.rely(lambda_svc, "_run_with_function_config_scope")
    guard.replace(lambda_runtime.ProvidedWorker, "_build_handler_class", "806d5b8e5060", _one_segment)
    guard.replace(lambda_runtime.Worker, "_drain_stderr_bounded", "3fd7cc742872", _without_waiting)
    threading.Thread(target=_carry_late_lines, daemon=True, name="fleet-late-lines").start()
