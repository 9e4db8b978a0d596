"""A message's parts, as the server's BODYSTRUCTURE tells them (RFC 3501, 7.4.2), and which of them are the text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hermes.platforms.email.mime import clean_filename, decode_parameters, decode_text

MAX_PARTS: Final = 200
_MAX_DEPTH: Final = 20


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a message.

    Attributes:
        number: as IMAP addresses it, such as 1.2.
        type: the media type in lower case.
        charset: of a text.
        encoding: the transfer encoding in lower case.
        size: in bytes as transferred, that is with base64 a third more than the content.
    """

    number: str
    type: str
    charset: str | None = None
    encoding: str = "7bit"
    size: int = 0
    filename: str | None = None
    attached: bool = False
    content_id: str | None = None
    flowed: bool = False
    root: str | None = None
    children: tuple[Part, ...] = ()

    @property
    def content_size(self) -> int:
        """About how large the content is."""
        return self.size * 3 // 4 if self.encoding == "base64" else self.size


@dataclass
class Reading:
    """What of a message is text, and what is attached."""

    texts: list[Part] = field(default_factory=list)
    calendars: list[Part] = field(default_factory=list)
    attachments: list[Part] = field(default_factory=list)


def read_structure(body: Any) -> Part:
    """The tree of parts.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: it is not what RFC 3501 says.
    """
    return _part(body, "", 0, [0])


def _part(body: Any, number: str, depth: int, count: list[int]) -> Part:
    count[0] += 1
    if depth > _MAX_DEPTH or count[0] > MAX_PARTS:
        return Part(number or "1", "application/octet-stream", attached=True)
    if isinstance(body[0], list | tuple) and (not body[0] or isinstance(body[0], list)):
        prefix = f"{number}." if number else ""
        children = tuple(_part(child, f"{prefix}{at}", depth + 1, count) for at, child in enumerate(body[0], 1))
        parameters = _parameters(body, 2)
        return Part(
            number, f"multipart/{_word(body[1])}", children=children, root=_id(parameters.get("start")), encoding=""
        )
    return _leaf(body, number or "1")


def _leaf(body: Any, number: str) -> Part:
    kind = f"{_word(body[0])}/{_word(body[1])}"
    parameters = _parameters(body, 2)
    # md5, disposition, language, location follow a text's number of lines, or an embedded message's three members.
    extension = 9 if kind.startswith("text/") else 11 if kind in ("message/rfc822", "message/global") else 8
    if kind.startswith("message/") and extension == 8 and len(body) > 8 and isinstance(body[7], tuple | list):
        extension = 11
    disposition, told = _disposition(body, extension)
    name = told.get("filename") or parameters.get("name")
    if name is None and kind == "message/rfc822":
        name = _subject(body)
    return Part(
        number,
        kind,
        charset=parameters.get("charset"),
        encoding=_word(body[5]) or "7bit",
        size=body[6] if isinstance(body[6], int) else 0,
        filename=clean_filename(name) if name else None,
        attached=disposition == "attachment",
        content_id=_id(_text(body[3])),
        flowed=parameters.get("format", "").lower() == "flowed",
    )


def _subject(body: Any) -> str | None:
    try:
        subject = decode_text(body[7][1] or b"")
    except (LookupError, TypeError):
        return None
    return f"{subject[:100]}.eml" if subject else None


def _disposition(body: Any, extension: int) -> tuple[str, Mapping[str, str]]:
    """Servers leave out extension data, or give some of it; what looks like a disposition is taken as one."""
    for at in (extension, *range(7, min(len(body), 14))):
        item = body[at] if at < len(body) else None
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], bytes):
            word = _word(item[0])
            if word in ("attachment", "inline", "form-data"):
                return word, decode_parameters(_pairs(item[1]))
    return "", {}


def _parameters(body: Any, at: int) -> Mapping[str, str]:
    return decode_parameters(_pairs(body[at])) if len(body) > at else {}


def _pairs(items: Any) -> list[tuple[str, bytes]]:
    if not isinstance(items, tuple | list):
        return []
    flat = [_bytes(item) for item in items]
    return [
        (name.decode("ascii", "replace").lower(), value) for name, value in zip(flat[::2], flat[1::2], strict=False)
    ]


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value if value is not None else "").encode()


def _word(value: Any) -> str:
    return _bytes(value).decode("ascii", "replace").strip().lower()


def _text(value: Any) -> str | None:
    return None if value is None else _bytes(value).decode("utf-8", "replace")


def _id(value: str | None) -> str | None:
    return value.strip().strip("<>")[:500] or None if value else None


def leaves(part: Part) -> Iterator[Part]:
    """All parts that hold content."""
    if part.type.startswith("multipart/"):
        for child in part.children:
            yield from leaves(child)
    else:
        yield part


def has_attachments(part: Part) -> bool:
    """Whether a person would say that something is attached: pictures inside an HTML text are not."""
    return any(not item.content_id or item.attached for item in choose(part, html=False).attachments)


def choose(part: Part, *, html: bool) -> Reading:
    """Decide what is shown as text.

    Args:
        html: where a text is there in both forms, take the HTML one.
    """
    reading = Reading()
    _walk(part, reading, html=html)
    return reading


def _walk(part: Part, reading: Reading, *, html: bool) -> None:
    if part.type == "multipart/alternative":
        _alternative(part.children, reading, html=html)
    elif part.type == "multipart/related":
        _related(part, reading, html=html)
    elif part.type.startswith("multipart/"):
        for child in part.children:
            _walk(child, reading, html=html)
    else:
        _place(part, reading)


def _alternative(children: Sequence[Part], reading: Reading, *, html: bool) -> None:
    """One of several forms of the same: the wanted one if it is there, otherwise the last that can be read."""
    forms = []
    for child in children:
        form = Reading()
        _walk(child, form, html=html)
        forms.append(form)
        # Calendars and pictures are kept whichever form is taken.
        reading.calendars += form.calendars
        reading.attachments += form.attachments
    with_text = [form.texts for form in forms if form.texts]
    if with_text:
        wanted = "text/html" if html else "text/plain"
        chosen = [texts for texts in with_text if any(text.type == wanted for text in texts)]
        reading.texts += chosen[-1] if chosen else with_text[-1]


def _related(part: Part, reading: Reading, *, html: bool) -> None:
    root = next((child for child in part.children if part.root and child.content_id == part.root), None)
    root = root or next(iter(part.children), None)
    for child in part.children:
        if child is root:
            _walk(child, reading, html=html)
        else:
            reading.attachments += leaves(child)


def _place(part: Part, reading: Reading) -> None:
    if part.type == "text/calendar":
        reading.calendars.append(part)
        reading.attachments.append(part)
    elif part.type in ("text/plain", "text/html", "text/enriched") and not part.attached and not part.filename:
        reading.texts.append(part)
    elif part.type in ("message/delivery-status", "message/disposition-notification", "text/rfc822-headers"):
        reading.attachments.append(part)
    elif part.type.startswith("text/") and not part.attached and not part.filename:
        reading.texts.append(part)
    else:
        reading.attachments.append(part)
