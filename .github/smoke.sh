#!/usr/bin/env bash
# Asks a deployed fleet what anybody may ask, and what nobody may without signing in:
#   bash .github/smoke.sh https://api.example.com
set -euo pipefail
url=${1:?the URL of the API}

# ask METHOD PATH STATUS [PATTERN]: the answer has this status and its headers or body match the pattern.
ask() {
    local method=$1 path=$2 status=$3 pattern=${4:-.} answer
    answer=$(curl --silent --show-error --max-time 30 --include --request "$method" \
        --header 'content-type: application/json' --write-out '\n%{http_code}' "$url$path")
    if [[ ${answer##*$'\n'} != "$status" ]] || ! grep --quiet --ignore-case --extended-regexp "$pattern" <<<"$answer"; then
        printf '%s %s: expected %s and /%s/, got\n%s\n' "$method" "$path" "$status" "$pattern" "$answer" >&2
        exit 1
    fi
    printf '%-6s %-26s %s\n' "$method" "$path" "$status"
}

ask GET /v1/health 200 '^x-request-id:'
ask GET /v1/ready 200
ask GET /v1/openapi.json 200 '"openapi": ?"3\.1'
ask GET /v1/users/me 401 'application/problem\+json'
ask GET /v1/documents 401 '"code": ?"token_missing"'
ask POST /v1/documents 401 'application/problem\+json'
ask GET /v1/no-such-thing 404 'application/problem\+json'
