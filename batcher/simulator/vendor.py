"""The simulated provider without its sockets: a request in, a plan of what to send out.

The order of asking is a provider's: outage, key, body, model, account, then what the settings
make go wrong, then quota. Everything takes `now`; nothing here waits.
"""

from collections.abc import Mapping

import orjson

from batcher import clock
from batcher.errors import ConfigError
from batcher.job import Simulator as Settings
from batcher.simulator.answers import prompt_hash
from batcher.simulator.damage import deliver
from batcher.simulator.exchange import Admission, Ask, Cost, Plan, Request
from batcher.simulator.faults import FaultKind, Faults, is_refusal
from batcher.simulator.http import whole
from batcher.simulator.keys import Keys
from batcher.simulator.model import Model, paced
from batcher.simulator.quota import ScopeQuota
from batcher.simulator.refusal import Refusals
from batcher.simulator.script import Say, Script
from batcher.simulator.stats import Mark, Stats
from batcher.simulator.visit import Visit, visit_of

_HEALTHY = whole(200, b'{"status":"ok"}')
_TWO_KEYS = "send either x-api-key or authorization, not both"


class Vendor:
    """Decides what is said to each request.

    Attributes:
        script: Asked before everything else, when there is one.
    """

    def __init__(
        self, settings: Settings, *, keys: Keys, scopes: Mapping[str, float], stats: Stats
    ) -> None:
        self.settings = settings
        self.script: Script | None = None
        self._keys = keys
        self._stats = stats
        self._model = Model(settings)
        self._refusals = Refusals(settings, stats)
        self._faults = Faults(settings.faults, once=settings.faults_once, seed=settings.seed)
        self._multiplier = 1.0
        self._multipliers = dict(scopes)
        self._quotas: dict[str, ScopeQuota] = {}
        self._is_limited = _is_limited(settings)
        self._number = 0
        self._granted = 0
        self._outage: FaultKind | None = None
        self._outage_ends_s = 0.0

    def plan(self, request: Request, *, now: float) -> Plan:
        """What to send for a request, and when; counts and charges it."""
        self._number += 1
        visit = visit_of(request, self._number, now=now)
        if visit.key is not None:
            visit.scope = self._keys.scope_of(visit.key)
        self._stats.requests += 1
        self._stats.by_key[visit.key or ""] += 1
        self._stats.arrive(visit.scope, now=now)
        plan = self._decide(visit)
        self._stats.by_status[plan.status] += 1
        return plan

    def settle(self, admission: Admission, *, now: float) -> None:
        """Hear that an admitted request is over, sent or abandoned; once for each."""
        if self._is_limited and admission.scope is not None:
            self._quota(admission.scope, now).settle(admission.cost, now=now)

    def scale(self, multiplier: float, *, scope: str | None = None, now: float) -> None:
        """Allow `multiplier` times the configured limits, in one scope or (None) in all.

        A scope's own multiplier and the common one multiply.
        """
        if scope is None:
            self._multiplier = multiplier
        else:
            self._multipliers[scope] = multiplier
        for name, quota in self._quotas.items():
            quota.scale(self._multiplier_of(name), now=now)

    def down(self, kind: FaultKind, *, until_s: float) -> None:
        """Answer everything with this fault until then.

        Raises:
            ConfigError: The fault needs an answer to happen to.
        """
        if not is_refusal(kind) and kind is not FaultKind.HANG:
            raise ConfigError(f"a server cannot be down with {kind}: that damages an answer")
        self._outage, self._outage_ends_s = kind, until_s

    def up(self) -> None:
        """End what `down` began."""
        self._outage = None

    def _multiplier_of(self, scope: str) -> float:
        return self._multiplier * self._multipliers.get(scope, 1.0)

    def _quota(self, scope: str, now: float) -> ScopeQuota:
        quota = self._quotas.get(scope)
        if quota is None:
            many = self._multiplier_of(scope)
            quota = self._quotas[scope] = ScopeQuota(self.settings, multiplier=many, now=now)
        return quota

    def _decide(self, visit: Visit) -> Plan:
        if self.script is not None and visit.asks:
            said = self.script.next(visit.received())
            if said is not None:
                return self._say(visit, said)
        if self._outage is not None:
            if visit.at_s < self._outage_ends_s:
                return self._refusals.suffer(visit, self._outage)
            self._outage = None
        if visit.request.path == "/health":
            return Plan(status=200, pieces=(_HEALTHY,))
        if visit.key is None:
            return self._refusals.refuse(visit, FaultKind.BAD_REQUEST, message=_TWO_KEYS)
        if visit.scope is None:
            return self._refusals.refuse(visit, FaultKind.UNAUTHORIZED)
        return self._asked(visit, visit.scope) if visit.asks else self._errand(visit)

    def _errand(self, visit: Visit) -> Plan:
        """Everything that is no question to a model."""
        what = f"{visit.request.method} {visit.request.path}"
        if what == "GET /v1/models":
            body = visit.dialect.models(self.settings.models or ["simulated"])
        elif what == "POST /v1/messages/count_tokens":
            ask = visit.read_to_count()
            if isinstance(ask, str):
                return self._refusals.refuse(visit, FaultKind.BAD_REQUEST, message=ask)
            body = orjson.dumps({"input_tokens": ask.input_tokens})
        else:
            return self._refusals.refuse(visit, FaultKind.NOT_FOUND, message=f"Not found: {what}")
        return Plan(status=200, pieces=(whole(200, body, lines=visit.lines()),))

    def _asked(self, visit: Visit, scope: str) -> Plan:
        """A question to a model, from somebody with a good key."""
        refuse, settings = self._refusals.refuse, self.settings
        ask = visit.read(strict=settings.strict)
        if isinstance(ask, str):
            return refuse(visit, FaultKind.BAD_REQUEST, message=ask)
        if settings.models and ask.model not in settings.models:
            return refuse(visit, FaultKind.NOT_FOUND, message=f"model: {ask.model}")
        if settings.balance_after is not None and self._granted >= settings.balance_after:
            return refuse(visit, FaultKind(f"balance_{settings.balance_status}"))
        digest = prompt_hash(ask.prompt)
        fault = self._faults.of(digest)
        if fault is not None and is_refusal(fault):
            self._faults.suffered(digest)
            return self._refusals.suffer(visit, fault)
        return self._let_in(visit, ask, digest, fault, scope)

    def _let_in(
        self, visit: Visit, ask: Ask, digest: str, fault: FaultKind | None, scope: str
    ) -> Plan:
        """An answer, if the quota has room for it."""
        now = visit.at_s
        answer = self._model.answer(ask, digest, number=visit.number, fault=fault)
        cost = Cost(ask.input_tokens, answer.output_tokens, ask.max_tokens)
        mark = Mark(now, visit.key or "", cost.input_tokens, cost.output_tokens)
        if self._is_limited:
            quota = self._quota(scope, now)
            denial = quota.admit(cost, now=now)
            if self.settings.headers:
                readings = quota.readings(now=now)
                visit.limit_lines = visit.dialect.limit_lines(readings, epoch_s=clock.epoch())
            if denial is not None:
                self._stats.reject(mark)
                return self._refusals.over(visit, denial, ask.model)
        self._granted += 1
        self._stats.admit(mark)
        if fault is not None:
            self._faults.suffered(digest)
            self._stats.by_fault[fault.value] += 1
        plan = deliver(visit.dialect, ask, answer, lines=visit.lines(), fault=fault, digest=digest)
        plan.admission = Admission(scope=scope, cost=cost, digest=digest)
        return paced(plan, self._model.latency_s(digest))

    def _say(self, visit: Visit, said: Say) -> Plan:
        """What a script says, in the dialect of the request; it touches no quota."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in said.headers.items()).encode()
        fault = said.fault
        if fault is not None and is_refusal(fault):
            plan = self._refusals.suffer(visit, fault, message=said.message, lines=lines)
        elif said.body is not None:
            sent = whole(said.status, said.body, lines=visit.lines() + lines)
            plan = Plan(status=said.status, pieces=(sent,))
        elif said.status != 200:
            plan = self._refusals.say(visit, said, lines=lines)
        else:
            return self._say_answer(visit, said, lines)
        return paced(plan, said.delay_s)

    def _say_answer(self, visit: Visit, said: Say, lines: bytes) -> Plan:
        ask = visit.read(strict=self.settings.strict)
        if isinstance(ask, str):
            return self._refusals.refuse(visit, FaultKind.BAD_REQUEST, message=ask)
        digest = prompt_hash(ask.prompt)
        answer = self._model.answer(
            ask, digest, number=visit.number, fault=said.fault, text=said.text
        )
        if said.fault is not None:
            self._stats.by_fault[said.fault.value] += 1
        plan = deliver(
            visit.dialect,
            ask,
            answer,
            lines=visit.lines() + lines,
            fault=said.fault,
            digest=digest,
        )
        cost = Cost(ask.input_tokens, answer.output_tokens, ask.max_tokens)
        plan.admission = Admission(scope=None, cost=cost, digest=digest)
        delay_s = self._model.latency_s(digest) if said.delay_s is None else said.delay_s
        return paced(plan, delay_s)


def _is_limited(settings: Settings) -> bool:
    limits = (
        settings.requests_per_minute,
        settings.input_tokens_per_minute,
        settings.output_tokens_per_minute,
        settings.tokens_per_minute,
    )
    return any(limit is not None for limit in limits)
