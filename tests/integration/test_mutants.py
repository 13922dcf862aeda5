"""Do the rules' tests notice when a rule is changed a little?"""

from __future__ import annotations

import os
import random

import pytest

from tests.mutation.__main__ import EQUIVALENT, FLOOR, STATE, shipped
from tests.mutation.running import Runner, killed_share, reasons, report
from tests.programs import program

SAMPLE = 15
SAMPLE_FLOOR = 0.4  # of so few; the real figure is that of all
FULL = os.environ.get("LLM_MIGRATION_PROOF") == "full"


def test_every_reason_is_about_a_mutant_that_there_is() -> None:
    names = {mutant.name for _, mutant in Runner("promtool", shipped()).all_mutants()}

    assert set(reasons(EQUIVALENT)) <= names


@pytest.mark.proof
def test_nine_of_ten_mutants_are_noticed_and_the_others_have_a_reason() -> None:
    runner = Runner(program("promtool"), shipped(), STATE if FULL else None)
    chosen = runner.all_mutants()
    if not FULL:
        chosen = sorted(random.Random(5).sample(chosen, SAMPLE), key=lambda pair: pair[0])
    outcomes = list(runner.run(chosen))
    known = reasons(EQUIVALENT)

    assert len(outcomes) == len(chosen)
    assert killed_share(outcomes) >= (FLOOR if FULL else SAMPLE_FLOOR), report(outcomes, known)
    if FULL:
        assert {outcome.mutant.name for outcome in outcomes if outcome.killed_by is None} <= set(known)
