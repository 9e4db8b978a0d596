"""Which servers are found and reached: presets, discovery, and the guard around what a customer names."""

from __future__ import annotations

from typing import Any

import pytest

from hermes.errors import InvalidArguments
from hermes.platforms.email import email
from hermes.platforms.email.credentials import EmailCredentials, accounts_of
from hermes.platforms.email.discovery import read_description
from hermes.platforms.email.network import Endpoint
from hermes.platforms.email.servers import preset
from hermes.settings import Settings, SettingsError

Bench = Any


def description(imap: str, imap_port: int, imap_type: str, smtp: str, smtp_port: int, smtp_type: str) -> bytes:
    return f"""<clientConfig version="1.1"><emailProvider id="x">
      <incomingServer type="pop3"><hostname>pop.x</hostname><port>995</port></incomingServer>
      <incomingServer type="imap"><hostname>{imap}</hostname><port>{imap_port}</port>
        <socketType>{imap_type}</socketType><username>%EMAILADDRESS%</username></incomingServer>
      <outgoingServer type="smtp"><hostname>{smtp}</hostname><port>{smtp_port}</port>
        <socketType>{smtp_type}</socketType></outgoingServer>
    </emailProvider></clientConfig>""".encode()


GOOD = description("imap.%EMAILDOMAIN%", 993, "SSL", "out.example.org", 587, "STARTTLS")


async def found(bench: Bench, domain: str) -> tuple[str, str, int] | None:
    credentials = EmailCredentials.model_validate({"address": f"me@{domain}", "password": "p"})
    servers = await bench.opener._discovery.servers("cus_1", credentials)
    return None if servers is None else (servers.imap.host, servers.smtp.host, servers.smtp.port)


async def test_what_was_found_for_one_customer_is_looked_for_again_for_another(wired: Bench) -> None:
    wired.descriptions["https://example.org/.well-known/autoconfig/mail/config-v1.1.xml"] = GOOD
    credentials = EmailCredentials.model_validate({"address": "me@example.org", "password": "p"})
    for customer, times in (("cus_1", 1), ("cus_1", 1), ("cus_2", 2)):
        await wired.opener._discovery.servers(customer, credentials)
        assert wired.fetched.count("https://autoconfig.example.org/mail/config-v1.1.xml") == times


async def test_presets_ask_nobody(wired: Bench) -> None:
    assert await found(wired, "gmail.com") == ("imap.gmail.com", "smtp.gmail.com", 465)
    assert await found(wired, "OUTLOOK.com") == ("outlook.office365.com", "smtp-mail.outlook.com", 587)
    assert wired.fetched == []
    web = preset("web.de")
    assert web is not None
    assert web.user == "local"


@pytest.mark.parametrize(
    "where",
    [
        "https://autoconfig.example.org/mail/config-v1.1.xml",
        "https://example.org/.well-known/autoconfig/mail/config-v1.1.xml",
        "https://autoconfig.thunderbird.net/v1.1/example.org",
    ],
)
async def test_a_domains_own_description(wired: Bench, where: str) -> None:
    wired.descriptions[where] = GOOD
    assert await found(wired, "example.org") == ("imap.example.org", "out.example.org", 587)
    asked = len(wired.fetched)
    await found(wired, "example.org")
    assert len(wired.fetched) == asked
    assert "me@" not in "".join(wired.fetched)


async def test_a_mail_exchanger_leads_to_a_known_provider_only(wired: Bench) -> None:
    wired.exchangers_of["company.example.org"] = ["company-example.mail.protection.outlook.com."]
    assert await found(wired, "company.example.org") == ("outlook.office365.com", "smtp.office365.com", 587)
    wired.exchangers_of["other.example.org"] = ["mx.evil.example."]
    assert await found(wired, "other.example.org") is None


async def test_srv_records_stay_in_the_domain(wired: Bench) -> None:
    wired.services_of = {
        "_imaps._tcp.a.example.org": [("mail.a.example.org.", 993)],
        "_submission._tcp.a.example.org": [("mail.a.example.org.", 587)],
        "_imaps._tcp.b.example.org": [("imap.evil.example.", 993)],
        "_submissions._tcp.b.example.org": [("smtp.evil.example.", 465)],
        "_imaps._tcp.c.example.org": [("mail.c.example.org.", 1993)],
    }
    assert await found(wired, "a.example.org") == ("mail.a.example.org", "mail.a.example.org", 587)
    assert await found(wired, "b.example.org") is None
    assert await found(wired, "c.example.org") is None


