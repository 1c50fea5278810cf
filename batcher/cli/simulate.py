"""`batcher simulate`: a provider to practise on, with the limits and faults one asks for."""

from typing import Annotated

import typer

from batcher.cli.flags import SIMULATOR_FLAGS, Given, with_settings
from batcher.load import from_flags

EXAMPLES = (
    ("batcher simulate", "answers everything, at http://127.0.0.1:8089"),
    ("batcher simulate --rpm 600 --burst-s 1", "allows 600 requests a minute, ten at once"),
    ("batcher simulate --fault 529:0.05 --fault reset:0.01", "is overloaded and drops connections"),
    ("batcher simulate --slots 8 --latency-ms 2000", "works on eight requests, others queue"),
)


@with_settings(table=SIMULATOR_FLAGS)
def simulate(
    *,
    settings: Given,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="0: any free one.")
    ] = 8089,
) -> None:
    """Be a provider: answer like Anthropic's and OpenAI's servers, within limits, with faults.

    Serves the Messages API, chat completions and the legacy completions at one address until
    Ctrl-C. Any key is accepted and no model is asked: answers are made up.
    """
    simulator = from_flags(settings.overrides, flags=settings.flags).simulator
    from batcher.simulator.server import serve

    serve(simulator, host, port, _announce)


def _announce(url: str) -> None:
    typer.echo(
        f"A simulated provider listens at {url} until Ctrl-C. To try it:\n"
        f"  batcher run ROWS.jsonl --out runs/trial --model any --base-url {url} --auth none"
    )
