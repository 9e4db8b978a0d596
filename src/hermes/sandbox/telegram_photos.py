"""Pictures on their way into a chat: uploaded, by URL, or by the file id of an earlier one."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from hermes.sandbox.http import Upload, derived_digits, is_web_url
from hermes.sandbox.images import image_size
from hermes.sandbox.telegram_args import Args
from hermes.sandbox.telegram_state import Bot, bad_request

LARGEST_PHOTO = 10 * 1024 * 1024


def upload_of(args: Args, files: dict[str, Upload]) -> Upload | None:
    """The uploaded picture: part `photo`, or the part that `attach://` names."""
    given = args.get("photo", "")
    if given.startswith("attach://"):
        return files.get(given.removeprefix("attach://"))
    return None if given else files.get("photo")


def uploaded_photo(bot: Bot, upload: Upload) -> list[dict[str, Any]]:
    """The sizes of an uploaded picture.

    Raises:
        TelegramError: empty, over 10 MB, no picture, too wide or too narrow.
    """
    size = len(upload.content)
    if size == 0:
        raise bad_request("file must be non-empty")
    if size > LARGEST_PHOTO:
        raise bad_request(
            f"file of size {size} bytes is too big for a photo; the maximum size is {LARGEST_PHOTO} bytes"
        )
    dimensions = image_size(upload.content)
    if dimensions is None:
        raise bad_request("IMAGE_PROCESS_FAILED")
    width, height = dimensions
    if min(width, height) < 1 or width + height > 10_000 or max(width, height) > 20 * min(width, height):
        raise bad_request("PHOTO_INVALID_DIMENSIONS")
    return _photo_sizes(bot, width, height, size)


def named_photo(bot: Bot, given: str) -> list[dict[str, Any]]:
    """A photo by file id or URL. Nothing is fetched: the URL's path decides what Telegram would have found."""
    if given in bot.pictures:
        known: list[dict[str, Any]] = bot.pictures[given]["sizes"]
        return known
    if not is_web_url(given):
        raise bad_request("wrong file identifier/HTTP URL specified")
    path = urlsplit(given).path
    if "missing" in path:
        raise bad_request("failed to get HTTP URL content")
    if path.endswith((".html", ".txt", ".pdf")):
        raise bad_request("wrong type of the web page content")
    return _photo_sizes(bot, 1280, 720, 204_800)


def _photo_sizes(bot: Bot, width: int, height: int, size: int) -> list[dict[str, Any]]:
    base = derived_digits(bot.token, f"photo{len(bot.pictures)}", 18)
    sizes: list[dict[str, Any]] = []
    for longest, letter in ((90, "s"), (320, "m"), (1280, "y")):
        scale = min(1.0, longest / max(width, height))
        sizes.append(
            {
                "file_id": f"AgACAgIAAxkDAA{base}{letter}AADNgQ",
                "file_unique_id": f"AQAD{base}{letter}",
                "width": max(1, round(width * scale)),
                "height": max(1, round(height * scale)),
                "file_size": max(1, round(size * scale * scale)),
            }
        )
    for one in sizes:
        bot.pictures[one["file_id"]] = {"sizes": sizes}
    return sizes
