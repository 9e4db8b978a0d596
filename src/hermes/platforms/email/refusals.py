"""What mail servers' answers mean for a caller: by response code (IMAP) and by reply and status code (SMTP).

Sources: RFC 5530 and RFC 3501 (IMAP response codes), RFC 5321 4.2 and RFC 3463 (SMTP), the providers' own pages.
"""

from __future__ import annotations

import re
from typing import Any, Final

from hermes.errors import (
    Conflict,
    HermesError,
    NeedsReconnect,
    NotFound,
    PayloadTooLarge,
    PlatformRejected,
    PlatformUnavailable,
    RateLimited,
)
from hermes.platforms.refusals import Refusal

PLATFORM: Final = "email"
TITLE: Final = "The mail server"

_BUSY_SECONDS: Final = 60.0
_RECONNECT: Final = (
    "The mailbox's login no longer works: link it again with the present password (most providers want an app "
    "password) or a fresh access token."
)
_CODE: Final = re.compile(r"\[([A-Z]+(?:[A-Z0-9-]*[A-Z0-9])?)(?: [^\]]*)?\]")

IMAP_REFUSALS: Final[dict[str, Refusal]] = {
    "AUTHENTICATIONFAILED": Refusal(NeedsReconnect, _RECONNECT),
    "EXPIRED": Refusal(NeedsReconnect, _RECONNECT),
    "AUTHORIZATIONFAILED": Refusal(NeedsReconnect, _RECONNECT),
    "WEBALERT": Refusal(NeedsReconnect, "Log in at the provider's web page once, then link the mailbox again."),
    "PRIVACYREQUIRED": Refusal(PlatformRejected, "The server wants another kind of encryption."),
    "UNAVAILABLE": Refusal(PlatformUnavailable, "Try again later.", retry_after=_BUSY_SECONDS),
    "SERVERBUG": Refusal(PlatformUnavailable, "Try again later.", retry_after=_BUSY_SECONDS),
    "CORRUPTION": Refusal(PlatformUnavailable, "The provider has to repair the mailbox."),
    "INUSE": Refusal(PlatformUnavailable, "Try again later.", retry_after=_BUSY_SECONDS),
    "LIMIT": Refusal(RateLimited, "Wait before the next call.", retry_after=_BUSY_SECONDS),
    "THROTTLED": Refusal(RateLimited, "Wait before the next call.", retry_after=_BUSY_SECONDS),
    "OVERQUOTA": Refusal(PlatformRejected, "The mailbox is full: delete something in it first."),
    "TOOBIG": Refusal(PayloadTooLarge, "Send fewer or smaller attachments."),
    "NOPERM": Refusal(PlatformRejected, "The mailbox's owner may not do this in that folder."),
    "CANNOT": Refusal(PlatformRejected, "The server does not do this."),
    "NONEXISTENT": Refusal(NotFound, "Call email_list_folders for the folders that there are."),
    "TRYCREATE": Refusal(NotFound, "Call email_list_folders for the folders that there are."),
    "ALREADYEXISTS": Refusal(Conflict, "It is there already."),
}

LOGIN: Final = Refusal(NeedsReconnect, _RECONNECT)
FOLDER: Final = Refusal(NotFound, "Call email_list_folders for the folders that there are.")
OTHER: Final = Refusal(PlatformRejected, "Check the arguments, and email_list_folders for the folders.")
_TOO_MANY: Final = Refusal(
    RateLimited, "Too many programs use the mailbox at once; wait a little.", retry_after=_BUSY_SECONDS
)
# Gmail says this with the code ALERT, which means nothing by itself.
_TOO_MANY_TEXT: Final = "too many simultaneous connections"

