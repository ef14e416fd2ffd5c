"""The paths by which notes are counted: a closed list, however senders name and nest their fields. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pipeline.events.integrations import OPTIONS, folded

_PRODUCT = (
    *("product_id", "id", "sku", "variant_id", "name", "title", "quantity", "price"),
    *("url", "image_url", "image_url_thumb", "images", "tags"),
)
_PRICED = ("title", "price")
_ORDER = ("products", "order_id", "checkout_id", "shipping", "tax", "discount", "adjustments")
_FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "": (
            *("timestamp", "messageId", "anonymousId", "name", "category"),
            *("context", "traits", "properties", "integrations"),
        ),
        "context": ("page", "traits"),
        "context.page": ("url",),
        "context.traits": ("email",),
        "traits": ("email",),
        "properties": ("email", "keywords", *_ORDER, *_PRODUCT, *OPTIONS),
        "properties.products[]": _PRODUCT,
        "properties.adjustments[]": _PRICED,
        "properties.tenders[]": _PRICED,
        "integrations": ("Sailthru",),
        "integrations.Sailthru": OPTIONS,
        "integrations.Sailthru.tenders[]": _PRICED,
    }
)
"""Objects in an event, and those of their fields that have a name of their own in a count."""
_BY_PLAIN_NAME = {place: {folded(name): name for name in names} for place, names in _FIELDS.items()}
_DESTINATION = "integrations"
OTHER = "*"


def counted_path(path: str) -> str:
    """The path that a note about `path` is counted under: `properties.products[].image_url` for each product.

    A field that only its sender knows is `*` of the object it stands in, and a place inside a field is that field.
    """
    place = ""
    for name in path.split("."):
        if f"{place}[]" in _FIELDS and name.isdigit():
            place = f"{place}[]"
        elif place not in _FIELDS:
            break
        elif place == _DESTINATION:  # options of another destination are not read
            place = f"{place}.Sailthru"
        elif known := _BY_PLAIN_NAME[place].get(folded(name)):
            place = _join(place, known)
        else:
            return _join(place, OTHER)
    return place


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


COUNTED_PATHS = tuple(
    sorted(
        {_join(place, name) for place, names in _FIELDS.items() for name in (*names, OTHER)}
        | {*_FIELDS} - {""}
    )
)
"""Every answer of `counted_path`."""
