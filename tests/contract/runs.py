"""Real runs of every tool, with every argument, of the platforms whose vendors publish a description.

`$name` stands for what the stand-in gave before: see `test_contract.py`.
"""

from __future__ import annotations

from typing import Any

TIMES = {"start_time": "$two hours ago", "end_time": "$an hour ago"}

DISCORD: list[tuple[str, dict[str, Any]]] = [
    ("get_me", {}),
    ("get_guilds", {"limit": 200, "after": "12345", "with_counts": True}),
    ("get_guilds", {"before": "999999999999999999"}),
    ("get_channels", {"guild_id": "$guild", "include_threads": True}),
    (
        "send_message",
        {
            "channel_id": "$channel",
            "content": "Hi",
            "embeds": [
                {
                    "title": "T", "description": "D", "url": "https://example.com", "color": 255, "author": "A",
                    "image_url": "https://example.com/a.png", "footer": "F",
                    "fields": [{"name": "n", "value": "v", "inline": True}],
                }
            ],
            "mention": ["users", "roles", "everyone"],
            "ping_reply_author": True,
            "silent": True,
            "suppress_link_previews": True,
            "nonce": "n-1",
        },
    ),
    ("send_message", {"channel_id": "$channel", "content": "Hi", "reply_to_message_id": "$message"}),
    ("send_message", {"channel_id": "$channel", "embeds": [{"title": "T"}]}),
    ("get_messages", {"channel_id": "$channel", "limit": 100}),
    ("get_messages", {"channel_id": "$channel", "before": "$message"}),
    ("get_messages", {"channel_id": "$channel", "after": "$message"}),
    ("get_messages", {"channel_id": "$channel", "around": "$message"}),
]  # fmt: skip

TWITTER: list[tuple[str, dict[str, Any]]] = [
    ("get_user_profile", {}),
    ("get_user_profile", {"username": "@XDevelopers"}),
    ("get_user_profile", {"user_id": "2244994945"}),
    ("get_user_tweets", {}),
    ("get_user_tweets", {"username": "XDevelopers", "limit": 100, "exclude": ["replies", "retweets"]}),
    (
        "get_user_tweets",
        {
            "user_id": "2244994945", "limit": 5, "include": ["authors", "referenced", "media"], "since_id": "1",
            "until_id": "9999999999999999999", "page": "p5", **TIMES,
        },
    ),
    ("search_tweets", {"query": "cats"}),
    ("search_tweets", {"query": "cats", "limit": 100, "sort": "relevancy", "include": [], "page": "p5"}),
    ("search_tweets", {"query": "from:nasa #moon", "include": ["authors", "referenced", "media"], **TIMES}),
    ("search_tweets", {"query": "cats", "since_id": "1", "until_id": "9999999999999999999"}),
    ("create_tweet", {"text": "One", "reply_settings": "following", "made_with_ai": True, "paid_partnership": True}),
    ("create_tweet", {"text": "Two", "reply_settings": "mentioned"}),
    ("create_tweet", {"text": "Three", "reply_settings": "subscribers"}),
    ("create_tweet", {"text": "Four", "reply_settings": "verified"}),
    ("create_tweet", {"text": "Five", "long_post": True, "reply_to": "17", "exclude_reply_user_ids": ["12"]}),
    ("create_tweet", {"text": "Six", "quote": "$tweet", "community_id": "99", "share_with_followers": True}),
    ("create_tweet", {"text": "Seven", "poll": {"options": ["a", "b", "c", "d"], "minutes": 10_080}}),
    ("create_tweet", {"photos": [{"source": "$photo", "alt_text": "A cat"}], "tagged_user_ids": ["12"]}),
    ("create_tweet", {"media_ids": ["$media"]}),
    ("upload_video", {"video": "$video"}),
    (
        "upload_video",
        {
            "video": "$video", "text": "Look", "reply_to": "27", "reply_settings": "verified", "long_post": True,
            "made_with_ai": True, "paid_partnership": True,
        },
    ),
]  # fmt: skip

TELEGRAM: list[tuple[str, dict[str, Any]]] = [
    ("get_me", {}),
    (
        "send_message",
        {
            "chat_id": 5551234, "text": "Hi", "parse_mode": "html", "link_preview": False, "message_thread_id": 7,
            "disable_notification": True, "protect_content": True,
        },
    ),
    ("send_message", {"chat_id": "@channel", "text": "Hi", "parse_mode": "markdown_v2"}),
    ("send_message", {"chat_id": "5551234", "text": "Hi", "reply_to_message_id": 1}),
    ("send_message", {"chat_id": -400, "text": "Hi"}),
    (
        "send_photo",
        {
            "chat_id": 5551234, "photo": "https://example.com/a.jpg", "caption": "Look", "parse_mode": "html",
            "show_caption_above_media": True, "has_spoiler": True, "reply_to_message_id": 1, "message_thread_id": 7,
            "disable_notification": True, "protect_content": True,
        },
    ),
    (
        "send_photo",
        {
            "chat_id": 5551234, "photo": "$photo", "caption": "Look", "parse_mode": "html", "has_spoiler": True,
            "reply_to_message_id": 1, "message_thread_id": 7,
        },
    ),
    ("get_updates", {}),
    ("get_updates", {"offset": 5, "limit": 100, "timeout": 0}),
    ("get_chat", {"chat_id": 42}),
]  # fmt: skip