SMTP_REFUSALS: Final[dict[str, Refusal]] = {
    # By enhanced status code where it is clearer than the reply code, otherwise by reply code.
    "4.2.2": Refusal(PlatformRejected, "The recipient's mailbox is full; send it again later."),
    "4.7.0": Refusal(RateLimited, "Wait before sending again.", retry_after=_BUSY_SECONDS),
    "4.3.2": Refusal(PlatformUnavailable, "Try again later.", retry_after=_BUSY_SECONDS),
    "5.1.1": Refusal(PlatformRejected, "That address does not exist; check it.", argument="to"),
    "5.2.2": Refusal(PlatformRejected, "The recipient's mailbox is full."),
    "5.2.0": Refusal(
        RateLimited,
        "The account's daily sending limit is reached (Outlook.com); send again tomorrow.",
        retry_after=86400,
    ),
    "5.3.4": Refusal(PayloadTooLarge, "Send fewer or smaller attachments."),
    "5.4.5": Refusal(
        RateLimited, "The account's daily sending limit is reached (Gmail); send again tomorrow.", retry_after=86400
    ),
    "5.7.139": Refusal(
        PlatformRejected,
        "SMTP AUTH is switched off for this mailbox; its Microsoft 365 administrator can switch it on.",
    ),
    "5.7.60": Refusal(PlatformRejected, "The mailbox may not send from this address."),
    "421": Refusal(PlatformUnavailable, "Try again later.", retry_after=_BUSY_SECONDS),
    "450": Refusal(PlatformUnavailable, "Try again later.", retry_after=_BUSY_SECONDS),
    "451": Refusal(PlatformUnavailable, "Try again later.", retry_after=_BUSY_SECONDS),
    "452": Refusal(RateLimited, "Wait before sending again.", retry_after=_BUSY_SECONDS),
    "454": Refusal(PlatformUnavailable, "Try again later.", retry_after=_BUSY_SECONDS),
    "530": Refusal(NeedsReconnect, _RECONNECT),
    "534": Refusal(NeedsReconnect, "Make an app password at the provider and link the mailbox again with it."),
    "535": Refusal(NeedsReconnect, _RECONNECT),
    "538": Refusal(PlatformRejected, "The server wants another kind of encryption."),
    "552": Refusal(PayloadTooLarge, "Send fewer or smaller attachments."),
    "550": Refusal(PlatformRejected, "The server refused it; its own words say why."),
    "554": Refusal(PlatformRejected, "The server refused it; its own words say why."),
}
_SMTP_TEMPORARY: Final = Refusal(PlatformUnavailable, "Try again later.", retry_after=_BUSY_SECONDS)
_SMTP_OTHER: Final = Refusal(PlatformRejected, "The server refused it; its own words say why.")
_ENHANCED: Final = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")


def imap_refusal(said: str, *, otherwise: Refusal = OTHER, secret: str = "") -> HermesError:
    """The error for a tagged NO or BAD.

    Args:
        said: the server's words, response code included.
        otherwise: what it means without a code, which many servers leave out.
        secret: is taken out of the words, should the server repeat it.
    """
    codes = _CODE.findall(said)
    refusal = next((IMAP_REFUSALS[code] for code in codes if code in IMAP_REFUSALS), None)
    if refusal is None:
        crowded = _TOO_MANY_TEXT in said.lower()
        refusal = _TOO_MANY if crowded else otherwise
    code = next((code for code in codes if code in IMAP_REFUSALS), codes[0] if codes else "NO")
    return refusal.error(PLATFORM, TITLE, code, _words(said, secret))


def smtp_refusal(code: int, said: str, *, login: bool = False, secret: str = "") -> HermesError:
    """The error for a 4xx or 5xx reply.

    Args:
        code: the reply code.
        said: the server's words.
        login: it answers a login.
        secret: as in `imap_refusal`.
    """
    enhanced = _ENHANCED.search(said)
    found = SMTP_REFUSALS.get(enhanced[1]) if enhanced else None
    if found is None:
        found = SMTP_REFUSALS.get(str(code))
    if found is None:
        found = _SMTP_TEMPORARY if 400 <= code < 500 else LOGIN if login else _SMTP_OTHER
    error = found.error(PLATFORM, TITLE, f"{code} {enhanced[1]}" if enhanced else code, _words(said, secret))
    # A clear no: the server took nothing over, so nobody will get it.
    error.nothing_sent = True
    return error


def unavailable(reason: str, **data: Any) -> PlatformUnavailable:
    """The connection failed, and nothing was changed."""
    return PlatformUnavailable(
        "The mail server gave no complete answer; nothing was changed. Try again later.", detail=reason, **data
    )


def _words(said: str, secret: str) -> str:
    said = "".join(character if character.isprintable() else " " for character in said)
    return said.replace(secret, "…") if len(secret) > 3 else said
