"""Steering from another process: POST /_simulator/control and GET /_simulator/stats, in JSON."""

from typing import Protocol

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from batcher.errors import BatcherError
from batcher.simulator.exchange import Plan, Request
from batcher.simulator.http import whole
from batcher.simulator.keys import DEFAULT_SCOPE
from batcher.simulator.stats import Stats

PREFIX = "/_simulator/"


class Command(BaseModel):
    """What POST /_simulator/control takes; everything in it is done, in this order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: float | None = Field(default=None, gt=0)
    """Allow so many times the configured quota."""
    scope: str | None = None
    """Which quota scope `scale` means; None: all."""
    add: dict[str, str | None] = {}
    """Keys to accept, with their scope."""
    revoke: list[str] = []
    """Keys to accept no longer."""
    down: str | None = None
    """Fault kind that answers everything."""
    for_s: float | None = Field(default=None, gt=0)
    """How long `down` lasts; None: until `up`."""
    up: bool = False
    """End `down`."""
    refuse_s: float | None = Field(default=None, gt=0)
    """Refuse connections for so long, from right after this answer."""
    reset: bool = False
    """Count from nothing."""


class Steerable(Protocol):
    """What control needs of a simulator; see simulator.Simulator."""

    stats: Stats

    def scale(self, multiplier: float, *, scope: str | None = None) -> None: ...  # noqa: D102
    def add_key(self, key: str, scope: str = DEFAULT_SCOPE) -> None: ...  # noqa: D102
    def revoke(self, key: str) -> None: ...  # noqa: D102
    def down(self, kind: str, *, for_s: float | None = None) -> None: ...  # noqa: D102
    def up(self) -> None: ...  # noqa: D102
    def refuse_soon(self, for_s: float) -> None: ...  # noqa: D102


def answer(request: Request, simulator: Steerable) -> Plan:
    """Deal with a request below /_simulator/; always with the stats, or why not.

    `?delivered=1` and `?times=1` add the long lists.
    """
    what = f"{request.method} {request.path}"
    if what == f"POST {PREFIX}control":
        try:
            _obey(Command.model_validate_json(request.body or b"{}"), simulator)
        except ValidationError as fault:
            problems = [f"{e['loc']}: {e['msg']}" for e in fault.errors()]
            return _json(400, {"error": "; ".join(problems)})
        except BatcherError as fault:
            return _json(400, {"error": str(fault)})
    elif what != f"GET {PREFIX}stats":
        return _json(404, {"error": f"no such thing: {what}"})
    wanted = request.query.split("&")
    stats = simulator.stats.as_dict(delivered="delivered=1" in wanted, times="times=1" in wanted)
    return _json(200, stats)


def _obey(command: Command, simulator: Steerable) -> None:
    if command.scale is not None:
        simulator.scale(command.scale, scope=command.scope)
    for key, scope in command.add.items():
        simulator.add_key(key, scope or DEFAULT_SCOPE)
    for key in command.revoke:
        simulator.revoke(key)
    if command.down is not None:
        simulator.down(command.down, for_s=command.for_s)
    if command.up:
        simulator.up()
    if command.refuse_s is not None:
        simulator.refuse_soon(command.refuse_s)
    if command.reset:
        simulator.stats.reset()


def _json(status: int, data: object) -> Plan:
    return Plan(status=status, pieces=(whole(status, orjson.dumps(data)),))
