from __future__ import annotations

import asyncio
import base64

import bcrypt
import pytest

from exporter.errors import RequestError
from exporter.web import passwords
from exporter.web.passwords import MOST_WAITING, REMEMBERED, Passwords

SECRET = "correct horse: battery"


def encoded(name: str | bytes, password: str | bytes) -> str:
    parts = [part.encode() if isinstance(part, str) else part for part in (name, password)]
    return base64.b64encode(b":".join(parts)).decode()


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The hashes that were computed for checks."""
    seen: list[bytes] = []
    real = bcrypt.checkpw

    def counted(password: bytes, hashed: bytes) -> bool:
        seen.append(hashed)
        return real(password, hashed)

    monkeypatch.setattr(passwords.bcrypt, "checkpw", counted)
    return seen


@pytest.fixture
def users() -> dict[str, bytes]:
    return {"alice": bcrypt.hashpw(SECRET.encode(), bcrypt.gensalt(5)), "Zoë": bcrypt.hashpw(b"x", bcrypt.gensalt(4))}


async def test_the_right_password_names_its_user(users: dict[str, bytes]) -> None:
    known = Passwords(users)

    assert await known.user(encoded("alice", SECRET)) == "alice"
    assert await known.user(encoded("Zoë", "x")) == "Zoë"


@pytest.mark.parametrize(
    "credentials",
    [
        encoded("alice", "wrong"),
        encoded("alice", ""),
        encoded("mallory", SECRET),
        encoded("", ""),
        encoded("alice", SECRET + "\0"),
        encoded("alice", "\0"),
        encoded("alice", SECRET + "x" * 80),
        encoded("alice", b"\xff" * 2000),
        encoded(b"\xff\xfe", b"x"),
        base64.b64encode(b"alice").decode(),
        "%%%",
        "",
        "ä",
    ],
)
async def test_everything_else_names_nobody(users: dict[str, bytes], credentials: str) -> None:
    assert await Passwords(users).user(credentials) is None


async def test_a_password_of_72_bytes_is_right_and_a_longer_one_with_the_same_beginning_is_wrong() -> None:
    password = b"p" * 72
    known = Passwords({"alice": bcrypt.hashpw(password, bcrypt.gensalt(4))})

    assert await known.user(encoded("alice", password)) == "alice"
    assert await known.user(encoded("alice", password + b"p")) is None


async def test_an_unknown_user_costs_the_same_hash_as_the_dearest_known_one(
    users: dict[str, bytes], checks: list[bytes]
) -> None:
    await Passwords(users).user(encoded("mallory", "guess"))

    (hashed,) = checks
    assert hashed.startswith(b"$2b$05$")
    assert hashed not in users.values()


async def test_an_answer_is_remembered_whichever_it_was(users: dict[str, bytes], checks: list[bytes]) -> None:
    known = Passwords(users)
    for _ in range(5):
        assert await known.user(encoded("alice", SECRET)) == "alice"
        assert await known.user(encoded("alice", "wrong")) is None

    assert len(checks) == 2


async def test_the_memory_is_bounded_and_keeps_what_is_used(users: dict[str, bytes], checks: list[bytes]) -> None:
    known = Passwords({"alice": users["Zoë"]})
    await known.user(encoded("alice", "x"))
    for number in range(REMEMBERED + 10):
        await known.user(encoded("alice", str(number)))
        await known.user(encoded("alice", "x"))

    assert len(known._answers) == REMEMBERED
    assert len(checks) == REMEMBERED + 11


async def test_the_same_password_at_the_same_time_is_hashed_once(users: dict[str, bytes], checks: list[bytes]) -> None:
    known = Passwords(users)

    answers = await asyncio.gather(*(known.user(encoded("alice", SECRET)) for _ in range(MOST_WAITING)))

    assert answers == ["alice"] * MOST_WAITING
    assert len(checks) == 1


async def test_one_password_is_hashed_at_a_time_and_a_flood_is_refused(
    users: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = most = 0
    real = bcrypt.checkpw

    def counted(password: bytes, hashed: bytes) -> bool:
        nonlocal running, most
        running += 1
        most = max(most, running)
        result = real(password, hashed)
        running -= 1
        return result

    monkeypatch.setattr(passwords.bcrypt, "checkpw", counted)
    known = Passwords(users)
    results = await asyncio.gather(
        *(known.user(encoded("alice", str(number))) for number in range(2 * MOST_WAITING)), return_exceptions=True
    )

    refused = [result for result in results if isinstance(result, RequestError)]
    assert most == 1
    assert len(refused) == MOST_WAITING
    assert {error.status for error in refused} == {429}
    assert await known.user(encoded("alice", SECRET)) == "alice"
