"""Who is let in: keys, models, accounts, outages, and what strict servers refuse."""

import asyncio
from typing import Any

import pytest

from batcher.errors import ConfigError
from batcher.job import Simulator as Settings
from batcher.simulator.legality import generation
from batcher.simulator.server import Simulator
from tests.simulator.client import DIALECTS, ask

FAST = Settings(latency_ms=0)
dialects = pytest.mark.parametrize("dialect", DIALECTS)


@dialects
async def test_a_known_key_is_let_in_under_either_header(dialect: str) -> None:
    async with Simulator(FAST, keys={"good": "s"}) as simulator:
        for headers in ({"x-api-key": "good"}, {"authorization": "Bearer good"}):
            assert (await ask(simulator, dialect, headers=headers)).status == 200


@dialects
async def test_an_unknown_key_is_refused_in_the_dialects_words(dialect: str) -> None:
    async with Simulator(FAST, keys={"good": "s"}) as simulator:
        for headers in ({"x-api-key": "bad"}, {"authorization": "Basic good"}, {}):
            seen = await ask(simulator, dialect, headers=headers)
            assert seen.status == 401
            if dialect == "chat":
                assert seen.error["code"] == "invalid_api_key"
            else:
                assert seen.error["type"] == "authentication_error"
                assert seen.headers["x-should-retry"] == "false"
                assert "anthropic-workspace-id" not in seen.headers


async def test_keys_with_quotas_of_their_own_are_of_workspaces_of_their_own() -> None:
    async with Simulator(FAST, keys={"one": "s", "two": "s", "other": "t"}) as simulator:
        found = [
            (await ask(simulator, "messages", headers={"x-api-key": key})).headers[
                "anthropic-workspace-id"
            ]
            for key in ("one", "two", "other")
        ]

    assert found[0] == found[1] != found[2]


@dialects
async def test_two_kinds_of_key_at_once_are_refused(dialect: str) -> None:
    headers = {"x-api-key": "good", "authorization": "Bearer good"}
    async with Simulator(FAST) as simulator:
        seen = await ask(simulator, dialect, headers=headers)

    assert seen.status == 400
    assert "not both" in seen.error["message"]


async def test_without_keys_everybody_is_let_in() -> None:
    async with Simulator(FAST) as simulator:
        for headers in ({}, {"x-api-key": "any"}):
            assert (await ask(simulator, headers=headers)).status == 200


async def test_keys_come_and_go_while_it_runs() -> None:
    async with Simulator(FAST, keys={"old": "s"}) as simulator:

        async def statuses() -> list[int | None]:
            return [
                (await ask(simulator, headers={"x-api-key": key})).status for key in ("old", "new")
            ]

        assert await statuses() == [200, 401]
        simulator.revoke("old")
        assert await statuses() == [401, 401]
        simulator.add_key("new", "s")
        assert await statuses() == [401, 200]
        simulator.add_key("old")
        assert await statuses() == [200, 200]


async def test_one_key_can_be_revoked_where_every_key_is_let_in() -> None:
    async with Simulator(FAST) as simulator:
        simulator.revoke("gone")
        seen = [await ask(simulator, headers={"x-api-key": key}) for key in ("gone", "other")]

    assert [s.status for s in seen] == [401, 200]


@dialects
async def test_an_unknown_model_is_not_found(dialect: str) -> None:
    async with Simulator(Settings(latency_ms=0, models=["m"])) as simulator:
        assert (await ask(simulator, dialect)).status == 200
        seen = await ask(simulator, dialect, model="other")

    assert seen.status == 404
    assert "other" in seen.error["message"]


@pytest.mark.parametrize("status", [429, 400])
@dialects
async def test_an_account_runs_dry_after_so_many_answers(status: int, dialect: str) -> None:
    settings = Settings(latency_ms=0, balance_after=3, balance_status=status)
    async with Simulator(settings) as simulator:
        seen = [await ask(simulator, dialect, f"p {n}") for n in range(6)]

    assert [s.status for s in seen] == [200] * 3 + [status] * 3
    assert "retry-after" not in seen[-1].headers


async def test_an_outage_lasts_as_long_as_it_was_told() -> None:
    async with Simulator(FAST) as simulator:
        simulator.down("503", for_s=60)
        before = await ask(simulator)
        await asyncio.sleep(61)
        after = await ask(simulator)
        simulator.down("reset")
        without_end = await ask(simulator)
        simulator.up()
        ended = await ask(simulator)

    assert (before.status, after.status, ended.status) == (503, 200, 200)
    assert without_end.end == "reset"


