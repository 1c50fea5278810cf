"""What a run is made of."""

from collections.abc import Awaitable, Callable

from batcher.events import Event
from batcher.job import Patience
from batcher.pipeline.admission import Admission
from batcher.pipeline.backlog import Backlog
from batcher.pipeline.intake import Intake
from batcher.pipeline.keys import Keys
from batcher.pipeline.neighbours import Neighbours
from batcher.policy.outage import Outage
from batcher.ports import Journal, Provider, Settled, Sink, Source, Transport
from batcher.records import record
from batcher.secret import Redactor


@record
class Parts:
    """What a run is made of; build.py chooses them.

    Attributes:
        brake: Awaited before each row is taken in.
        neighbours: Shares quotas with other runs on this machine.
    """

    source: Source
    settled: Settled
    intake: Intake
    backlog: Backlog
    admission: Admission
    keys: Keys
    transport: Transport
    provider: Provider
    redactor: Redactor
    sink: Sink
    journal: Journal
    outage: Outage
    patience: Patience
    workers: int
    sync_every_s: float | None
    emit: Callable[[Event], None]
    brake: Callable[[], Awaitable[None]] | None = None
    neighbours: Neighbours | None = None