async def test_usual_names_are_tried_last(wired: Bench) -> None:
    wired.addresses |= {"mail.d.example.org": ["8.8.8.8"], "smtp.d.example.org": ["8.8.4.4"]}
    wired.ports["8.8.8.8", 993] = wired.ports["8.8.4.4", 465]
    assert await found(wired, "d.example.org") == ("mail.d.example.org", "smtp.d.example.org", 465)
    assert {port for _, port in wired.dialled} <= {993, 465, 587}


@pytest.mark.parametrize(
    "content",
    [
        description("imap.x.example", 143, "STARTTLS", "smtp.x.example", 587, "STARTTLS"),
        description("imap.x.example", 993, "SSL", "smtp.x.example", 25, "plain"),
        description("imap.x.example", 993, "plain", "smtp.x.example", 465, "SSL"),
        description("127.0.0.1", 993, "SSL", "smtp.x.example", 465, "SSL"),
        description("localhost", 993, "SSL", "smtp.x.example", 465, "SSL"),
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><clientConfig>&b;</clientConfig>',
        b"<not xml",
        b"\xff\xfe\x00",
        b"",
    ],
)
def test_descriptions_that_are_not_used(content: bytes) -> None:
    assert read_description(content, "x.example") is None


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["10.0.0.1"], ["8.8.8.8", "169.254.169.254"], ["::1"], ["fd00::1"], ["::ffff:127.0.0.1"], []],
)
async def test_hosts_that_are_not_public_are_never_dialled(
    wired: Bench, make_account: Any, addresses: list[str]
) -> None:
    wired.addresses["imap.inside.example"] = wired.addresses["smtp.inside.example"] = addresses
    account = make_account("x", imap_host="imap.inside.example", smtp_host="smtp.inside.example")
    error = await wired.refused(account, "list_folders")
    assert isinstance(error, InvalidArguments)
    error = await wired.refused(account, "send_email", to=["a@example.com"], subject="s", text="t")
    assert isinstance(error, InvalidArguments)
    assert error.nothing_sent
    assert wired.dialled == []
    assert email.probe_function is not None
    with pytest.raises(InvalidArguments):
        await email.probe_function(wired.open(account))


async def test_other_ports_are_never_dialled(wired: Bench) -> None:
    for port in (25, 80, 143, 443, 6379):
        with pytest.raises(InvalidArguments):
            await wired.opener._network.dial(Endpoint("imap.mail.example", port), field="imap_host")
    assert wired.dialled == []


async def test_servers_that_are_not_found_are_asked_for(wired: Bench) -> None:
    assert email.probe_function is not None
    with pytest.raises(InvalidArguments) as caught:
        await email.probe_function(wired.open({"address": "me@nowhere.example.org", "password": "p"}))
    assert [item["field"] for item in caught.value.data["fields"]] == ["imap_host", "smtp_host"]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"address": "me@example.com"}, "password"),
        ({"address": "me@example.com", "password": "p", "access_token": "t"}, "password"),
        ({"address": "me", "password": "p"}, "address"),
        ({"address": "me@example.com", "password": "a\r\nb"}, "control"),
        ({"address": "me@example.com", "password": "p", "imap_port": 143}, "993"),
        ({"address": "me@example.com", "password": "p", "smtp_port": 25}, "465"),
        ({"address": "me@example.com", "password": "p", "imap_host": "localhost"}, "host"),
        ({"address": "me@example.com", "password": "p", "imap_host": "0x7f.1"}, "host"),
        ({"address": "me@example.com", "password": "p", "pop_host": "x"}, "pop_host"),
    ],
)
def test_credentials_that_do_not_fit(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        EmailCredentials.model_validate(given)
    assert "a\r\nb" not in str(caught.value)


def settings(accounts: str) -> Settings:
    return Settings(environ={"EMAIL_ACCOUNTS": accounts})


def test_the_operators_accounts_come_from_one_variable() -> None:
    found = accounts_of(
        settings(
            '{"work": {"address": "me@example.com", "password": "s3"},'
            ' "p": {"address": "x@gmail.com", "accessToken": "t"}}'
        )
    )
    assert {label: given.address for label, given in found.items()} == {"work": "me@example.com", "p": "x@gmail.com"}
    assert found["p"].secret == "t"
    assert accounts_of(settings("")) == {}
    assert email.environ_accounts(settings("")) == {}


@pytest.mark.parametrize(
    "text", ["[]", "{", "{}", '{"A B": {}}', '{"work": {"address": "x", "password": "hush"}}', '{"w": 1}']
)
def test_a_malformed_variable_stops_the_start(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        email.check_settings(settings(text))
    assert str(caught.value).startswith("EMAIL_ACCOUNTS")
    assert "hush" not in str(caught.value)
