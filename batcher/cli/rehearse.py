"""`batcher rehearse`: the whole job against a simulated provider, for nothing."""

from batcher.cli.ending import end
from batcher.cli.flags import Given, with_settings
from batcher.cli.run import Accept, Fresh, Quiet, Reuse, Target, chosen_way
from batcher.cli.target import job_from_flags, refuse_a_terminal

EXAMPLES = (
    ("batcher rehearse jobs/nightly.toml", "as it is"),
    (
        "batcher rehearse jobs/nightly.toml --set simulator.requests_per_minute=600",
        "with a quota of 600 requests a minute",
    ),
    (
        "batcher rehearse jobs/nightly.toml --set simulator.faults.529=0.05",
        "with one request in twenty refused as overloaded",
    ),
)


@with_settings(
    "input.id_field",
    "input.limit",
    "input.sample",
    "input.seed",
    "input.shard",
    "request.template",
    "request.model",
    "request.max_tokens",
    "limits.concurrency",
    "limits.requests_per_minute",
    "limits.input_tokens_per_minute",
    "limits.output_tokens_per_minute",
    "log.level",
)
def rehearse(
    target: Target,
    *,
    settings: Given,
    fresh: Fresh = False,
    reuse: Reuse = False,
    accept_changes: Accept = False,
    quiet: Quiet = False,
) -> None:
    """Run the whole job against a simulated provider: nothing is spent, nothing leaves.

    Rows are read, rendered, sent over a real connection to a server inside this process,
    paced, retried and recorded like in earnest; only the answers are made up. The section
    [bold]simulator[/bold] of the job says how that server behaves. Records go to
    [bold]runs/rehearsal/NAME[/bold].
    """
    job = job_from_flags(target, settings)
    refuse_a_terminal(job)
    way = chosen_way(reuse=reuse, accept_changes=accept_changes, fresh=fresh)
    from batcher.launch import execute
    from batcher.trial import rehearsal

    summary = execute(rehearsal(job), fresh=fresh, way=way, show=not quiet)
    end(summary, quiet=quiet)
