"""Basic authentication: passwords against bcrypt hashes, without telling by the time taken which users exist."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping

import bcrypt

from exporter.errors import RequestError

LONGEST = 72  # bytes that bcrypt looks at
REMEMBERED = 256  # answers kept, so that a scrape does not cost a hash each time
MOST_WAITING = 32  # checks at once; each takes some 70 ms, and more than this would be an attack


class Passwords:
    """Users with their hashes. One password is checked at a time, on another thread; answers are remembered."""

    def __init__(self, users: Mapping[str, bytes]) -> None:
        self._users = {name.encode(): hashed for name, hashed in users.items()}
        # Nobody knows the password of this one. It costs what the dearest real one does.
        cost = max((int(hashed.split(b"$")[2]) for hashed in users.values()), default=10)
        self._nobody = b"$2b$%02d$" % cost + bcrypt.hashpw(secrets.token_bytes(16), bcrypt.gensalt(4))[7:]
        self._secret = secrets.token_bytes(32)
        self._answers: OrderedDict[bytes, bool] = OrderedDict()
        self._checking = asyncio.Lock()
        self._waiting = 0

    async def user(self, credentials: str) -> str | None:
        """The user whose name and password these are, base64 of `name:password`; None when they are wrong.

        Raises:
            RequestError: 429 while too many passwords wait for their check.
        """
        try:
            decoded = base64.b64decode(credentials.strip(), validate=True)
        except (binascii.Error, ValueError):
            return None
        name, separator, password = decoded.partition(b":")
        if not separator:
            return None
        right = await self._right(name, password)
        return name.decode(errors="replace") if right else None

    async def _right(self, name: bytes, password: bytes) -> bool:
        hashed = self._users.get(name)
        # A keyed digest: the memory of the process holds no password that came in.
        key = hmac.digest(self._secret, b"%d:%b:%b" % (len(name), name, password), "sha256")
        known = self._answers.get(key)
        if known is not None:
            self._answers.move_to_end(key)
            return known
        if self._waiting >= MOST_WAITING:
            message = "too many passwords wait for their check"
            raise RequestError(429, message, reason="passwords_wait", headers={"Retry-After": "5"})
        self._waiting += 1
        try:
            async with self._checking:
                if key in self._answers:  # checked while this one waited
                    return self._answers[key]
                matches = await asyncio.to_thread(_matches, password, hashed or self._nobody)
        finally:
            self._waiting -= 1
        self._answers[key] = matches and hashed is not None
        if len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)
        return self._answers[key]


def _matches(password: bytes, hashed: bytes) -> bool:
    """Whether a hash is this password's. Longer ones never are: some bcrypts would look at their beginning only."""
    try:
        return bcrypt.checkpw(password[:LONGEST], hashed) and len(password) <= LONGEST
    except ValueError:
        return False
