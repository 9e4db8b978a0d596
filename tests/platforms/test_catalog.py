"""The catalogue is the contract's: these tools, these routes, and no more than assistants can afford to be shown."""

from __future__ import annotations

import orjson
import pytest

from hermes.gateway.own_tools import own_platform
from hermes.gateway.results import ToolView
from hermes.platforms.catalog import load_catalog
from hermes.transports.tool_list import ToolList

CONTRACT = {
    "email": "get_profile GET /profile · search_messages POST /search · read_message POST /read · "
    "send_email POST /send · create_draft POST /draft · list_folders GET /folders",
    "obsidian": "search_notes POST /search · read_note GET /note · append_to_note POST /note/append · "
    "update_note PUT /note · sync_status GET /sync",
    "whatsapp": "send_message POST /send · send_template POST /template · list_templates GET /templates · "
    "get_message_status GET /status",
    "linkedin": "get_profile GET /profile · create_post POST /post · search_connections POST /connections · "
    "send_message POST /message · upload_video POST /video",
    "tiktok": "get_profile GET /profile · get_creator_info GET /creator · create_video POST /video · "
    "get_video_status GET /video/status",
    "facebook": "get_page GET /page · get_posts GET /posts · create_post POST /post · create_photo_post POST /photo · "
    "create_video_post POST /video",
    "instagram": "get_profile GET /profile · get_media GET /media · create_post POST /post · create_reel POST /reel",
    "twitter": "get_user_profile GET /profile · get_user_tweets GET /tweets · search_tweets POST /search · "
    "create_tweet POST /tweet · upload_video POST /video",
    "telegram": "get_me GET /me · send_message POST /message · send_photo POST /photo · get_updates GET /updates · "
    "get_chat GET /chat",
    "discord": "get_me GET /me · get_guilds GET /guilds · get_channels GET /channels · send_message POST /message · "
    "get_messages GET /messages",
    "snapchat": "get_me GET /me · get_ad_accounts GET /ad-accounts · create_snap POST /snap",
}
ROUTES = {
    f"{platform}_{name}": f"{method} /api/{platform}{path}"
    for platform, tools in CONTRACT.items()
    for name, method, path in (tool.split() for tool in tools.split(" · "))
}


def test_the_tools_and_routes_are_the_contracts() -> None:
    assert len(ROUTES) == 51
    assert {tool.name: f"{tool.rest_method} {tool.rest_path}" for tool in load_catalog().tools.values()} == ROUTES


@pytest.mark.parametrize(("outputs", "most"), [(True, 110_000), (False, 60_000)])
def test_the_whole_list_is_small_enough(outputs: bool, most: int) -> None:
    every = [*load_catalog().tools.values(), *own_platform().tools.values()]
    views = [ToolView(tool, tool.input_schema) for tool in every]
    result = ToolList().page(views, "2026-07-28", None).result
    left_out = set() if outputs else {"outputSchema"}
    listed = [{name: value for name, value in tool.items() if name not in left_out} for tool in result["tools"]]
    assert len(listed) == len(every)
    assert len(orjson.dumps({"jsonrpc": "2.0", "id": 1, "result": result | {"tools": listed}})) < most
