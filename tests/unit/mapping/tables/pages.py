"""page and screen."""

from __future__ import annotations

from pipeline.errors import Reason
from tests.unit.mapping.tables.row import Row, Table, options, page, pageview

URL = "https://news.example/a"
BY_U1 = {"url": URL, "userIdKey": "extid", "userIdValue": "u1"}
ON = {"customer_id": "c1"}

PAGES = Table(
    "Page, screen -> the pageview endpoint",
    "The endpoint of Sailthru's own tag; it is on another host and takes the customer id as bearer"
    " token.",
    (
        Row("a page is a pageview", page({"url": URL}), (pageview(**BY_U1),), settings=ON),
        Row(
            "the url of a page may be in context.page",
            page(context={"page": {"url": URL}}),
            (pageview(**BY_U1),),
            settings=ON,
        ),
        Row(
            "properties.url comes first",
            page({"url": URL}, context={"page": {"url": "https://news.example/b"}}),
            (pageview(**BY_U1),),
            settings=ON,
        ),
        Row(
            "keywords are tags",
            page({"url": URL, "keywords": ["football", "new york giants", "eli manning"]}),
            (pageview(**BY_U1, tags="football,new york giants,eli manning"),),
            settings=ON,
        ),
        Row(
            "tags come before keywords",
            page({"url": URL, "keywords": ["football"], "tags": "a,b"}),
            (pageview(**BY_U1, tags="a,b"),),
            settings=ON,
        ),
        Row(
            "a visitor's page is a pageview of the anonymousId",
            {"type": "page", "anonymousId": "anon-1", "properties": {"url": URL}},
            (pageview(url=URL, userIdKey="extid", userIdValue="anon-1"),),
            settings=ON,
        ),
        Row(
            "the mail that led here is credited",
            page({"url": URL}, integrations=options(messageId="bid1")),
            (pageview(**BY_U1, messageId="bid1"),),
            settings=ON,
        ),
        Row(
            "the tag's other fields are passed on; here false is a value",
            page({"url": URL, "useStoredTags": False, "visitorId": "v1"})
            | {"integrations": options(exclude_content="1")},
            (pageview(**BY_U1, visitorId="v1", useStoredTags=False, excludeContent=True),),
            settings=ON,
        ),
        Row(
            "a screen with a url is a pageview, with TRACK_SCREENS",
            {"type": "screen", "userId": "u1", "properties": {"url": URL}},
            (pageview(**BY_U1),),
            settings={**ON, "track_screens": True},
        ),
        Row(
            "a page without a url is refused",
            page({"title": "Home"}),
            refused=(Reason.UNMAPPABLE, "properties.url"),
            settings=ON,
        ),
        Row(
            "a page whose url is no absolute address is refused",
            page({"url": "/a"}),
            refused=(Reason.UNMAPPABLE, "properties.url"),
            settings=ON,
        ),
        Row(
            "a relative url starts at the page's",
            page({"url": "/a"}, context={"page": {"url": "https://news.example/b"}}),
            (pageview(**BY_U1),),
            settings=ON,
        ),
        Row(
            "one without a scheme gets https",
            page({"url": "//news.example/a"}),
            (pageview(**BY_U1),),
            settings=ON,
        ),
        Row(
            "a url that is no address is left out if the page has one",
            page({"url": ["https://news.example/b"]}, context={"page": {"url": URL}}),
            (pageview(**BY_U1),),
            notes={"properties.url": "must be a string"},
            settings=ON,
        ),
        Row(
            "tags and keywords of false are none",
            page({"url": URL, "tags": False, "keywords": ["x"]}),
            (pageview(**BY_U1, tags="x"),),
            settings=ON,
        ),
        Row(
            "a name that is no text costs no page",
            page({"url": URL}, name={"en": "Home"}, category=False),
            (pageview(**BY_U1),),
            notes={"name": "must be a string"},
            settings=ON,
        ),
    ),
)
