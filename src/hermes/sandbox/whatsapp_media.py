"""Media that a number uploaded: kept in memory, downloaded with the token, by a URL that lives five minutes.

Source: developers.facebook.com/docs/whatsapp/cloud-api/reference/media.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from hermes.sandbox.clock import Clock
from hermes.sandbox.graph import GraphCall, GraphError, missing_object, parameter_error
from hermes.sandbox.http import Answer, Incoming, Upload, derived_digits
from hermes.sandbox.whatsapp_messages import check_product

URL_LIFE = 300
LARGEST = 100 * 1024 * 1024


@dataclass(slots=True)
class _Media:
    owner: str
    kind: str
    content: bytes = field(repr=False)


class MediaStore:
    """Every number's media, by id."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._media: dict[str, _Media] = {}
        self._uploads = count(1)

    def clear(self) -> None:
        self._media.clear()

    def owns(self, phone_number_ids: Container[str], media: str) -> bool:
        kept = self._media.get(media)
        return kept is not None and kept.owner in phone_number_ids

    def add(self, call: GraphCall, phone_number_id: str, files: dict[str, Upload]) -> dict[str, Any]:
        """POST …/media.

        Raises:
            GraphError: no file, an unusable type, or an empty file.
        """
        check_product(call.args)
        upload = files.get("file")
        if upload is None:
            raise parameter_error("The parameter file is required.")
        kind = str(call.args.get("type") or upload.content_type)
        if "/" not in kind:
            text = "Param file must be a file with one of the allowed types."
            raise parameter_error(f'{text} Received file of type "{kind}".')
        if not upload.content:
            raise GraphError(131053, details="The file is empty")
        media = derived_digits(f"{phone_number_id}:{next(self._uploads)}", "media", 16)
        self._media[media] = _Media(phone_number_id, kind, upload.content)
        return {"id": media}

    def answer(self, call: GraphCall, media: str) -> dict[str, Any]:
        """GET or DELETE of a media id that the caller owns."""
        if call.method == "DELETE":
            del self._media[media]
            return {"success": True}
        if call.method != "GET":
            raise missing_object(call.method, media)
        kept = self._media[media]
        until = int(self._clock.now()) + URL_LIFE
        return {
            "messaging_product": "whatsapp",
            "url": f"{call.incoming.origin}/whatsapp/media_download/{media}?until={until}",
            "mime_type": kept.kind,
            "sha256": hashlib.sha256(kept.content).hexdigest(),
            "file_size": str(len(kept.content)),
            "id": media,
        }

    def download(self, incoming: Incoming, phone_number_ids: Container[str]) -> Answer:
        """The content behind an answer's `url`; 404 when it is old or somebody else's."""
        media = incoming.path.rpartition("/")[2]
        until = incoming.query_args().get("until", "0")
        fresh = until.isdigit() and int(until) >= self._clock.now()
        if not fresh or not self.owns(phone_number_ids, media):
            return Answer(404, b"", "text/plain")
        return Answer(200, self._media[media].content, self._media[media].kind)
