"""Makes the HTTP API's data plane answer as the real one does at its edges.

* A body over 10 MB is a 413 of the gateway, and one that cannot be a Lambda payload (6 MB) as well; the
  emulator hands any size to the function.
* A failed function is a plain 500, a timed-out or throttled one a 503; the emulator answers 502 with the
  function's own error in it, so a panic message would reach the caller.
* `x-forwarded-for`, `-port`, `-proto` and `x-amzn-trace-id` reach the function; the emulator leaves them out.
* Format 2.0 carries cookies in `cookies`, without a `cookie` header.
"""

import json
import os
import time

from ministack.services import apigateway, lambda_svc

from . import guard

MAX_REQUEST = 10 * 1024 * 1024
MAX_INVOCATION = 6 * 1024 * 1024


def _answer(status: int, message: str) -> tuple:
    return status, {"Content-Type": "application/json"}, json.dumps({"message": message}, separators=(",", ":")).encode()


def _forwarded(headers: dict, trace: str) -> dict:
    """The request headers with the gateway's own; a forwarded address that the client sent stays in front."""
    lower = {key.lower(): value for key, value in headers.items()}
    before = lower.get("x-forwarded-for")
    lower["x-forwarded-for"] = f"{before}, 127.0.0.1" if before else "127.0.0.1"
    lower["x-forwarded-port"] = os.environ.get("GATEWAY_PORT", "4566")
    lower["x-forwarded-proto"] = "http"
    lower.setdefault("x-amzn-trace-id", trace)
    return lower


def _trace_id() -> str:
    return f"Root=1-{int(time.time()):08x}-{os.urandom(12).hex()}"


def _executing(original):
    async def execute(api_id, stage, path, method, headers, body, query_params, raw_query_string=None):
        # Base64 makes a binary body a third longer inside the event, and that is what Lambda counts.
        text = apigateway._v2_request_body_is_text((headers or {}).get("content-type"))
        if len(body or b"") > MAX_REQUEST or len(body or b"") * (1 if text else 4 / 3) > MAX_INVOCATION:
            return _answer(413, "Request Entity Too Large")
        headers = _forwarded(headers or {}, _trace_id())
        return await original(api_id, stage, path, method, headers, body, query_params, raw_query_string)

    return execute


def _refusal(result: dict) -> dict | None:
    """What the caller is told when the function gave no answer of its own."""
    if result.get("throttle"):
        return {"statusCode": 503, "body": '{"message":"Service Unavailable"}'}
    if not result.get("error"):
        return None
    error = result.get("body")
    timed_out = isinstance(error, dict) and error.get("errorType") == "Sandbox.Timedout"
    status, message = (503, "Service Unavailable") if timed_out else (500, "Internal Server Error")
    return {"statusCode": status, "body": json.dumps({"message": message}, separators=(",", ":"))}


def _shaping(original):
    def shape(exec_result):
        refused = _refusal(exec_result)
        return (refused, None) if refused else original(exec_result)

    return shape


def _with_cookies(original):
    def execute(func, event):
        if isinstance(event, dict) and event.get("version") == "2.0" and "rawPath" in event:
            header = (event.get("headers") or {}).pop("cookie", None)
            if header:
                event["cookies"] = [part.strip() for part in header.split(";") if part.strip()]
        return original(func, event)

    return execute


def apply() -> None:
    guard.rely(apigateway, "_v2_request_body_is_text")
    guard.replace(apigateway, "handle_execute", "c7a2f92d7eb6", _executing)
    guard.replace(lambda_svc, "lambda_execute_result_to_api_proxy_response", "36f0ed215e85", _shaping)
    guard.replace(lambda_svc, "_execute_function_with_config_scope", "26a9d5f64e17", _with_cookies)
