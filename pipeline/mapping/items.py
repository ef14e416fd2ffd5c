"""Products of Segment's e-commerce spec as items of Sailthru's purchases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from pipeline.mapping.flatten import flat_vars
from pipeline.mapping.values import cents, field, quantity, refuse, text
from pipeline.settings import AccountSettings

_ID = ("product_id", "id", "sku")
_TITLE = ("name", "title")
_IMAGES = {"full": ("image_url",), "thumb": ("image_url_thumb",)}


def find_item_id(product: Mapping[str, Any], where: str) -> str | None:
    """product_id, else V1's id, else the SKU."""
    key, value = field(product, _ID)
    return text(value, f"{where}.{key}")


def item_id(product: Mapping[str, Any], where: str) -> str:
    """As `find_item_id`, for where Sailthru needs one."""
    return find_item_id(product, where) or refuse(f"{where}.product_id", "is missing")


def item_quantity(product: Mapping[str, Any], where: str) -> int:
    """The product's quantity, 1 when it has none."""
    return quantity(field(product, ("quantity",))[1], f"{where}.quantity")


def purchase_item(
    product: Mapping[str, Any],
    page_url: str | None,
    settings: AccountSettings,
    where: str,
    not_vars: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """One item for POST /purchase; what no item field takes becomes its vars.

    where: the product's place in the event, for refusals.
    not_vars: further keys of `product` that are no product fields.

    Raises:
        Rejected: unmappable, when one of id, title, qty, price, url is missing or absurd.
    """
    taken = {field(product, names)[0] for names in (_ID, _TITLE, ("quantity",), ("price",))}
    taken |= {field(product, names)[0] for names in _IMAGES.values()}
    title_key, title = field(product, _TITLE)
    item: dict[str, Any] = {
        "id": item_id(product, where),
        "title": text(title, f"{where}.{title_key}") or refuse(f"{where}.name", "is missing"),
        "qty": item_quantity(product, where),
        "price": item_price(product, where),
        "url": item_url(product, page_url, settings, where),
    }
    extras = {
        "tags": _tags(product.get("tags"), f"{where}.tags"),
        "images": _images(product, where),
        "vars": flat_vars(product, settings, where, not_vars | taken | {"url", "tags", "images"}),
    }
    return item | {name: value for name, value in extras.items() if value}


def item_price(product: Mapping[str, Any], where: str) -> int:
    """The unit price in cents."""
    _, price = field(product, ("price",))
    if price is None:
        refuse(f"{where}.price", "is missing")
    return cents(price, f"{where}.price")


def item_url(
    product: Mapping[str, Any], page_url: str | None, settings: AccountSettings, where: str
) -> str:
    """The product's own url (made absolute), else PRODUCT_BASE_URL and its id, else the page's.

    The documents know only the last fallback (reference: document 001); but the page of an order
    is the checkout, so a base url that somebody configured is better. Classic prefers the page's,
    as document 002 has it.
    """
    base = settings.product_base_url
    own = _absolute(text(product.get("url"), f"{where}.url"), f"{base}/" if base else page_url)
    page = _absolute(page_url, None)
    if settings.mapping == "classic" and page:
        return page
    if own is None and base:
        return f"{base}/{quote(item_id(product, where), safe='')}"
    return own or page or refuse(f"{where}.url", "is missing, and context.page.url too")


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


def _absolute(url: str | None, base: str | None) -> str | None:
    if url is None or base is None:
        return url if url and is_web_url(url) else None
    try:
        whole = urljoin(base, url)
    except ValueError:
        return None
    return whole if is_web_url(whole) else None


def _tags(tags: object, where: str) -> list[str] | str | None:
    if not isinstance(tags, list):
        return text(tags, where)
    return [tag for tag in (text(one, where) for one in tags) if tag]


def _images(product: Mapping[str, Any], where: str) -> dict[str, Any]:
    images: dict[str, Any] = {}
    for size, names in _IMAGES.items():
        key, value = field(product, names)
        url = text(value, f"{where}.{key}")
        if url:
            images[size] = {"url": url}
    return images
