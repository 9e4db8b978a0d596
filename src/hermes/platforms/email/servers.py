"""The usual providers' servers, by domain. Source: Thunderbird's ISPDB, https://autoconfig.thunderbird.net/v1.1/."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from hermes.platforms.email.network import IMAPS, SUBMISSION, SUBMISSIONS, Endpoint

UserName = Literal["address", "local"]
FilesSent = Literal["no", "usually", "always"]


@dataclass(frozen=True, slots=True)
class MailServers:
    """Where a mailbox is and how to log in there.

    Attributes:
        user: what the servers know the mailbox by: its address, or what stands before the @.
        provider: a known provider's name.
        files_sent: whether the provider files what is sent through its SMTP server in Sent by itself; usually: unless
            an administrator switched it off, and some moments later.
        help: what a person has to do at the provider before a program may log in.
    """

    imap: Endpoint
    smtp: Endpoint
    user: UserName = "address"
    provider: str | None = None
    files_sent: FilesSent = "no"
    help: str | None = None


def _servers(
    provider: str,
    imap: str,
    smtp: str,
    port: int = SUBMISSIONS,
    *,
    user: UserName = "address",
    files_sent: FilesSent = "no",
    hint: str | None = None,
) -> MailServers:
    return MailServers(Endpoint(imap, IMAPS), Endpoint(smtp, port), user, provider, files_sent, hint)


GMAIL: Final = _servers(
    "Gmail",
    "imap.gmail.com",
    "smtp.gmail.com",
    files_sent="always",
    hint="Use an app password (it needs 2-step verification): https://myaccount.google.com/apppasswords",
)
_OUTLOOK: Final = _servers(
    "Outlook.com",
    "outlook.office365.com",
    "smtp-mail.outlook.com",
    SUBMISSION,
    files_sent="usually",
    hint="Microsoft takes OAuth tokens only: link with access_token.",
)
MICROSOFT_365: Final = _servers(
    "Microsoft 365",
    "outlook.office365.com",
    "smtp.office365.com",
    SUBMISSION,
    files_sent="usually",
    hint="Microsoft takes OAuth tokens only: link with access_token; SMTP AUTH must be on for the mailbox.",
)
_YAHOO: Final = _servers(
    "Yahoo", "imap.mail.yahoo.com", "smtp.mail.yahoo.com", hint="Make an app password in Yahoo's account security."
)
_ICLOUD: Final = _servers(
    "iCloud",
    "imap.mail.me.com",
    "smtp.mail.me.com",
    SUBMISSION,
    hint="Make an app-specific password: https://account.apple.com",
)
_FASTMAIL: Final = _servers(
    "Fastmail", "imap.fastmail.com", "smtp.fastmail.com", hint="Make an app password in Fastmail's settings."
)
_GMX_HINT: Final = "Switch IMAP on in the settings of the mailbox first."
_GMX_COM: Final = _servers("GMX", "imap.gmx.com", "mail.gmx.com", hint=_GMX_HINT)
_GMX_NET: Final = _servers("GMX", "imap.gmx.net", "mail.gmx.net", hint=_GMX_HINT)
_YANDEX: Final = _servers("Yandex", "imap.yandex.com", "smtp.yandex.com", hint="Make an app password at Yandex ID.")

_BY_DOMAINS: Final[dict[MailServers, str]] = {
    GMAIL: "gmail.com googlemail.com",
    _OUTLOOK: "outlook.com hotmail.com live.com msn.com outlook.de outlook.fr hotmail.co.uk hotmail.de hotmail.fr",
    _YAHOO: "yahoo.com yahoo.co.uk yahoo.de yahoo.fr yahoo.es yahoo.it yahoo.ca yahoo.co.in yahoo.com.br ymail.com "
    "rocketmail.com",
    _servers("AOL", "imap.aol.com", "smtp.aol.com", hint="Make an app password in AOL's account security."): "aol.com",
    _ICLOUD: "icloud.com me.com mac.com",
    _FASTMAIL: "fastmail.com fastmail.fm",
    _servers("Zoho", "imap.zoho.com", "smtp.zoho.com"): "zoho.com zohomail.com",
    _servers("Zoho", "imap.zoho.eu", "smtp.zoho.eu"): "zoho.eu zohomail.eu",
    _GMX_COM: "gmx.com gmx.us gmx.co.uk",
    _GMX_NET: "gmx.net gmx.de gmx.at gmx.ch",
    _servers("WEB.DE", "imap.web.de", "smtp.web.de", SUBMISSION, user="local", hint=_GMX_HINT): "web.de",
    _servers(
        "Telekom",
        "secureimap.t-online.de",
        "securesmtp.t-online.de",
        hint="Set a separate password for email programs in the Telekom's settings.",
    ): "t-online.de magenta.de",
    _servers("mailbox.org", "imap.mailbox.org", "smtp.mailbox.org"): "mailbox.org",
    _servers("IONOS", "imap.ionos.com", "smtp.ionos.com"): "ionos.com",
    _YANDEX: "yandex.com yandex.ru ya.ru",
}

_BY_DOMAIN: Final[dict[str, MailServers]] = {
    domain: servers for servers, domains in _BY_DOMAINS.items() for domain in domains.split()
}

_BY_EXCHANGER: Final[tuple[tuple[str, MailServers], ...]] = (
    (".google.com", GMAIL),
    (".googlemail.com", GMAIL),
    (".mail.protection.outlook.com", MICROSOFT_365),
    (".mx.microsoft", MICROSOFT_365),
    (".messagingengine.com", _FASTMAIL),
    (".yahoodns.net", _YAHOO),
    (".mail.icloud.com", _ICLOUD),
    (".zoho.com", _BY_DOMAIN["zoho.com"]),
    (".zoho.eu", _BY_DOMAIN["zoho.eu"]),
    (".mailbox.org", _BY_DOMAIN["mailbox.org"]),
    (".yandex.net", _YANDEX),
    (".ionos.com", _BY_DOMAIN["ionos.com"]),
)

_BY_IMAP_HOST: Final = {servers.imap.host: servers for servers in reversed(_BY_DOMAINS)} | {
    "outlook.office365.com": MICROSOFT_365
}


def preset(domain: str) -> MailServers | None:
    """The servers of a provider's own domain."""
    return _BY_DOMAIN.get(domain.lower())


def preset_by_exchanger(host: str) -> MailServers | None:
    """The servers of the provider whose mail exchanger a domain names."""
    host = "." + host.lower().rstrip(".")
    return next((servers for suffix, servers in _BY_EXCHANGER if host.endswith(suffix)), None)


def known(imap_host: str) -> MailServers | None:
    """What is known of the provider that an IMAP server belongs to."""
    return _BY_IMAP_HOST.get(imap_host)
