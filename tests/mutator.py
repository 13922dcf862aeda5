"""Inputs that nobody would write: a seeded generator of damaged bytes, steered by what they make a program say."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_NUMBERS = (
    *(b"0", b"-1", b"-0.0", b"1e999", b"1e-999", b"0.1e1", b"NaN", b"Infinity", b"007", b"1_000", b"0x10", b"12:30"),
    *(b"2147483648", b"9007199254740992", b"9223372036854775808", b"1" + b"0" * 400),
)
_BYTES = (
    b"\0",
    b"\xff",
    b"\xfe",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\r",
    b"\n",
    b"\t",
    b"\x7f",
    b'"',
    b"\\",
)


class Mutator:
    """Damages inputs of a corpus. The same seed and the same lessons give the same inputs.

    What makes the program say something that it never said before stays in the corpus and is damaged further: a poor
    man's coverage, which needs no instrumented program.
    """

    def __init__(
        self, seed: int, corpus: Sequence[bytes], tokens: Sequence[bytes], *, most_bytes: int = 100_000
    ) -> None:
        """`corpus` are good inputs, `tokens` pieces of them that mean something."""
        self._most_bytes = most_bytes
        self._chance = random.Random(seed)
        self._corpus = list(corpus)
        self._tokens = list(tokens)
        self.outcomes: Counter[Hashable] = Counter()
        self._damages: tuple[Callable[[bytes], bytes], ...] = (
            *(self._flip, self._replace_byte, self._delete, self._double, self._insert, self._overwrite),
            *(self._splice, self._cut, self._nest, self._move),
            *(self._number, self._line, self._lines) * 2,  # what leaves most of a structured text as it was
        )

    def next(self) -> bytes:
        """One more input."""
        data = self._chance.choice(self._corpus)
        for _ in range(self._chance.choice((1, 1, 1, 2, 2, 3, 5, 8))):
            data = self._chance.choice(self._damages)(data)[: self._most_bytes]
        return data

    def learn(self, data: bytes, outcome: Hashable) -> bool:
        """Count what an input led to; whether that is new."""
        new = outcome not in self.outcomes
        self.outcomes[outcome] += 1
        if new and len(self._corpus) < 2000:
            self._corpus.append(data)
        return new

    def _place(self, data: bytes) -> int:
        return self._chance.randint(0, len(data))

    def _piece(self, data: bytes) -> tuple[int, int]:
        start = self._place(data)
        return start, start + self._chance.choice((1, 2, 4, 8, 16, 64, 256))

    def _token(self) -> bytes:
        return self._chance.choice(self._tokens) if self._chance.random() < 0.8 else self._chance.choice(_BYTES)

    def _flip(self, data: bytes) -> bytes:
        at = self._place(data)
        return data[:at] + bytes(byte ^ 1 << self._chance.randrange(8) for byte in data[at : at + 1]) + data[at + 1 :]

    def _replace_byte(self, data: bytes) -> bytes:
        at = self._place(data)
        return data[:at] + self._chance.choice(_BYTES) + data[at + 1 :]

    def _delete(self, data: bytes) -> bytes:
        start, end = self._piece(data)
        return data[:start] + data[end:]

    def _double(self, data: bytes) -> bytes:
        start, end = self._piece(data)
        return data[:start] + data[start:end] * self._chance.choice((2, 3, 10, 1000)) + data[end:]

    def _insert(self, data: bytes) -> bytes:
        at = self._place(data)
        return data[:at] + self._token() + data[at:]

    def _overwrite(self, data: bytes) -> bytes:
        start, end = self._piece(data)
        return data[:start] + self._token() + data[end:]

    def _splice(self, data: bytes) -> bytes:
        other = self._chance.choice(self._corpus)
        return data[: self._place(data)] + other[self._place(other) :]

    def _cut(self, data: bytes) -> bytes:
        return data[: self._place(data)]

    def _number(self, data: bytes) -> bytes:
        found = list(_NUMBER.finditer(data))
        if not found:
            return data
        match = self._chance.choice(found)
        return data[: match.start()] + self._chance.choice(_NUMBERS) + data[match.end() :]

    def _lines(self, data: bytes) -> bytes:
        lines = data.split(b"\n")
        one, other = self._chance.randrange(len(lines)), self._chance.randrange(len(lines))
        lines[one], lines[other] = lines[other], lines[one]
        return b"\n".join(lines)

    def _line(self, data: bytes) -> bytes:
        lines = data.split(b"\n")
        del lines[self._chance.randrange(len(lines))]
        return b"\n".join(lines)

    def _nest(self, data: bytes) -> bytes:
        opening, closing = self._chance.choice(
            ((b"[", b"]"), (b'{"a":', b"}"), (b"{a: ", b"}"), (b"- ", b""), (b" ", b""))
        )
        depth = self._chance.choice((3, 50, 500, 5000))
        start, end = self._piece(data)
        return data[:start] + opening * depth + data[start:end] + closing * depth + data[end:]

    def _move(self, data: bytes) -> bytes:
        start, end = self._piece(data)
        rest = data[:start] + data[end:]
        at = self._place(rest)
        return rest[:at] + data[start:end] + rest[at:]
