"""Commands on a ledger with damaged pages: done, or a few words on what is wrong, and nothing made up."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.plan.load import load
from tests.commands import run
from tests.configs import SHIPPED
from tests.integration.conftest import Running, event
from tests.proofs import deadline, rounds, seed

PAGE = 4096
COMMITS, PER_COMMIT = 60, 40


async def fill(folder: Path) -> None:
    running = Running(folder, load(SHIPPED))
    await running.start()
    for number in range(COMMITS):
        await running.push(
            *(
                event(id=f"{number}-{n}", input_tokens=number * 1000 + n, application=f"app-{number}")
                for n in range(PER_COMMIT)
            )
        )
    await running.stop()


async def served(folder: Path) -> float:
    """What an exporter over the ledger of a folder counts after one more call."""
    running = Running(folder, load(SHIPPED))
    await running.start()
    try:
        await running.push(event(id="one more"))
        return await running.total("llm_requests_total")
    finally:
        await running.stop()


def calls(text: str) -> set[tuple[str, int]]:
    """Exported calls, by what tells one from the other."""
    lines = text.splitlines()
    return {(call["application"], call["input_tokens"]) for call in map(json.loads, lines)}


def overwrite_pages(content: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(content) // PAGE) * PAGE
    content[at : at + PAGE] = chance.choice((chance.randbytes(PAGE), bytes(PAGE)))


def overwrite_bytes(content: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(content) - 8)
    content[at : at + 8] = chance.randbytes(8)


@pytest.mark.parametrize("damage", [overwrite_pages, overwrite_bytes])
@pytest.mark.proof
def test_commands_on_a_damaged_ledger_say_what_is_wrong_and_make_nothing_up(
    tmp_path: Path, damage: Callable[[bytearray, random.Random], None]
) -> None:
    asyncio.run(fill(tmp_path / "good"))
    truth = calls(run("export", "--storage.path", str(tmp_path / "good"))[1])
    assert len(truth) == COMMITS * PER_COMMIT
    chance = random.Random(seed())
    outcomes: Counter[tuple[str, int]] = Counter()
    salvaged = 0
    for number in rounds(15, 30):
        folder = tmp_path / f"damaged-{number}"
        shutil.copytree(tmp_path / "good", folder)
        ledger = folder / "ledger.sqlite"
        content = bytearray(ledger.read_bytes())
        for _ in range(chance.choice((1, 2, 10))):
            damage(content, chance)
        ledger.write_bytes(content)
        for command in (
            ("export", "--storage.path", str(folder)),
            ("export", "--storage.path", str(folder), "--kind", "daily", "--format", "csv"),
            ("backup", str(folder / "copy"), "--storage.path", str(folder)),
            ("repair", str(ledger), str(folder / "new" / "ledger.sqlite")),
        ):
            (folder / "new").mkdir(exist_ok=True)
            with deadline(20, str(command)):
                code, out, err = run(*command)
            outcomes[command[0], code] += 1
            assert code in (0, 2), err
            assert err == "" if code == 0 else err.startswith("error: ") and err.count("\n") <= 3, err
            if damage is overwrite_bytes:  # a few bytes may change a number, which nothing can see
                continue
            if command[0] == "export" and "--kind" not in command:
                assert calls(out) <= truth
            if command[0] == "repair" and code == 0:
                kept = calls(run("export", "--storage.path", str(folder / "new"))[1])
                assert kept <= truth
                salvaged += len(kept)
                assert asyncio.run(served(folder / "new")) >= 1
        shutil.rmtree(folder)
    print(f"{number + 1} damaged ledgers: {dict(outcomes)}, {salvaged:,} calls salvaged")
    assert outcomes["repair", 0]
    assert outcomes["export", 2]