async def test_a_server_cannot_be_down_with_what_needs_an_answer() -> None:
    async with Simulator(FAST) as simulator:
        with pytest.raises(ConfigError, match="damages an answer"):
            simulator.down("cut_json")
        with pytest.raises(ConfigError, match="no fault is called"):
            simulator.down("503s")


NEW, OLD = "2026-10-21", "2023-06-01"


@pytest.mark.parametrize(
    ("version", "model", "fields", "says"),
    [
        (None, "m", {}, "anthropic-version: header is required"),
        ("2022-01-01", "m", {}, "not a valid version"),
        (NEW, "m", {}, None),
        (NEW, "m", {"temperature": 1.0}, "temperature: Extra inputs are not permitted"),
        (NEW, "m", {"top_k": 5}, "top_k: Extra inputs are not permitted"),
        (OLD, "m", {"temperature": 0.5, "top_p": 0.8}, None),
        (OLD, "m", {"temperature": 1.5}, "between 0 and 1"),
        (OLD, "m", {"temperature": "hot"}, "valid number"),
        (OLD, "claude-haiku-5-5", {"temperature": 0.5}, "`temperature` may only"),
        (OLD, "claude-haiku-5-5", {"temperature": 1.0}, None),
        (OLD, "claude-opus-4-7", {"top_k": 5}, "`top_k` may only"),
        (OLD, "claude-sonnet-4-6", {"temperature": 0.2}, None),
        (OLD, "claude-haiku-4-5", {"temperature": 0.2, "top_p": 0.9}, "cannot both"),
        (OLD, "claude-opus-4-1-20250805", {"top_p": 0.9}, None),
    ],
)
async def test_strict_messages_follow_the_rule_table(
    version: str | None, model: str, fields: dict[str, Any], says: str | None
) -> None:
    headers = {} if version is None else {"anthropic-version": version}
    async with Simulator(Settings(latency_ms=0, strict=True)) as simulator:
        seen = await ask(simulator, model=model, headers=headers, **fields)

    assert (seen.status == 200) == (says is None)
    if says is not None:
        assert says in seen.error["message"]


async def test_strict_messages_refuse_a_prefill_where_the_model_does() -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Well"}]
    headers = {"anthropic-version": NEW}
    async with Simulator(Settings(latency_ms=0, strict=True)) as simulator:
        seen = [
            await ask(simulator, model=model, messages=turns, headers=headers)
            for model in ("claude-sonnet-4-5", "claude-sonnet-4-6")
        ]

    assert [s.status for s in seen] == [200, 400]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model": "claude-2.1"}, None),
        ({"model": "claude-instant-1.2", "temperature": 0.5}, None),
        ({"model": "claude-haiku-5-5"}, "Please use the Messages API instead"),
        ({"model": "claude-2.1", "temperature": 2}, "between 0 and 1"),
    ],
)
async def test_strict_completions_take_legacy_models_only(
    fields: dict[str, Any], says: str | None
) -> None:
    headers = {"anthropic-version": OLD}
    async with Simulator(Settings(latency_ms=0, strict=True)) as simulator:
        seen = await ask(simulator, "complete", headers=headers, **fields)

    assert (seen.status == 200) == (says is None)
    if says is not None:
        assert says in seen.error["message"]


async def test_strict_chat_refuses_an_impossible_temperature() -> None:
    async with Simulator(Settings(latency_ms=0, strict=True)) as simulator:
        seen = [await ask(simulator, "chat", temperature=t) for t in (1.5, 2.5)]

    assert [s.status for s in seen] == [200, 400]


@pytest.mark.parametrize(
    ("model", "made"),
    [
        ("claude-haiku-4-5-20251001", (4, 5)),
        ("claude-opus-4-20250514", (4, 0)),
        ("claude-sonnet-5", (5, 0)),
        ("claude-fable-5-2", (5, 2)),
        ("gpt-5", None),
        ("claude-3-5-sonnet-20241022", None),
    ],
)
def test_a_models_generation_is_read_from_its_name(
    model: str, made: tuple[int, int] | None
) -> None:
    assert generation(model) == made
