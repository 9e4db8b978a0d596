"""How X counts the length of a post. Source: https://docs.x.com/fundamentals/counting-characters."""

from __future__ import annotations

import unicodedata
from typing import Final

import regex

MAX_LENGTH: Final = 280
MAX_LONG_LENGTH: Final = 25_000
URL_LENGTH: Final = 23
EMOJI_LENGTH: Final = 2

_LIGHT: Final = ((0x0000, 0x10FF), (0x2000, 0x200D), (0x2010, 0x201F), (0x2032, 0x2037))
"""Characters that count one; all others count two."""

# Without a scheme X links what ends in a domain it knows, which is a list of more than a thousand names. These are the
# ones that people write; another one counts as its letters, and X then has the last word.
_DOMAINS: Final = (
    "(?:com?|org|net|ac|gov|edu)\\.[a-z]{2}|com|net|org|edu|gov|info|biz|dev|app|xyz|news|blog|shop|store|site|online|tech|club|page|link|live|pro|agency|"
    "cloud|design|digital|email|events|games|media|mobi|music|network|photo|solutions|studio|team|today|tools|tv|co|"
    "world"
)
_HOST: Final = r"(?:[\p{L}\p{N}](?:[\p{L}\p{N}_-]{0,61}[\p{L}\p{N}])?\.){1,10}"
_PATH: Final = r"(?:[/?#](?:[a-z0-9\-._~:/?#\[\]@!$&'()*+,;=%|]*[a-z0-9=_#/+\-&])?)?"
_URL: Final = regex.compile(
    rf"https?://{_HOST}[\p{{L}}]{{2,}}(?::[0-9]+)?{_PATH}"
    rf"|(?<![\p{{L}}\p{{N}}@$#_.\-/]){_HOST}(?:{_DOMAINS})(?![\p{{L}}\p{{N}}@_-])(?::[0-9]+)?{_PATH}",
    regex.IGNORECASE,
)
_EMOJI: Final = regex.compile(
    r"\p{Emoji_Presentation}|\p{Extended_Pictographic}\uFE0F|[0-9#*]\uFE0F?\u20E3|\p{RI}\p{RI}|\p{EMod}"
)
_CASHTAG: Final = regex.compile(r"(?<![\p{L}\p{N}_$@#])\$[A-Za-z]{1,6}(?:[._][A-Za-z]{1,2})?(?![\p{L}\p{N}_])")


def weighted_length(text: str) -> int:
    """The length of a text as X counts it: in NFC, any URL as 23, any emoji as 2, most other scripts' letters as 2."""
    text = unicodedata.normalize("NFC", text)
    length = at = 0
    for url in _URL.finditer(text):
        length += _plain_length(text[at : url.start()]) + URL_LENGTH
        at = url.end()
    return length + _plain_length(text[at:])


def cashtags(text: str) -> int:
    """How many cashtags, like $AAPL, a text has."""
    return len(_CASHTAG.findall(text))


def _plain_length(text: str) -> int:
    if all(char <= "\u10ff" for char in text):
        return len(text)  # all light, and every emoji has a character beyond
    return sum(_cluster_length(cluster) for cluster in regex.findall(r"\X", text))


def _cluster_length(cluster: str) -> int:
    if not cluster.isascii() and _EMOJI.search(cluster):
        return EMOJI_LENGTH
    return sum(1 if any(first <= ord(char) <= last for first, last in _LIGHT) else 2 for char in cluster)
