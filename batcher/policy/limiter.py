"""Paces one quota scope: the one place where quota, ramp, load and concurrency meet.

Known limits (settings, headers, the text of a 429) are dead-reckoned in buckets; what is
unknown or hidden is tracked from refusals; overload has its own breaker and never touches
what was learnt; the number in flight is learnt on its own.
"""

import math
import random
from collections.abc import Iterable, Mapping, Sequence

from batcher.events import Event, LimitChanged, Paused
from batcher.policy.breaker import Breaker
from batcher.policy.bucket import LEAST_LIMIT, MINUTE_S
from batcher.policy.concurrency import Concurrency
from batcher.policy.dimension import Dimension
from batcher.policy.estimate import Estimate
from batcher.policy.limits import Limits
from batcher.policy.ramp import Ramp
from batcher.policy.ticket import INPUT, OUTPUT, TOTAL, UNITS, Amounts, Ticket
from batcher.policy.tracker import Tracker
from batcher.records import Bucket, Feedback, Need, Quota, Signal

_FULL_S = 1.0  # nothing but an answer makes room; ask again then, or at least this often
_SHORTEST_S = 1e-4  # a wait that is lost in the rounding of `now` would never end
_SPEED_WINDOW_S = 0.5
_LEAST = 1e-6  # a job without prompt text takes no input tokens
_REVIEW = 32  # answers
_REVIEW_DOUBTED = 4
_REFUSALS_COME_S = 0.5  # of sending
_FLOW_GAIN = 0.15  # each look at the others, once a second
_MOST_FAVOUR = 1.5  # of an equal rate, to whoever gets less by it
_HELD_S = 2.0  # since a quota made us wait: it is what holds us back
_LONGEST_WAIT_S = 2 * 86_400.0  # quotas of a day are the longest there are
_LONGEST_OVERLOAD_S = 60.0  # nobody knows when a server copes again; it is asked now and then
_KNOWN_RAMP = 3.0  # a known limit may be exceeded this far while its bucket is full


