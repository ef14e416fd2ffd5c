"""Products of Segment's e-commerce spec as items of Sailthru's purchases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from pipeline.events.models import Event
from pipeline.fields import Notes, is_nothing
from pipeline.mapping.flatten import flat_vars
from pipeline.mapping.numbers import cents, decimals, not_negative, quantity, signed_cents
from pipeline.mapping.options import page_url
from pipeline.mapping.values import (
    empty_keys,
    field,
    identifier,
    reject,
    text,
    texts,
    unpacked,
)
from pipeline.roles import Role
from pipeline.settings import AccountSettings

IDS = {
    "product_id": ("product_id", "id", "sku"),
    "sku": ("sku", "product_id", "id"),
    "variant_id": ("variant_id", "sku", "product_id", "id"),
}
"""Where an item's id stands, by what it is to be (CART_ITEM_ID); the first that a product has."""
_ID = IDS["product_id"]
_TITLE = ("name", "title")
_IMAGES = {"full": ("image_url",), "thumb": ("image_url_thumb",)}
_FIELDS = (_TITLE, ("quantity",), ("price",))
_NAMES = (*IDS["variant_id"], *chain.from_iterable((*_FIELDS, *_IMAGES.values())))


@dataclass(frozen=True, slots=True)
class Reading:
    """What the products of one event are read with.

    page: context.page.url, as it was written.
    decimals: how many of each amount are sent.
    ids: where the id of an item stands, the first that counts first.
    host: that of PRODUCT_BASE_URL, when a product's address must be on it: what a page says could lead anywhere, and
        stands in the reminder that the shop sends.
    """

    settings: AccountSettings
    notes: Notes
    page: str | None
    decimals: int
    ids: tuple[str, ...] = _ID
    host: str | None = None

    @property
    def is_classic(self) -> bool:
        """Whether an item has no tags and images, as in Segment's first destination: they are vars."""
        return self.settings.mapping == "classic"

    def absolute(self, url: str | None) -> str | None:
        """A product's or picture's address, whole: PRODUCT_BASE_URL's, else the page's, if it is relative."""
        base = self.settings.product_base_url
        return absolute_url(url, f"{base}/" if base else self.page)

    def signed(self, amount: object, where: str) -> int:
        """An amount in cents, or in what the event's currency has instead."""
        return signed_cents(amount, where, self.decimals)

    def positive(self, amount: object, where: str) -> int:
        """As `signed`. Raises Unreadable for an amount below zero."""
        return cents(amount, where, self.decimals)


def reading_of(
    event: Event, settings: AccountSettings, notes: Notes, ids: tuple[str, ...] = _ID
) -> Reading:
    """How the products of this event are read; what they go out without is added to `notes`."""
    sent = decimals(event.properties, settings.zero_decimal_prices)
    base = settings.product_base_url if event.role is Role.BROWSER else None
    host = _host(base) if base else None
    return Reading(settings, notes, page_url(event, notes), sent, ids, host)


def item_id(product: Mapping[str, Any], where: str, ids: tuple[str, ...] = _ID) -> str:
    """product_id, else V1's id, else the SKU; or as `ids` says."""
    key, value = field(product, ids)
    found = identifier(value, f"{where}.{key}")
    return found or reject(f"{where}.product_id", "is missing")


def optional_item_id(product: Mapping[str, Any], where: str, notes: Notes) -> str | None:
    """As `item_id`, for where Sailthru needs none."""
    key, value = field(product, _ID)
    return notes.optional(identifier, value, f"{where}.{key}")


def item_quantity(product: Mapping[str, Any], where: str) -> int:
    """The product's quantity, 1 when it has none."""
    return quantity(field(product, ("quantity",))[1], f"{where}.quantity")


