"""What run.json keeps of a job, and the same job made of it again.

Kept are all settings without secrets, with paths that hold wherever the next command is
started, and a copy of the template beside run.json.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batcher.build import Target, has_own_server
from batcher.errors import ConfigError
from batcher.job import Job
from batcher.load import from_flags, read_template
from batcher.providers.wire import refuse_query
from batcher.secret import MASK
from batcher.storage.choice import Choice
from batcher.storage.durable import write_atomic
from batcher.storage.manifest import Manifest
from batcher.storage.remote import is_remote
from batcher.storage.spool import SPOOL

TEMPLATE = "template.jinja"
"""Name of the template's copy in the output directory."""
STANDARD_INPUT = "-"


def choice_of(job: Job) -> Choice:
    """Which rows of its input a job takes."""
    given = job.input
    part, _, parts = (given.shard or "").partition("/")
    return Choice(
        limit=given.limit,
        shard=(int(part), int(parts)) if parts else None,
        sample=given.sample,
        seed=given.seed,
    )


def is_streamed(job: Job) -> bool:
    """Whether the input comes once only, so that the directory keeps a copy of it."""
    return job.input.path == STANDARD_INPUT or is_remote(job.input.path)


def deciding_settings(job: Job, target: Target) -> dict[str, object]:
    """The settings that decide an answer: a directory holds answers to one set of them."""
    request = target.request.model_dump(
        mode="json", exclude={"auth", "template", "preset", "headers", "stream", "base_url"}
    )
    template = read_template(job)
    return {
        "request": request
        | {
            "base_url": None if has_own_server(job) else target.base_url,
            "template_sha256": hashlib.sha256(template.encode()).hexdigest() if template else None,
        },
        "input": {
            "id_field": job.input.id_field,
            "path": job.input.path if is_remote(job.input.path) else None,
        },
    }


def settings_without_secrets(job: Job) -> dict[str, Any]:
    """Every setting of a job, with header values masked and paths made absolute.

    Raises:
        ConfigError: A base URL has a query, in which there may be a key.
    """
    for url in (job.request.base_url, *(key.base_url for key in job.keys)):
        refuse_query(url or "")
    settings = job.model_dump(mode="json")
    request = settings["request"]
    request["headers"] = dict.fromkeys(job.request.headers, MASK)
    if not is_streamed(job):
        settings["input"]["path"] = str(Path(job.input.path).absolute())
    if job.request.template is not None:
        request["template"] = str(Path(job.request.template).absolute())
    for key in settings["keys"]:
        kind, _, rest = key["source"].partition(":")
        if kind == "file":
            key["source"] = f"file:{Path(rest).expanduser().absolute()}"
    return settings | {"rehearsal": job.rehearsal}


def keep_template(directory: Path, job: Job) -> None:
    """Copy the job's template beside run.json, where a later retry finds it as it was.

    Raises:
        StorageError: It cannot be written.
    """
    text, copy = read_template(job), directory / TEMPLATE
    if text is None or Path(job.request.template or "") == copy:
        return
    if not copy.exists() or copy.read_text(encoding="utf-8") != text:
        write_atomic(copy, text.encode())


def job_again(
    directory: Path,
    manifest: Manifest,
    *,
    overrides: Mapping[str, object] | None = None,
    flags: Mapping[str, str] | None = None,
) -> Job:
    """The job a directory was filled by, as run.json keeps it, with overrides put in.

    Raises:
        ConfigError: run.json does not say, an override is wrong, or the job had headers, whose
            values are not kept; the message names the fix.
    """
    sections = {name: value for name, value in manifest.settings.items() if name != "rehearsal"}
    asked = manifest.request.get("request")
    if not sections or not isinstance(asked, dict):
        raise ConfigError(
            f"{directory}/run.json does not hold the settings of its run; start the run's own "
            "command again"
        )
    resolved = {name: value for name, value in asked.items() if name != "template_sha256"}
    if resolved.get("base_url") is None:
        resolved.pop("base_url", None)
    # What a preset filled in is among the resolved settings, and would be lost to it again.
    request = {**sections["request"], **resolved, "preset": None}
    if request.get("template") is not None:
        request["template"] = str(directory / TEMPLATE)
    source = dict(sections["input"])
    if (directory / SPOOL).exists():
        source["path"] = str(directory / SPOOL)
    tree = {**sections, "request": request, "input": source}
    job = from_flags({**tree, **(overrides or {})}, flags=flags)
    _refuse_masked_headers(job)
    output = job.output.model_copy(update={"path": str(directory)})
    rehearsal = bool(manifest.settings.get("rehearsal"))
    return job.model_copy(update={"output": output, "rehearsal": rehearsal})


def _refuse_masked_headers(job: Job) -> None:
    masked = [name for name, value in job.request.headers.items() if value == MASK]
    if masked:
        again = " ".join(f"--set request.headers.{name}=VALUE" for name in masked)
        raise ConfigError(
            f"the run sent the header{'s' if len(masked) > 1 else ''} {', '.join(masked)}, whose "
            f"values are not kept: give them again, {again}"
        )
