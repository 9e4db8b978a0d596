"""What the product writes to people, and how that becomes a mail."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache
from typing import Any

import jinja2
import orjson


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail to one person, in the words of who causes it.

    Attributes:
        kind: what it is about, for the log; at most 32 characters.
        to: the address.
        subject: one line.
        paragraphs: plain text.
        link: a URL on its own line, after the paragraphs; none if there is nothing to open.
        link_label: what the link does, e.g. `Choose a new password`.
        closing: a last, smaller paragraph.
    """

    kind: str
    to: str
    subject: str
    paragraphs: tuple[str, ...]
    link: str | None = None
    link_label: str = "Open"
    closing: str | None = None

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: bytes) -> Letter:
        members: dict[str, Any] = orjson.loads(text)
        return cls(**{**members, "paragraphs": tuple(members["paragraphs"])})


def compose(letter: Letter, *, sender: str, mail_id: str, written_at: datetime) -> EmailMessage:
    """The mail, as text and as HTML.

    Args:
        sender: the address it comes from, e.g. `SquareMCP <hello@example.com>`.
        mail_id: the mail's row; it becomes the Message-ID, so that a mail sent twice is recognised as one.
    """
    message = EmailMessage(SMTP)
    message["From"] = sender
    message["To"] = Address(addr_spec=letter.to)
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(written_at)
    message["Message-ID"] = f"<{mail_id}@{message['From'].addresses[0].domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834, section 5: no vacation notices in return
    message.set_content(_template("letter.txt.jinja").render(letter=letter))
    message.add_alternative(_template("letter.html.jinja").render(letter=letter), subtype="html")
    return message


@cache
def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hermes.events"),
        autoescape=jinja2.select_autoescape(["html.jinja"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
