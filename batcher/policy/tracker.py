"""Finds a limit nobody told us, from refusals alone.

Between refusals the rate is held a little below the estimate, then exceeded ever faster:
a refusal soon after says that nothing has changed, none says that there is more. The hold
is as long as the share of refusals allows.

What the limit counts (requests, input or output tokens) is guessed from the job's sizes
and learnt from the refused: a token limit refuses long prompts more often.
"""

import math
from collections.abc import Sequence

from batcher.policy.allowance import Allowance
from batcher.policy.depth import SHALLOW_S
from batcher.policy.door import Door
from batcher.policy.evidence import Belief, Evidence
from batcher.policy.hold import Hold
from batcher.policy.marks import Mark
from batcher.policy.rivals import Rivals
from batcher.policy.spacing import Spacing
from batcher.policy.ticket import INPUT, OUTPUT, REQUESTS, UNITS, Ticket

_LEAN = 0.3  # of the way to an equal share, each second
_EVEN = 0.04
_BURST_S = 0.2  # what may be sent at once, in seconds of the rate
_PEAK = 2.5  # what was saved up is spent at this multiple of the rate: order survives the way
_SPARE = 2.0  # attempts' worth kept back after a refusal
_SPARE_OF_SIZES = 1.5  # one that is bigger than thought
_LEAST_SPARE = 0.5
_SPARE_SHARE = 0.1  # of what the bucket holds, where that is less
_SAVED_SHARE = 0.8  # of a known depth that a pause is taken to fill
_BELOW = 0.95  # of the ceiling
_SLOWEST_S = 60.0  # an attempt a minute, at least


