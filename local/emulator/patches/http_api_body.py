"""Gives an HTTP API the routes of its `Body`.

SAM turns an `AWS::Serverless::HttpApi` into one `AWS::ApiGatewayV2::Api` whose routes, integrations and
authorizers stand in an OpenAPI `Body`. The emulator's provisioner does not read `Body`: the stack is created,
the API has no route and every call is a 404.
"""

import json

from ministack.services import apigateway

from . import guard

API = "AWS::ApiGatewayV2::Api"
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


def _record(answer) -> dict:
    status, _headers, body = answer
    if status >= 400:
        raise ValueError(f"HTTP API import: {body!r}")
    return json.loads(body)


def _authorizer(name: str, scheme: dict) -> dict:
    """One security scheme as CreateAuthorizer wants it.

    An absent identity source stays absent (the emulator's own default is the Authorization header, which would
    answer 401 by itself, before the authorizer is asked), and an absent TTL is AWS's 300 s.
    """
    source = scheme.get("identitySource") or []
    if isinstance(source, str):
        source = [part.strip() for part in source.split(",") if part.strip()]
    fields = {"name": name, "identitySource": source}
    if str(scheme.get("type", "")).lower() == "jwt":
        jwt = scheme.get("jwtConfiguration") or {}
        audience = jwt.get("audience") or []
        audience = audience if isinstance(audience, list) else [audience]
        return fields | {"authorizerType": "JWT", "jwtConfiguration": {"issuer": jwt.get("issuer"), "audience": audience}}
    return fields | {
        "authorizerType": "REQUEST",
        "authorizerUri": scheme.get("authorizerUri", ""),
        "authorizerPayloadFormatVersion": str(scheme.get("authorizerPayloadFormatVersion", "2.0")),
        "enableSimpleResponses": str(scheme.get("enableSimpleResponses", False)).lower() == "true",
        "authorizerResultTtlInSeconds": int(scheme.get("authorizerResultTtlInSeconds", 300)),
    }


def _authorizers(api_id: str, body: dict) -> dict:
    made = {}
    for name, scheme in ((body.get("components") or {}).get("securitySchemes") or {}).items():
        extension = scheme.get("x-amazon-apigateway-authorizer")
        if extension:
            made[name] = _record(apigateway._create_authorizer(api_id, _authorizer(name, extension)))
    return made


def _security(operation: dict, body: dict, authorizers: dict) -> dict:
    """Which authorizer guards a route: the operation's own list, even an empty one, wins over the document's."""
    for requirement in operation.get("security", body.get("security")) or []:
        for name, scopes in requirement.items():
            if name in authorizers:
                made = authorizers[name]
                kind = "JWT" if made["authorizerType"] == "JWT" else "CUSTOM"
                return {"authorizerId": made["authorizerId"], "authorizationType": kind, "authorizationScopes": scopes or []}
    return {}


def _routes(api_id: str, body: dict, authorizers: dict) -> None:
    for path, operations in (body.get("paths") or {}).items():
        for method, operation in operations.items():
            wanted = method in METHODS or method == "x-amazon-apigateway-any-method"
            integration = operation.get("x-amazon-apigateway-integration") if wanted else None
            if not integration:
                continue
            made = _record(apigateway._create_integration(api_id, {
                "integrationType": str(integration.get("type", "aws_proxy")).upper(),
                "integrationUri": integration.get("uri", ""),
                "payloadFormatVersion": str(integration.get("payloadFormatVersion", "2.0")),
                "timeoutInMillis": int(integration.get("timeoutInMillis", 30000)),
            }))
            verb = method.upper() if method in METHODS else "ANY"
            key = "$default" if path in ("$default", "/$default") else f"{verb} {path}"
            route = {"routeKey": key, "target": f"integrations/{made['integrationId']}"}
            _record(apigateway._create_route(api_id, route | _security(operation, body, authorizers)))


def _import(api_id: str, body: dict) -> None:
    """Puts the new routes in before it takes the old ones out, so that a redeploy answers throughout."""
    stores = (apigateway._routes, apigateway._integrations, apigateway._authorizers)
    before = [list(store.get(api_id) or {}) for store in stores]
    _routes(api_id, body, _authorizers(api_id, body))
    for store, ids in zip(stores, before):
        for old in ids:
            store[api_id].pop(old, None)


def _with_cors(props: dict) -> dict:
    """CORS also stands in the body; a template property in PascalCase becomes the service's camelCase."""
    cors = props.get("CorsConfiguration") or (props.get("Body") or {}).get("x-amazon-apigateway-cors")
    if not isinstance(cors, dict):
        return props
    return props | {"CorsConfiguration": {key[0].lower() + key[1:]: value for key, value in cors.items()}}


def _creating(original):
    def create(logical_id, props, stack_name):
        made = original(logical_id, _with_cors(props), stack_name)
        if isinstance(props.get("Body"), dict):
            _import(made[0], props["Body"])
        return made

    return create


def _updating(original):
    def update(physical_id, old_props, new_props, stack_name, logical_id=None):
        made = original(physical_id, _with_cors(old_props), _with_cors(new_props), stack_name, logical_id)
        if isinstance(new_props.get("Body"), dict):
            _import(made[0], new_props["Body"])
        return made

    return update


def apply() -> None:
    guard.rely(apigateway, "_create_authorizer", "_create_integration", "_create_route", "_routes", "_integrations")
    guard.replace_provisioner(API, "create", "_apigw_v2_api_create", "0002e18b4198", _creating)
    guard.replace_provisioner(API, "update", "_apigw_v2_api_update", "d12d60c12ed7", _updating)
