"""Several exporters: what a shard answers where only the control can, and what the control asks of its shards."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Collection, Sequence

import aiohttp
import msgspec
from aiohttp import web

from exporter.baselines import Counted, Sums, models_of
from exporter.errors import RequestError
from exporter.plan.model import CONTROL, SHARD, ExporterTarget, Migration, Plan, Targets
from exporter.plan.values import did_you_mean
from exporter.web.problems import problem
from exporter.web.services import services

ANSWER_SECONDS = 10.0  # for all shards together: they are asked at the same time
_MOST_BYTES = 4 * 1024 * 1024  # of one answer: some ten thousand models
_REFUSALS = {
    401: "it wants a token: set targets.exporter_token_file to a file with one of role viewer",
    403: "the token in targets.exporter_token_file does not suffice: it must be of role viewer",
    404: "it does not know the migration: give it the same migration.yaml",
}


class Answer(msgspec.Struct):
    """What of a shard's `GET /baselines` is used."""

    mode: str
    totals: dict[str, Sums]


class _Failed(Exception):
    """A shard gave no usable answer; the text says why."""


async def elsewhere(request: web.Request) -> web.Response:
    """409: a shard only counts, the control has the state."""
    control = services(request).plan.targets.control
    where = f"{control.instance} at {control.url}" if control else "the exporter that runs with --mode=control"
    detail = (
        f"this exporter is a shard, which only counts; ask the control for {request.method} {request.path}: {where}"
    )
    return problem(409, detail, reason=SHARD, control=control.url if control else None)


async def counted(plan: Plan, migration: Migration, given: Counted, without: Collection[str]) -> Counted:
    """What all other exporters counted: those of the request as it gives them, the shards of the plan by asking them.

    Args:
        plan: Which shards there are, and how they are asked.
        migration: The migration.
        given: What the request says of some exporters; these are not asked.
        without: Shards that the request wants left out: what they counted stays for the next baseline.

    Raises:
        RequestError: 422 for a name that cannot be meant, 503 when a shard does not answer as it should.
    """
    refuse_wrong_names(plan, given, without)
    shards = plan.targets.shards
    asked = [shard for shard in shards if shard.instance not in given and shard.instance not in without]
    return {**given, **await _ask(plan.targets, asked, migration)} if asked else given


def refuse_wrong_names(plan: Plan, given: Collection[str], without: Collection[str]) -> None:
    """Names of exporters in a request that cannot be meant.

    Raises:
        RequestError: 422 with the first of them.
    """
    targets = plan.targets
    known = [shard.instance for shard in targets.shards]
    for name in without:
        if name not in known:
            hint = did_you_mean(name, known) or "the plan names no shards"
            raise RequestError(422, f"without: {name} is no shard of the plan; {hint}")
        if name in given:
            raise RequestError(422, f"{name} is both in `exporters` and in `without`; leave it out of one of them")
    if targets.control is not None and targets.control.instance in given:
        raise RequestError(422, f"exporters: {targets.control.instance} is this exporter itself, and would count twice")


async def _ask(targets: Targets, asked: Sequence[ExporterTarget], migration: Migration) -> dict[str, dict[str, Sums]]:
    headers, context = await asyncio.to_thread(_access, targets)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context or True),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
    ) as session:
        answers = await asyncio.gather(*(_totals(session, shard, migration) for shard in asked), return_exceptions=True)
    found: dict[str, dict[str, Sums]] = {}
    failed: dict[str, str] = {}
    for shard, answer in zip(asked, answers, strict=True):
        if isinstance(answer, _Failed):
            failed[shard.instance] = f"{shard.instance} ({shard.url}): {answer}"
        elif isinstance(answer, BaseException):
            raise answer
        else:
            found[shard.instance] = answer
    if failed:
        names = msgspec.json.encode(list(failed)).decode()
        raise RequestError(
            503,
            f"nothing was changed, because not every shard says what it counted. {'; '.join(failed.values())}. "
            f'Try again, or go on without: "without": {names}; their calls then stay for the next baseline',
            reason="shard_missing",
            headers={"Retry-After": "10"},
        )
    return found


async def _totals(session: aiohttp.ClientSession, shard: ExporterTarget, migration: Migration) -> dict[str, Sums]:
    """What one shard counted, by model."""
    url = f"{shard.url}/api/v1/{migration.name}/baselines"
    try:
        async with session.get(url, allow_redirects=False) as response:
            if response.status != 200:
                raise _Failed(_REFUSALS.get(response.status, f"it answers with status {response.status}"))
            body = await response.content.read(_MOST_BYTES + 1)
            while not response.content.at_eof() and len(body) <= _MOST_BYTES:
                body += await response.content.read(_MOST_BYTES + 1 - len(body))
    except TimeoutError:
        raise _Failed(f"no answer within {ANSWER_SECONDS:g} s") from None
    except aiohttp.ClientSSLError as error:
        raise _Failed(f"no encrypted connection, see targets.exporter_ca_file: {error}") from None
    except aiohttp.ClientConnectorError as error:
        raise _Failed(f"it cannot be reached: {error.strerror or error.os_error}") from None
    except (aiohttp.ClientError, OSError) as error:
        raise _Failed(f"it cannot be asked: {error}") from None
    if len(body) > _MOST_BYTES:
        raise _Failed(f"its answer is larger than {_MOST_BYTES} bytes")
    return _usable(body, migration)


def _usable(body: bytes, migration: Migration) -> dict[str, Sums]:
    try:
        answer = msgspec.json.decode(body, type=Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _Failed(f"its answer is not that of a shard of this release: {error}") from None
    if answer.mode == CONTROL:
        raise _Failed("it runs as a control too: start it with --mode=shard")
    if set(answer.totals) != set(models_of(migration)):
        raise _Failed("it has other models in this migration: give it the same migration.yaml")
    if not all(sums.consistent for sums in answer.totals.values()):
        raise _Failed("its sums contradict each other")
    return answer.totals


def _access(targets: Targets) -> tuple[dict[str, str], ssl.SSLContext | None]:
    """The header and the authorities with which shards are asked.

    Raises:
        RequestError: 503 when a file that the plan names cannot be used.
    """
    headers: dict[str, str] = {}
    context: ssl.SSLContext | None = None
    token, authorities = targets.exporter_token_file, targets.exporter_ca_file
    if token is not None:
        try:
            secret = token.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise _unusable("exporter_token_file", error) from None
        if not secret or not secret.isprintable() or " " in secret:
            raise _unusable("exporter_token_file", f"{token} does not hold one token and nothing else")
        headers["Authorization"] = f"Bearer {secret}"
    if authorities is not None:
        try:
            context = ssl.create_default_context(cafile=authorities)
        except OSError as error:  # ssl.SSLError is one
            raise _unusable("exporter_ca_file", error) from None
    return headers, context


def _unusable(key: str, why: object) -> RequestError:
    return RequestError(503, f"nothing was changed: targets.{key} cannot be used: {why}", reason="shard_missing")
