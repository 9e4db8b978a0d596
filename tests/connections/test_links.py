"""Links to the page where an account is linked: only whole ones open, and only for a while."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from hermes.connections.links import LINK_SECONDS, ConnectLink, ConnectLinks, LinkUnusable
from hermes.crypto import Keyring

ORIGIN = "https://gateway.example"
KEYRING = Keyring(b"k" * 32)


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def links(clock: Clock) -> ConnectLinks:
    return ConnectLinks(KEYRING, ORIGIN, clock=clock)


def token_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["link"][0]


def test_a_link_leads_to_the_platforms_page_and_says_for_whom(links: ConnectLinks) -> None:
    url = links.url("cus_1", "telegram", "work")
    assert url.startswith(f"{ORIGIN}/connect/telegram?link=")
    assert "cus_1" not in url
    another_replica = ConnectLinks(Keyring(b"k" * 32), ORIGIN, clock=Clock())
    assert another_replica.open(token_of(url)) == ConnectLink("cus_1", "telegram", "work")


def test_a_link_ends(links: ConnectLinks, clock: Clock) -> None:
    token = token_of(links.url("cus_1", "telegram"))
    clock.now += LINK_SECONDS - 1
    assert links.open(token).label is None
    clock.now += 1
    with pytest.raises(LinkUnusable):
        links.open(token)


def test_what_is_no_link_of_ours_does_not_open(links: ConnectLinks) -> None:
    good = token_of(links.url("cus_1", "telegram"))
    elsewhere = ConnectLinks(Keyring(b"x" * 32), ORIGIN, clock=Clock())
    others = token_of(elsewhere.url("cus_1", "telegram"))
    credential = KEYRING.seal(b'["cus_1","telegram",null,9999999999]', "creds:cus_1:telegram")
    changed = good[:-1] + ("0" if good[-1] != "0" else "1")
    for token in ("", "a", "ä", good[:-2], good.upper(), changed, others, credential, "a1" * 5000):
        with pytest.raises(LinkUnusable):
            links.open(token)
