"""Bytes made small for Redis: what a dead letter keeps for weeks. No I/O.

An event of a kilobyte alone compresses badly; most of its bytes are names that all events share. So the compressor
begins with a dictionary of these. DICTIONARY is part of the stored format: changing it raises FORMAT_NUMBER.
"""

from __future__ import annotations

import base64
import zlib

DICTIONARY = (
    b'"library":{"name":"analytics.js","version":"}"campaign":{"ip":"userAgent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64)'
    b' AppleWebKit/537.36 (KHTML, like Gecko) Chrome/ Safari/537.36"locale":"en-US","timezone":"Europe/"page":{"path":"/",'
    b'"referrer":"https://www.","search":"","title":"","url":"https://www.shop.example.com/products/'
    b'"integrations":{"All":true,"Sailthru":{"sentAt":"2026-"receivedAt":"2026-"originalTimestamp":"2026-'
    b'"reminder_template":"reminder_time":"+1 hours"vars":{"lists":{"optout_email":"none","keysconflict":"merge"'
    b'"keys":{"extid":"email":"@example.com"},"key":"extid","id":"'
    b'{"method":"POST","endpoint":"/purchase","params":{"email":"incomplete":1,"items":[{"id":"qty":1,"title":"price":'
    b'"url":"https://","images":{"full":{"url":"adjustments":[{"title":"tenders":[{"title":"date":"message_id":"'
    b'{"method":"GET","endpoint":"/user","params":{"fields":{"endpoint":"/event","params":{"event":"'
    b'"name":"firstName":"lastName":"phone":"address":{"city":"country":"postalCode":"currency":"EUR","USD","coupon":'
    b'"discount":0,"shipping":0,"tax":0,"revenue":"total":"category":"brand":"variant":"sku":"image_url":"https://'
    b'"products":[{"product_id":"p1","name":"","price":10.00,"quantity":1,"order_id":"o1","checkout_id":"cart_id":"'
    b'"event":"Product Added","Product Removed","Order Completed","Order Refunded","traits":{"email":"properties":{'
    b'{"type":"identify","page","track","userId":"","anonymousId":"","messageId":"","timestamp":"2026-11-27T10:00:00.000Z"'
    b'"context":{"traits":{"email":"'
)
LEAST = 80
"""Bytes below which packing saves nothing."""


def pack(raw: bytes) -> str | None:
    """As text that JSON and Lua carry unchanged (base64); None when that would be no shorter."""
    if len(raw) < LEAST:
        return None
    press = zlib.compressobj(6, zlib.DEFLATED, -15, 9, zdict=DICTIONARY)
    text = base64.b64encode(press.compress(raw) + press.flush()).decode()
    return text if len(text) < len(raw) else None


def unpack(text: str | bytes) -> bytes:
    """What `pack` was given. Raises ValueError or zlib.error for anything else."""
    press = zlib.decompressobj(-15, zdict=DICTIONARY)
    return press.decompress(base64.b64decode(text)) + press.flush()