class Limiter:
    """The rate controller of one quota scope (ports.RateController).

    Ask again after every `settle`, or when the time named has passed.

    Args:
        scope: Names the quota in events.
        stated: Limits from the settings, units a minute; never exceeded in the long run.
        max_in_flight: The operator's ceiling; how many really are in flight is learnt.
        burst_s: Seconds of a stated limit that may be used at once.
        seed: Of the random numbers that spread probes.
    """

    def __init__(
        self,
        scope: str,
        *,
        stated: Mapping[Bucket, float] | None = None,
        max_in_flight: int,
        burst_s: float = 60.0,
        seed: int = 0,
    ) -> None:
        self._scope = scope
        self._estimate = Estimate()
        self._limits = Limits(stated or {}, burst_s=burst_s)
        self._asked = self._generated = 0.0  # output: most of what is in flight, of all answers
        self._tracker = Tracker()
        self._ramp = Ramp()
        self._breaker = Breaker(random.Random(seed))  # noqa: S311 - spreads probes, guards nothing
        self._concurrency = Concurrency(max_in_flight)
        self._admitted = [0.0, 0.0, 0.0, 0.0]
        self._flying: dict[Ticket, None] = {}
        self._paused_until = -math.inf
        self._held_at = -math.inf  # when a quota last made us wait ...
        self._held_until = -math.inf  # ... and for how long
        self._last_look = (-math.inf, 0.0, 0.0)  # when, admitted by then, requests a second
        self._sharers = 1  # runs known to use the quota, ours included
        self._is_doubted = False  # some known limit changes by itself
        self._reviewed = _REVIEW
        self._speed: tuple[float, float, float] = (0.0, 0.0, 0.0)  # when, how many, per second
        self._review()

    @property
    def in_flight(self) -> int:
        """Attempts reserved and not yet settled."""
        return len(self._flying)

    def wait_s(self, need: Need, *, now: float) -> float:
        """Seconds until it is worth asking again; 0.0 means this need may go now."""
        wait = max(self._ramp.next_at, self._paused_until) - now
        if wait < _FULL_S and len(self._flying) >= self._concurrency.limit:
            wait = _FULL_S
        tracker = self._tracker
        if self._limits.known or tracker.is_on:
            cost = self._estimate.cost(need)
            held = tracker.wait_s(cost, now) if tracker.is_on else 0.0
            is_spaced = tracker.is_on and tracker.is_spaced
            held = max(held, self._limits.wait_s(cost, now, is_spaced=is_spaced))
            if held > 0.0:
                self._held_at = now
                self._held_until = now + held
            wait = max(wait, held)
        if self._breaker.is_open:
            wait = max(wait, self._breaker.wait_s(now))
        return max(wait, _SHORTEST_S) if wait > 0.0 else 0.0

    def reserve(self, need: Need, *, now: float) -> Ticket:
        """Set aside capacity for one attempt that is being sent now; returns its ticket."""
        estimate = self._estimate
        cost = estimate.cost(need)
        estimate.sent(need)
        admitted = self._admitted
        admitted[0] += 1.0
        admitted[1] += cost[1]
        admitted[2] += cost[2]
        admitted[3] += cost[3]
        flying = self._flying
        in_flight = len(flying) + 1
        self._asked += need.max_tokens
        ticket = Ticket(now, cost, admitted.copy(), in_flight, need.input_chars)
        ticket.max_tokens = need.max_tokens
        ticket.asked, ticket.generated = self._asked, self._generated
        flying[ticket] = None
        concurrency = self._concurrency
        if in_flight >= concurrency.near:
            ticket.era = concurrency.meet(in_flight, now)
        else:
            concurrency.unmet += 1
        ticket.is_short = self._limits.take(cost, now)
        tracker = self._tracker
        if self._is_doubted and now > self._held_until + _HELD_S:
            self._limits.rest(now)
        if tracker.is_on:
            tracker.sent(ticket, estimate.mean, now)
        else:
            tracker.begin(ticket, now)
        self._breaker.sent(ticket)
        self._ramp.sent(now)
        at, count, _ = self._speed
        if now - at > _SPEED_WINDOW_S:
            self._speed = (now, admitted[0], (admitted[0] - count) / (now - at))
        return ticket

    def settle(self, ticket: object, feedback: Feedback, *, now: float) -> Iterable[Event]:
        """Give the ticket back, once, with what was learnt; returns changes worth telling."""
        assert isinstance(ticket, Ticket)  # noqa: S101 - the seam hides the type
        del self._flying[ticket]
        self._asked -= ticket.max_tokens
        signal = feedback.signal
        if signal is Signal.OK:
            ticket.verdict = False
            news = self._answered(ticket, feedback, now)
            is_dull = ticket.era < 0 and not self._concurrency.counts
            if is_dull and not feedback.quotas and not self._breaker.is_open:
                return news
            return [*news, *self._after_answer(ticket, feedback, now)]
        ticket.verdict = signal is Signal.OVERLOADED
        if signal is Signal.NEUTRAL:
            self._correct(ticket, (1.0, ticket.cost[1], 0.0, ticket.cost[1]), now)
            return [*self._read(ticket, feedback, now), *self._recovered(now)]
        return self._refused(ticket, feedback, now)

    # -- others on the same quota

    def pace(self, *, now: float) -> Sequence[float] | None:
        """What we take of a quota that holds us back, a second; None while none does."""
        if now - self._held_at > _HELD_S:
            return None
        return [self._last_look[2] * amount for amount in self._estimate.mean]

    def share(self, others: Sequence[Sequence[float]], *, now: float) -> Iterable[Event]:
        """Others who say so use the quota too; move towards equal shares."""
        at, sent, flow = self._last_look
        if now > at:
            flow += _FLOW_GAIN * ((self._admitted[0] - sent) / (now - at) - flow)
            self._last_look = (now, self._admitted[0], flow)
        tracker, own, mean = self._tracker, self.pace(now=now), self._estimate.mean
        all_of_us = [own, *(one for one in others if len(one) == len(mean))] if own else []
        count = max(1, len(all_of_us))
        fair = [sum(amounts) / count for amounts in zip(*all_of_us, strict=True)] or mean
        self._limits.share(count, [flow * amount for amount in mean], fair)
        if count == 1:
            tracker.alone()
        elif tracker.is_on:
            share = fair[tracker.unit]
            favour = share / max(_LEAST, flow * mean[tracker.unit])
            tracker.lean(share * min(_MOST_FAVOUR, max(1.0 / _MOST_FAVOUR, favour)))
        was, self._sharers = self._sharers, count
        if count == was:
            return ()
        if count == 1:
            return (self._changed("no other run shares this quota now"),)
        return (self._changed(f"runs on this machine that share this quota: {count}"),)

    # -- answers

    def _answered(self, ticket: Ticket, feedback: Feedback, now: float) -> Sequence[Event]:
        self._ramp.answered(feedback.latency_s)
        self._reviewed -= 1
        if self._reviewed < 0:
            self._review()
        usage = feedback.usage
        if usage is not None:
            cost, actual = ticket.cost, self._estimate.answered(ticket, usage)
            self._correct(ticket, actual, now)
            if feedback.quotas and ticket.cost is cost:
                # Its headers tell what was left after all of its input and all it was set aside.
                ticket.cost = (1.0, actual[1], cost[2], actual[3] - actual[2] + cost[2])
        else:
            output = self._estimate.mean[OUTPUT]
            inputs = ticket.cost[INPUT]
            actual = (1.0, inputs, output, inputs + output)
            self._correct(ticket, actual, now)
        refuted = self._limits.let_in(ticket, actual, now) if self._is_doubted else None
        return () if refuted is None else (self._changed(self._disown(refuted, now)),)

    def _correct(self, ticket: Ticket, actual: Amounts, now: float) -> None:
        cost, admitted = ticket.cost, self._admitted
        self._generated += actual[2]
        admitted[1] += actual[1] - cost[1]
        admitted[2] += actual[2] - cost[2]
        admitted[3] += actual[3] - cost[3]
        self._limits.settle(ticket, actual, now)
        tracker = self._tracker
        if tracker.is_on:
            tracker.settled(ticket, actual)
            if tracker.unit:
                self._correct_later(ticket, actual, now)
                ticket.cost = actual

    def _correct_later(self, ticket: Ticket, actual: Amounts, now: float) -> None:
        """Put right what later attempts remember; a refusal comes back soon or not at all."""
        more = actual[INPUT] - ticket.cost[INPUT]  # output is given back only now
        since = max(ticket.sent, now - _REFUSALS_COME_S)
        for later in reversed(self._flying):
            if later.sent < since:
                break
            later.total[INPUT] += more
            later.total[TOTAL] += more

    def _after_answer(self, ticket: Ticket, feedback: Feedback, now: float) -> list[Event]:
        events = [*self._read(ticket, feedback, now), *self._recovered(now)]
        concurrency, met = self._concurrency, ticket.era >= 0
        if met or concurrency.counts:
            tokens = float(feedback.usage.output_tokens) if feedback.usage else 0.0
            reason = concurrency.answered(
                met,
                len(self._flying) + 1,
                tokens,
                latency_s=feedback.latency_s,
                quickest_s=self._ramp.fastest_s,
                now=now,
            )
            if reason is not None:
                events.append(self._changed(reason))
        return events

    def _recovered(self, now: float) -> Sequence[Event]:
        """See whether an overloaded server copes again."""
        if not self._breaker.is_open or not self._breaker.look(now):
            return ()
        self._ramp.restart(64.0, now)
        self._tracker.resume(now)
        return (self._changed("the server copes again"),)

    # -- refusals

    def _refused(self, ticket: Ticket, feedback: Feedback, now: float) -> list[Event]:
        self._take_back(ticket, now)
        self._concurrency.forget()
        events = self._read(ticket, feedback, now)
        reason: str | None = None
        if feedback.signal is Signal.OVERLOADED:
            pause = self._breaker.overloaded(ticket, feedback.latency_s, now)
            if pause is not None:
                events.append(
                    Paused(scope=self._scope, reason="the server is overloaded", wait_s=pause)
                )
        elif feedback.signal is Signal.RAMP:
            speed = self._per_s(now)
            self._ramp.slow(0.7 * speed, now)
            reason = f"slower ramp: 429 for growing too fast at {speed:.3g} requests/s"
        else:
            reason = self._over_quota(ticket, feedback, now)
        if reason is not None:
            events.append(self._changed(reason))
        self._pause(feedback, events, now)
        return events

    def _take_back(self, ticket: Ticket, now: float) -> None:
        """Undo an attempt the server did not let in."""
        cost = ticket.cost
        ticket.is_refused = True
        for later in reversed(self._flying):
            if later.sent < ticket.sent:
                break
            _subtract(later.total, cost)
            later.asked -= ticket.max_tokens
        _subtract(ticket.total, cost)
        _subtract(self._admitted, cost)
        self._limits.give_back(ticket, now)
        if self._tracker.is_on:
            self._tracker.returned(ticket)

    def _over_quota(self, ticket: Ticket, feedback: Feedback, now: float) -> str | None:
        hint = feedback.limit_hint
        reason: str | None = None
        refuted: str | None = None
        if hint is not None and LEAST_LIMIT <= hint.limit < math.inf:
            dimension = self._limits.of(hint.bucket)
            if not dimension.is_refuted(hint.limit, now):
                reason = self._take_hint(ticket, hint, now)
                if reason is not None and not self._tracker.is_below:
                    return reason or None
            elif dimension.limit == hint.limit:
                refuted = self._disown(dimension, now)
        short = self._limits.refused(ticket, feedback.quotas, self._admitted, now)
        if short:
            if not all(known.is_shallow(ticket.cost[known.index]) for known in short):
                return refuted
            self._tracker.holds_little()
        if ticket.is_short and not feedback.quotas:
            return refuted
        self._review()
        found = self._tracker.refused(
            ticket,
            admitted=self._admitted,
            mean=[max(_LEAST, mean) for mean in self._estimate.mean],
            is_answered=self._estimate.output > 0.0,
            per_s=self._per_s(now),
            retry_after_s=_sane(feedback.retry_after_s),
            now=now,
        )
        return refuted or found

    def _disown(self, dimension: Dimension, now: float) -> str:
        """More is let in than a text named; returns that in words."""
        limit = dimension.limit
        self._limits.disown(dimension)
        self._tracker.unpin()
        self._ramp.restart(self._per_s(now), now)
        self._review()
        return f"more is let in than the {limit:.6g} {UNITS[dimension.index]}/min that 429s name"

    def _take_hint(self, ticket: Ticket, hint: Quota, now: float) -> str | None:
        """A 429 named its limit; returns the news, "" for none, None when it explains nothing."""
        dimension = self._limits.of(hint.bucket)
        index = dimension.index
        since = self._admitted[index] - ticket.total[index]
        per_s = hint.limit / MINUTE_S / max(_LEAST, self._estimate.mean[index])
        rate, limit = dimension.rate, dimension.limit
        is_explained = dimension.name(hint, ticket, since, per_s, now)
        if dimension.rate == rate:
            return "" if is_explained else None
        if limit and hint.limit != limit:
            self._tracker.scale(index, hint.limit / limit)
        self._limits.know(dimension)
        self._review()
        said = "the same limit" if hint.limit == limit else "a limit"
        return f"429 names {said}: {hint.limit:.6g} {UNITS[index]}/min"

    def _pause(self, feedback: Feedback, events: list[Event], now: float) -> None:
        wait = _sane(feedback.retry_after_s)
        if wait is None:
            return
        if feedback.signal is Signal.OVERLOADED:
            wait = min(wait, _LONGEST_OVERLOAD_S)
        until = now + wait
        if until <= self._paused_until:
            return
        self._held_until = max(self._held_until, until)
        if wait >= 1.0 and self._paused_until <= now:
            reason = f"the server asks to wait {wait:.3g} s"
            events.append(Paused(scope=self._scope, reason=reason, wait_s=wait))
        self._paused_until = until
        if feedback.signal is not Signal.OVERLOADED:
            self._held_at = max(self._held_at, until)
        self._tracker.pause(until, now)

    # -- headers

    def _read(self, ticket: Ticket, feedback: Feedback, now: float) -> list[Event]:
        if not feedback.quotas:
            return []
        events: list[Event] = []
        for known in self._limits.read(ticket, feedback, self._admitted, now):
            self._review()
            events.append(
                self._changed(f"headers: {known.limit:.6g} {UNITS[known.index]} a minute")
            )
        self._estimate.reserves = self._limits.reserve_output
        return events

    def _review(self) -> None:
        """Say anew which known limit binds first; it depends on the job's sizes."""
        limits, mean = self._limits, self._estimate.mean
        self._is_doubted = limits.are_doubted
        self._reviewed = _REVIEW_DOUBTED if self._is_doubted else _REVIEW
        if not limits.known:
            self._ramp.ceiling = math.inf
            return
        tightest = limits.tightest(mean)
        self._tracker.pin(tightest.index, tightest.rate)
        self._ramp.ceiling = _KNOWN_RAMP * limits.per_s(mean)

    def _per_s(self, now: float) -> float:
        """Requests a second sent of late."""
        at, count, before = self._speed
        elapsed = now - at
        if elapsed < 0.2 * _SPEED_WINDOW_S:
            return before
        return max(before, (self._admitted[0] - count) / elapsed)

    def _changed(self, reason: str) -> LimitChanged:
        tracker = self._tracker
        per_s = None
        if tracker.is_on and self._estimate.mean[tracker.unit] > 0.0:
            per_s = tracker.rate / self._estimate.mean[tracker.unit]
        elif self._limits.known:
            per_s = self._limits.per_s(self._estimate.mean)
        return LimitChanged(
            scope=self._scope,
            reason=reason,
            requests_per_s=per_s,
            in_flight=self._concurrency.limit,
        )


def _sane(seconds: float | None) -> float | None:
    """A wait a server named, when it makes sense."""
    return seconds if seconds is not None and 0.0 < seconds < _LONGEST_WAIT_S else None


def _subtract(total: list[float], cost: Amounts) -> None:
    for index in range(TOTAL + 1):
        total[index] -= cost[index]