def purchase_item(
    product: Mapping[str, Any],
    where: str,
    reading: Reading,
    not_vars: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """One item for POST /purchase; what no item field takes becomes its vars.

    where: the product's place in the event, for refusals and notes.
    not_vars: further keys of `product` that are no product fields.

    Raises:
        MappingRejected: unmappable, when one of id, title, qty, price, url is missing or absurd.
    """
    title_key, title = field(product, _TITLE)
    item: dict[str, Any] = {
        "id": item_id(product, where, reading.ids),
        "title": text(title, f"{where}.{title_key}") or reject(f"{where}.name", "is missing"),
        "qty": item_quantity(product, where),
        "price": not_negative(signed_price(product, where, reading), f"{where}.price"),
        "url": item_url(product, where, reading),
    }
    return item | _extras(product, where, reading, not_vars)


def newest_fields(
    product: Mapping[str, Any],
    where: str,
    reading: Reading,
    not_vars: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """What an item that is in the cart already takes from the product that is added to it.

    All that the event says of it; the page's url is none of it.
    """
    _, price = field(product, ("price",))
    has_price = price is not None
    found = {
        "title": item_title(product, where, reading.notes),
        "price": reading.notes.optional(reading.positive, price, f"{where}.price")
        if has_price
        else None,
        "url": _own_url(product, where, reading),
    }
    given = {name: value for name, value in found.items() if value is not None}
    return given | _extras(product, where, reading, not_vars)


def item_title(product: Mapping[str, Any], where: str, notes: Notes) -> str | None:
    """The product's name, for where Sailthru needs none."""
    key, value = field(product, _TITLE)
    return notes.optional(text, value, f"{where}.{key}")


def _extras(
    product: Mapping[str, Any], where: str, reading: Reading, not_vars: frozenset[str]
) -> dict[str, Any]:
    notes, keys = reading.notes, not_vars | _item_keys(product, reading)
    extras: dict[str, Any] = {"vars": flat_vars(product, reading.settings, where, notes, keys)}
    if not reading.is_classic:
        extras["tags"] = read_tags(product.get("tags"), f"{where}.tags", notes)
        extras["images"] = _images(product, where, reading)
    return {name: value for name, value in extras.items() if value}


def _item_keys(product: Mapping[str, Any], reading: Reading) -> frozenset[str]:
    """The keys that are no vars: what was read as a field of the item, and what holds nothing."""
    fields: tuple[tuple[str, ...], ...] = (reading.ids, *_FIELDS)
    taken = {"url"}
    if not reading.is_classic:
        fields, taken = (*fields, *_IMAGES.values()), {"url", "tags", "images"}
    taken |= {field(product, names)[0] for names in fields}
    return empty_keys(product, _NAMES) | taken


def signed_price(product: Mapping[str, Any], where: str, reading: Reading) -> int:
    """The unit price in cents, which is negative for a line that takes off a discount."""
    _, price = field(product, ("price",))
    if price is None:
        reject(f"{where}.price", "is missing")
    return reading.signed(price, f"{where}.price")


def item_url(product: Mapping[str, Any], where: str, reading: Reading) -> str:
    """The product's own url (made absolute), else PRODUCT_BASE_URL and its id, else the page's.

    The documents know only the last fallback (reference: document 001); but the page of an order
    is the checkout, so a base url that an operator configured is better. Classic prefers the page's,
    as document 002 has it.
    """
    base, page = reading.settings.product_base_url, absolute_url(reading.page, None)
    if page and reading.host not in (None, _host(page)):
        page = None
    if reading.is_classic and page:
        return page
    own = _own_url(product, where, reading)
    if own is None and base:
        return f"{base}/{quote(item_id(product, where), safe='')}"
    is_missing = is_nothing(product.get("url"))
    problem = "is missing" if is_missing else "must be an absolute address"
    return own or page or reject(f"{where}.url", f"{problem}, and context.page.url is none")


def _own_url(product: Mapping[str, Any], where: str, reading: Reading) -> str | None:
    given = reading.notes.optional(identifier, product.get("url"), f"{where}.url")
    own = reading.absolute(given)
    if given and own is None:
        reading.notes.add(f"{where}.url", "must be an absolute address")
    if own and reading.host not in (None, _host(own)):
        reading.notes.add(f"{where}.url", "must be on the host of PRODUCT_BASE_URL")
        return None
    return own


def _host(url: str) -> str:
    """Host and port of a web address, without the login that may stand before them."""
    return urlsplit(url).netloc.rpartition("@")[2].casefold()


def normal_images(images: object) -> dict[str, Any]:
    """Images as POST wants them: GET /user gives `"full": "https://..."`, POST takes an object."""
    if not isinstance(images, Mapping):
        return {}
    given = {name: {"url": one} if isinstance(one, str) else one for name, one in images.items()}
    return {name: one for name, one in given.items() if isinstance(one, Mapping) and one.get("url")}


def is_web_url(url: str) -> bool:
    """Whether this is an absolute http(s) address without blanks or control characters."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if " " in url or not url.isprintable():
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


def absolute_url(url: str | None, base: str | None) -> str | None:
    """`url` as a web address, reckoned from `base` if it is relative; None when it is none.

    `//cdn.example/a.jpg` leaves the scheme to the page it stands in; in a mail there is none.
    """
    if url and url.startswith("//"):
        url = f"https:{url}"
    if url is None or base is None:
        return url if url and is_web_url(url) else None
    try:
        whole = urljoin(base, url)
    except ValueError:
        return None
    return whole if is_web_url(whole) else None


def read_tags(tags: object, where: str, notes: Notes) -> list[str] | str | None:
    """As a list, or as they are when they are one text."""
    tags = unpacked(tags)
    if isinstance(tags, list | Mapping):
        return texts(tags, where, notes)
    return notes.optional(text, tags, where)


def _images(product: Mapping[str, Any], where: str, reading: Reading) -> dict[str, Any]:
    images: dict[str, Any] = {}
    for size, names in _IMAGES.items():
        key, value = field(product, names)
        given = _image_url(value, f"{where}.{key}", reading.notes)
        url = reading.absolute(given)
        if url:
            images[size] = {"url": url}
        elif given:
            reading.notes.add(f"{where}.{key}", "must be an absolute address")
    return images


def _image_url(value: object, where: str, notes: Notes) -> str | None:
    if not isinstance(value, list):
        return notes.optional(identifier, value, where)
    notes.add(where, "must be one address: only the first of the list is taken")
    addresses = (notes.optional(identifier, one, f"{where}.{n}") for n, one in enumerate(value))
    return next((url for url in addresses if url), None)