class Tracker:
    """Paces one unknown limit.

    Attributes:
        is_on: A refusal has shown that there is such a limit.
        unit: What it counts, as an index of DIMENSIONS.
        rate: Its estimate, units a second.
        ceiling: The rate is known not to exceed this.
    """

    __slots__ = (
        "_allowance",
        "_door",
        "_evidence",
        "_hold",
        "_outgrown",
        "_rivals",
        "_sent_at",
        "_shut_until",
        "_spacing",
        "ceiling",
        "is_on",
        "rate",
        "unit",
    )

    def __init__(self) -> None:
        self.is_on = False
        self.unit = REQUESTS
        self.rate = 0.0
        self.ceiling = math.inf
        self._allowance = Allowance()
        self._hold = Hold()
        self._shut_until = -math.inf
        self._sent_at = -math.inf
        self._door = Door()
        self._evidence = Evidence()
        self._rivals = Rivals()
        self._spacing: Spacing | None = None  # of a bucket that holds a single attempt
        self._outgrown = 0  # how often that was left because more was let in

    # -- asking

    @property
    def is_spaced(self) -> bool:
        """Whether the time between attempts is all that paces them, no level of a bucket."""
        return self._spacing is not None

    @property
    def is_below(self) -> bool:
        """Whether less is let in than what is known allows: others use it, or it is not all."""
        return self.is_on and self.rate < _BELOW * self.ceiling

    @property
    def _is_shared(self) -> bool:
        """Whether others use the quota, known ones or strangers."""
        return self._rivals.are_known or self._rivals.are_there

    def pace(self, now: float) -> float:
        """Units a second to send at `now`."""
        if self._spacing is not None:
            return min(self.ceiling, self._spacing.rate)
        return self._pace_of(self.rate, now)

    def _pace_of(self, rate: float, now: float) -> float:
        """The same, were that the estimate."""
        if self._rivals.are_there:
            return min(self.ceiling, self._rivals.pace(rate, self._hold.since_s(now)))
        wanted = self._hold.pace(rate, self._door.window_s, now)
        ceiling = self.ceiling
        if self.unit >= OUTPUT:
            # What answers give back lets our level drift from the server's: keep probing.
            return min(wanted, _PEAK * ceiling)
        if rate >= ceiling * 0.999:
            return ceiling
        return wanted if wanted < ceiling else ceiling

    def wait_s(self, cost: Sequence[float], now: float) -> float:
        """Seconds until an attempt of this cost may go."""
        units = self._whole(cost[self.unit])
        pace = self._fill(now, units)
        allowance = self._allowance
        short = units - allowance.level
        wait = short / pace if short > 1e-9 * units else 0.0
        return max(wait, allowance.next_at - now)

    def _whole(self, units: float) -> float:
        """So many units, or a full bucket where its size is known and they are more."""
        if self.unit == REQUESTS or not self._evidence.depth.seconds:
            return units
        return min(units, self._evidence.depth.seconds * self.rate)

    def _fill(self, now: float, cost: float) -> float:
        """Bring the allowance up to `now`, for an attempt of that cost; returns the pace."""
        pace, allowance = self.pace(now), self._allowance
        if now > allowance.at:
            if allowance.paused_until > allowance.at:
                self._save(now, cost)
            burst = _BURST_S * self.rate if self._spacing is None else 0.0
            most = max(allowance.biggest, cost, burst)
            allowance.fill(pace, self._whole(most), now)
        return pace

    def _save(self, now: float, cost: float) -> None:
        """What was refilled while standing still is not to be lost."""
        evidence = self._evidence
        holds = math.inf if self._spacing is None else cost
        if evidence.fit is not None:
            holds = min(holds, _SAVED_SHARE * evidence.depth.seconds * self.rate)
        per_s = 0.0 if self._door.window_s else self.rate  # a window saves nothing
        self._allowance.save(per_s, holds, None if evidence.is_proven else cost, now)

    # -- being told

    def sent(self, ticket: Ticket, mean: Sequence[float], now: float) -> None:
        """An attempt goes now."""
        cost = ticket.cost[self.unit]
        pace = self._fill(now, cost)
        if self._spacing is not None:
            self._spacing.sent()
            if self._spacing.is_outgrown:
                self._leave_spacing(self._spacing.rate, now)
                self._outgrown += 1
        peak = max(pace, _PEAK * self.rate)
        self._allowance.take(cost, min(cost, mean[self.unit]), peak, now)
        ticket.is_probe = self._hold.is_over(now)
        if not self._rivals.are_there:  # beside them the hold is but a clock of the rate's growth
            self._hold.sent(self._door.window_s, now)
        if ticket.is_probe:
            self._evidence.probe(self.unit, ticket)
        self._evidence.depth.sent(ticket)
        self._door.sent(ticket)
        paused_until = self._allowance.paused_until
        was_paused = paused_until > self._sent_at and not (self._door.window_s or self._is_shared)
        if was_paused and self.unit == REQUESTS:
            self._evidence.ran_over(ticket, self.rate)
        was_idle = now > max(paused_until, self._shut_until) + 2.0
        if was_idle and now - self._sent_at > 2.0 + 4.0 * cost / self.rate:
            self._evidence.marks.clear()  # the bucket may have overflowed while we were idle
        self._sent_at = now

    def begin(self, ticket: Ticket, now: float) -> None:
        """An attempt goes now, and nothing has been refused yet."""
        self._evidence.begin(now)
        self._evidence.depth.sent(ticket)
        self._door.sent(ticket)

    def settled(self, ticket: Ticket, actual: Sequence[float]) -> None:
        """An answer took less or more than was set aside."""
        unit, spacing = self.unit, self._spacing
        if spacing is not None:
            spacing.answered(ticket.sent)
            self.rate = spacing.rate
        if unit != REQUESTS:
            self._allowance.level += ticket.cost[unit] - actual[unit]
            self._evidence.marks.correct(ticket, actual[INPUT] - ticket.cost[INPUT])

    def returned(self, ticket: Ticket) -> None:
        """An attempt turned out not to have been admitted."""
        self._evidence.marks.take_out(ticket)
        if not self._evidence.marks or ticket.sent >= self._evidence.marks.last.sent:
            self._allowance.level += ticket.cost[self.unit]

    def pin(self, unit: int, per_s: float) -> None:
        """The unit is known, and that its rate is at most this."""
        is_raised = self.is_on and unit == self.unit and per_s > self.ceiling and not self.is_below
        self.ceiling = per_s
        spacing = self._spacing
        if spacing is not None and (unit != self.unit or spacing.is_told_otherwise(per_s)):
            self._leave_spacing(per_s, self._allowance.at)
        is_new = unit != self.unit or not self._evidence.units.is_pinned
        if self.is_on and unit != self.unit:
            self._count(unit)
        if self.is_on and (is_new or is_raised):
            self.rate = per_s
            self._evidence.marks.clear()
        self.unit, self._evidence.units.is_pinned = unit, True
        self.rate = min(self.rate, per_s)

    def unpin(self) -> None:
        """Its rate is not known after all."""
        self.ceiling = math.inf

    def scale(self, unit: int, factor: float) -> None:
        """The limit is another one: what was found is a share of it."""
        if self.is_on and unit == self.unit and self._spacing is None:
            self.rate *= factor
            self._evidence.marks.clear()

    def holds_little(self) -> None:
        """The bucket is known to hold no more than a few attempts."""
        self._evidence.is_shallow = True

    def refused(
        self,
        ticket: Ticket,
        *,
        admitted: Sequence[float],
        mean: Sequence[float],
        is_answered: bool,
        per_s: float,
        retry_after_s: float | None,
        now: float,
    ) -> str | None:
        """Learn from a refusal nothing else explains; returns the change in words.

        Args:
            ticket: The refused attempt.
            admitted: Everything admitted up to now.
            mean: Mean amounts of an attempt, output as really used.
            is_answered: The mean output is that of answers, not a guess.
            per_s: Requests a second sent of late.
            retry_after_s: What the server asked for.
            now: Monotonic seconds.
        """
        if not self._hold.takes(ticket.sent, now):
            return None
        was = self.rate if self.is_on else math.inf
        if self._is_still_shut(ticket):
            self._look_later(retry_after_s, now)
            return self._said(was)
        evidence = self._evidence
        was_unit = self.unit if self.is_on else REQUESTS
        is_alone = self._rivals.are_unlikely
        refusal = evidence.mark(ticket, was_unit, self.rate, retry_after_s, is_alone=is_alone)
        evidence.fit = None
        evidence.units.refused(ticket.cost[INPUT] / max(1e-9, mean[INPUT]))
        self._choose_unit(mean, is_answered=is_answered)
        window_s = 0.0
        if not self.is_on:
            self.is_on = True
            self._allowance.at = now
            self.rate = self.ceiling
            if math.isinf(self.rate):
                self.rate = evidence.first_guess(ticket, per_s) * mean[self.unit]
            evidence.first_refused(ticket)
            self._allowance.biggest = ticket.cost[self.unit]
        else:
            if self._spacing is not None:
                self._spacing.refused(now)
                self.rate = self._spacing.rate
                self._restart(ticket, admitted, mean, math.inf, now)
                return self._said(was)
            pace = self.pace(ticket.sent)
            if not self._door.window_s:
                window_s = self._estimate(ticket, mean[self.unit], refusal)
                self._share(ticket, was, pace, mean[self.unit], now)
        self._close(refusal, was, retry_after_s, now)
        self.rate = min(self.rate, self.ceiling)
        evidence.marks.add(refusal)
        self._restart(ticket, admitted, mean, window_s, now)
        return self._said(was)

    def _leave_spacing(self, rate: float, now: float) -> None:
        """Another limit was told, or found: go on from a rate as with any other bucket."""
        self._spacing = None
        self.rate = min(self.ceiling, rate)
        self._evidence.forget_start()
        self._hold.restart(self.rate, self.rate, 0.0, now, alike=True, period_s=0.0)

    # -- windows

    def _close(self, refusal: Mark, was: float, retry_after_s: float | None, now: float) -> None:
        """The limit is used up; for how long, the server may say."""
        is_sure = self._evidence.is_proven or self.ceiling < math.inf
        before = self.rate if math.isinf(was) else was
        self._door.closed(refusal, self.unit, before, is_sure=is_sure)
        if retry_after_s is not None and retry_after_s > 1.0:
            self._stays_shut(now + retry_after_s)
        else:
            self._fit_window()

    def _stays_shut(self, until: float) -> None:
        """Nothing is let in until then."""
        if self._door.shut_until(until, self.unit):
            self.rate = min(self.ceiling, self._door.rate)  # no rate was too much
            self._evidence.marks.clear()
        self._fit_window()

    def _fit_window(self) -> None:
        rate = self._door.measure(self.unit)
        if rate > 0.0:
            self.rate = min(self.ceiling, rate)
            self._evidence.marks.clear()

    def _is_still_shut(self, ticket: Ticket) -> bool:
        """Whether nothing has been let in since the last refusal that was looked at."""
        if not self.is_on or self._spacing is not None or self._rivals.are_there:
            return False
        return self._door.is_still_shut(ticket, self.unit)

    def _look_later(self, retry_after_s: float | None, now: float) -> None:
        """It lets nothing in: try again in a while."""
        said_s = retry_after_s or 0.0
        self._stays_shut(now + said_s)
        wait_s = max(said_s, self._door.try_later(now))
        self._shut_until = now + wait_s
        self._allowance.shut(now + wait_s)
        self._hold.resume(now + wait_s)
        self._evidence.probe_ended()

    def _said(self, was: float) -> str:
        kind = "cut" if self.rate < was * 0.999 else "found"
        window_s = self._door.window_s
        shut = f" in windows of {window_s:.3g} s" if window_s else ""
        return f"{kind}: 429 without headers, estimate {self.rate:.3g} {UNITS[self.unit]}/s{shut}"

    # -- estimating

    def _share(self, ticket: Ticket, was: float, pace: float, mean: float, now: float) -> None:
        """See whether others draw on the quota, and if so leave the estimates and share."""
        rivals = self._rivals
        if rivals.are_there:
            rate = rivals.agreed(self._evidence.agreeing, pace)
            self.rate = self.rate if rate is None else rate
            return
        rivals.refused(
            self.rate,
            was,
            now,
            per_s=self.rate / mean,
            is_probe=ticket.is_probe,
            of_sizes=self.unit == INPUT,
            is_sure=self._evidence.is_proven,
        )

    def _estimate(self, ticket: Ticket, mean: float, refusal: Mark) -> float:
        """Set the rate from this and earlier refusals; returns the seconds it rests upon."""
        was, rivals = self.rate, self._rivals
        belief = Belief(
            unit=self.unit,
            mean=mean,
            rate=was,
            ceiling=self.ceiling,
            pace=lambda rate: self._pace_of(rate, ticket.sent),
            is_shared=self._is_shared,
            has_rivals=rivals.are_there,
        )
        found = self._evidence.refused(ticket, refusal, belief)
        self.rate = found.rate
        if found.let_in is None:
            return found.window_s
        rivals.proven(found.let_in)
        if found.is_tiny:
            spacing = Spacing(found.rate, ceiling=self.ceiling, returns=self._outgrown)
            spacing.refused(ticket.sent)
            self._spacing, self.rate = spacing, spacing.rate
        if self._evidence.fit is None:
            self.rate = max(self.rate, mean / _SLOWEST_S)
        return found.window_s

    def _restart(
        self,
        ticket: Ticket,
        admitted: Sequence[float],
        mean: Sequence[float],
        window_s: float,
        now: float,
    ) -> None:
        unit, evidence = self.unit, self._evidence
        per_s = self.rate / max(1e-9, mean[unit])
        period_s = self._door.window_s
        alike = unit == REQUESTS
        self._hold.restart(self.rate, per_s, window_s, now, alike=alike, period_s=period_s)
        evidence.probe_ended()
        passed = admitted[unit] - ticket.total[unit]
        spare = _SPARE_SHARE * evidence.burst(self.rate, unit) / mean[unit]
        spare = min(_SPARE, max(_LEAST_SPARE, spare))
        if unit == INPUT and evidence.depth.seconds < SHALLOW_S:
            spare = max(spare, _SPARE_OF_SIZES)
        left = self.rate * (now - ticket.sent) - passed - spare * mean[unit]
        left = min(left, 0.0) if evidence.fit is None else left + evidence.fit.least
        is_sure = evidence.is_proven or unit != REQUESTS or self._spacing is not None
        self._allowance.restart(left, now, is_sure=is_sure)

    def lean(self, share: float) -> None:
        """Others on this quota are known, and our share of it is that many units a second.

        All who share move towards it at once, so that what they send together stays the same.
        """
        self._rivals.are_known = True
        own = self.rate
        if abs(share - own) <= _EVEN * share:
            return
        self._spacing = None
        self.rate = min(self.ceiling, own + _LEAN * (share - own))
        self._evidence.marks.shift(self.unit, self.rate - own, self._allowance.at)

    def alone(self) -> None:
        """Nobody else on this quota is known any more."""
        self._rivals.are_known = False

    def resume(self, now: float) -> None:
        """Sending goes on after a standstill the quota had no part in; hold the rate again."""
        self._hold.resume(now)
        self._evidence.probe_ended()
        self._evidence.marks.clear()  # the bucket has filled meanwhile

    def pause(self, until: float, now: float) -> None:
        """Nothing is sent until then; what is refilled meanwhile is not lost."""
        self._allowance.pause(until)
        self._hold.resume(until + (until - now) / (_PEAK - 1.0))

    def _choose_unit(self, mean: Sequence[float], *, is_answered: bool) -> None:
        units = self._evidence.units
        best = units.likeliest(self.unit, mean, is_first=not self.is_on, is_answered=is_answered)
        if best == self.unit:
            return
        self.rate *= mean[best] / max(1e-9, mean[self.unit])
        self._allowance.biggest = mean[best]
        self._spacing = None
        self._count(best)

    def _count(self, unit: int) -> None:
        """Count something else from now on; amounts of what was counted mean nothing any more."""
        self.unit = unit
        self._evidence.count_anew()
