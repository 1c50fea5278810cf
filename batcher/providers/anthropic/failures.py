"""What the errors of Anthropic and of servers speaking its formats mean: one table.

Source: the API's error reference and the names in its Python SDK 2.12 (2026-11-20);
llama.cpp, vLLM, OpenRouter and other gateways add names of their own.
"""

from dataclasses import replace

from batcher.providers.faults import (
    BILLING,
    NOT_FOUND,
    RAMP,
    REFUSED,
    TOO_LARGE,
    Table,
)

TABLE = Table(
    provider="anthropic",
    names={
        "ramp_limit_exceeded": RAMP,
        "enforced_spend_limit_reached": BILLING,
        "contract_spend_limit_reached": BILLING,
        "linked_organization_spend_limit_reached": BILLING,
        "linked_organization_billing_unavailable": BILLING,
        "organization_on_hold": BILLING,
        "billing_error": BILLING,
        "insufficient_quota": BILLING,
        "credit_balance_exhausted": BILLING,
        "request_too_large": TOO_LARGE,
        "request_body_too_large_after_decoding": TOO_LARGE,
        "exceed_context_size_error": TOO_LARGE,
        "context_length_exceeded": TOO_LARGE,
        "model_not_found": NOT_FOUND,
        "content_policy_violation": REFUSED,
        "refusal": REFUSED,
    },
    phrases=(
        ("credit balance", BILLING),
        ("api usage limits", BILLING),  # "You have reached your specified API usage limits"
        ("organization has been disabled", BILLING),
        ("prompt is too long", TOO_LARGE),
        ("exceed context limit", TOO_LARGE),
        ("available context size", TOO_LARGE),
        ("maximum context length", TOO_LARGE),
        ("content filtering policy", REFUSED),
        ("not supported on this api", NOT_FOUND),  # /v1/complete asked for a newer model
        ("not a valid model", NOT_FOUND),
    ),
    types={
        "invalid_request_error": 400,
        "authentication_error": 401,
        "billing_error": 402,
        "permission_error": 403,
        "not_found_error": 404,
        "conflict_error": 409,
        "request_too_large": 413,
        "rate_limit_error": 429,
        "api_error": 500,
        "server_error": 500,
        "internal_error": 500,
        "internal_server_error": 500,
        "timeout_error": 504,
        "unavailable_error": 503,
        "overloaded_error": 529,
    },
)

COMPLETE_TABLE = replace(TABLE, provider="anthropic-complete")
"""The legacy format fails in the same words."""
