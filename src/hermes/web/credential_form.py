"""The form for a platform's credentials, derived from their declaration."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from hermes.errors import HermesError, InvalidArguments
from hermes.platforms.base import Credentials
from hermes.platforms.pasting import FieldChoices

Kind = Literal["secret", "text", "choice", "time", "list"]

_UPPER: Final = {"id": "ID", "imap": "IMAP", "smtp": "SMTP", "url": "URL"}
_SEPARATORS: Final = re.compile(r"[\s,;]+")
_HINTS: Final[Mapping[Kind, str]] = {
    "time": "A date and time, such as 2027-01-31T12:00:00Z.",
    "list": "Several with commas between.",
}


@dataclass(frozen=True, slots=True)
class FormField:
    """One field of the form.

    Attributes:
        name: the credential's own name for it.
        label: the same in words.
        main: whether it is shown at once; the others are below "More options".
        choices: of kind `choice`.
    """

    name: str
    label: str
    kind: Kind
    required: bool
    main: bool
    hint: str | None = None
    choices: Sequence[str] = ()


def form_fields(model: type[Credentials], choices: FieldChoices | None = None) -> list[FormField]:
    """The fields to fill in, in the order of their declaration; those that can have one value only are left away.

    The field of `choices` is shown with the others, and may be left empty.
    """
    made = [
        field for name, info in model.model_fields.items() if (field := _field(name, info, main=info.is_required()))
    ]
    if not any(field.kind == "secret" and field.main for field in made):
        # One of several ways in: the first is what nearly everybody has.
        way_in = next((field for field in made if field.kind == "secret"), made[0])
        made = [_field(f.name, model.model_fields[f.name], main=True) or f if f is way_in else f for f in made]
    if choices is not None:
        made = [replace(f, required=False, hint=choices.hint) if f.name == choices.field else f for f in made]
    return made


def credentials_from(fields: Sequence[FormField], form: Mapping[str, str]) -> dict[str, Any]:
    """What was filled in, as the platform's credentials take it; what was left blank is left away."""
    given: dict[str, Any] = {}
    for field in fields:
        text = form.get(field.name, "").strip()
        if text:
            given[field.name] = (
                _SEPARATORS.split(text.strip(" ,;")) if field.kind == "list" else _number_or_text(text, field)
            )
    return given


def problems_of(error: HermesError, model: type[Credentials], fields: Sequence[FormField]) -> dict[str, str]:
    """What is wrong, by the name of the form's field; '' for the form as a whole.

    A credential that the platform refused is reported at the secret.
    """
    if not isinstance(error, InvalidArguments) or "fields" not in error.data:
        secret = next((field.name for field in fields if field.kind == "secret"), "")
        return {secret if error.code == "platform_rejected" else "": error.message}
    names = {info.alias: name for name, info in model.model_fields.items() if info.alias}
    labels = {field.name: field.label for field in fields} | {"account": "label"}
    problems: dict[str, str] = {}
    for item in error.data["fields"]:
        name = names.get(item["field"], item["field"])
        known = name if name in labels else ""
        problems.setdefault(known, _in_words(item["problem"], labels.get(known)))
    return problems


def _field(name: str, info: FieldInfo, *, main: bool) -> FormField | None:
    of = _bare(info.annotation)
    choices = [str(choice) for choice in get_args(of)] if get_origin(of) is Literal else []
    if len(choices) == 1:
        return None
    kind: Kind = "text"
    if choices:
        kind = "choice"
    elif of is SecretStr:
        kind = "secret"
    elif of is datetime:
        kind = "time"
    elif get_origin(of) in (tuple, list):
        kind = "list"
    hint = " ".join(part for part in (_sentence(info.description), _HINTS.get(kind)) if part) or None
    return FormField(name, _in_title(name), kind, info.is_required(), main, hint, choices)


def _bare(annotation: Any) -> Any:
    """A type without its marks and without `| None`."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        (annotation,) = (part for part in get_args(annotation) if part is not NoneType)
        return _bare(annotation)
    return annotation


def _in_title(name: str) -> str:
    words = [_UPPER.get(word, word) for word in name.split("_")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


def _sentence(text: str | None) -> str | None:
    return text if not text or text.endswith(".") else f"{text}."


def _number_or_text(text: str, field: FormField) -> int | str:
    """A choice among numbers is a number; everything else is read from its text by the credentials themselves."""
    return int(text) if field.kind == "choice" and text.isascii() and text.isdigit() else text


def _in_words(problem: str, label: str | None) -> str:
    if label is None:
        return problem[:1].upper() + problem[1:]
    if problem == "Field required":
        return f"Enter the {_lower(label)}."
    if problem.startswith("String should match pattern"):
        return f"This does not look like the {_lower(label)}; see the steps above for where to find it."
    return f"{label}: {problem}"


def _lower(label: str) -> str:
    """A label within a sentence: abbreviations stay as they are."""
    return label if label[:2].isupper() else label[:1].lower() + label[1:]
