"""What the shop of the sample sells and who its customers are. No person here is real."""

from __future__ import annotations

from typing import Any

SHOP = "https://shop.example.com"
CITIES = ("Lisbon", "Ghent", "Turku", "Brno", "Leeds", "Zürich", "Kraków", "Bilbao")
FIRST_NAMES = ("Ada", "Bruno", "Chiara", "Elif", "Goran", "Hanna", "Léa", "Mateo", "Sven", "Tomasz")
LAST_NAMES = (
    "Almeida",
    "Bauer",
    "Dvořák",
    "Eriksen",
    "García",
    "Horvat",
    "Ilić",
    "Moreau",
    "Okafor",
)
REFERRERS = ("search", "newsletter", "friend", "advert")

_WARES = (
    ("Tea", "Sencha 100 g", 9.9),
    ("Tea", "Darjeeling 100 g", 11.5),
    ("Tea", "Rooibos 250 g", 7.25),
    ("Tea", "Earl Grey 100 g", 8.4),
    ("Coffee", "Espresso beans 1 kg", 18.99),
    ("Coffee", "Filter roast 500 g", 12.49),
    ("Coffee", "Decaf 250 g", 8.95),
    ("Kitchen", "Moka pot", 34.0),
    ("Kitchen", "Gooseneck kettle", 59.9),
    ("Kitchen", "Burr grinder", 89.0),
    ("Kitchen", "Milk jug", 14.75),
    ("Kitchen", "Tea strainer", 5.3),
    ("Porcelain", "Café mug", 12.0),
    ("Porcelain", "Espresso cups, set of 4", 28.6),
    ("Porcelain", "Teapot 1.2 l", 42.35),
    ("Porcelain", "Cake plate", 16.8),
    ("Sweets", "Shortbread", 4.15),
    ("Sweets", "Dark chocolate 80 %", 3.95),
    ("Sweets", "Almond biscotti", 5.6),
    ("Sweets", "Honey 250 g", 6.45),
)


def products() -> list[dict[str, Any]]:
    """The wares as Segment's e-commerce spec describes a product; prices in euros."""
    return [
        {
            "product_id": f"p-{number:03}",
            "sku": f"SKU-{number:03}",
            "name": name,
            "category": category,
            "brand": "Example & Daughters",
            "price": price,
            "url": f"{SHOP}/p/{number:03}",
            "image_url": f"{SHOP}/img/{number:03}.jpg",
        }
        for number, (category, name, price) in enumerate(_WARES, start=1)
    ]


def ware_of(product_id: str) -> dict[str, Any]:
    """The product with that id."""
    return next(ware for ware in products() if ware["product_id"] == product_id)
