"""What the demo shop sells."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

SHOP_URL: Final = "https://shop.example.com"


class Product(NamedTuple):
    """One article of the shop. Prices are in euros and never end in a zero, so they print as written."""

    id: str
    name: str
    category: str
    price: float

    @property
    def url(self) -> str:
        return f"{SHOP_URL}/p/{self.id}"

    def viewed(self) -> dict[str, Any]:
        """The data of an event about looking at it."""
        return {
            "product_id": self.id,
            "product_name": self.name,
            "product_url": self.url,
            "category": self.category,
            "price": self.price,
        }

    def line(self, quantity: int) -> dict[str, Any]:
        """Its line in a cart or an order."""
        return {"product_id": self.id, "name": self.name, "price": self.price, "quantity": quantity}


PRODUCTS: Final = tuple(
    Product(f"p{number:02d}", name, category, price)
    for number, (name, category, price) in enumerate(
        [
            ("House Espresso, 250 g", "coffee", 8.95),
            ("Morning Filter, 250 g", "coffee", 9.45),
            ("Ethiopia Sidamo, 250 g", "coffee", 12.95),
            ("Decaf Huila, 250 g", "coffee", 10.95),
            ("Espresso Bundle, 1 kg", "coffee", 29.95),
            ("Tasting Box, 6 × 80 g", "coffee", 24.95),
            ("Sencha, 100 g", "tea", 9.95),
            ("Earl Grey, 100 g", "tea", 7.95),
            ("Mountain Herbs, 80 g", "tea", 6.95),
            ("Matcha, 30 g", "tea", 18.95),
            ("Chai Set", "tea", 21.95),
            ("Pour-over Dripper", "gear", 19.95),
            ("Gooseneck Kettle", "gear", 59.95),
            ("Hand Grinder", "gear", 74.95),
            ("Stovetop Pot", "gear", 34.95),
            ("Digital Scale", "gear", 27.95),
            ("Espresso Machine Uno", "machines", 189.95),
            ("Milk Frother", "machines", 44.95),
            ("Electric Grinder", "machines", 129.95),
            ("Stoneware Mug", "table", 14.95),
            ("Cup and Saucer, set of two", "table", 22.95),
            ("Glass Teapot", "table", 31.95),
            ("Oat Biscuits", "pantry", 4.95),
            ("Dark Chocolate, 3 bars", "pantry", 11.95),
        ],
        start=1,
    )
)

# People look at everything and mostly buy what they drink up.
LOOKED_AT: Final = tuple({"coffee": 5, "tea": 3, "machines": 2}.get(p.category, 2) for p in PRODUCTS)
BOUGHT: Final = tuple(
    {"coffee": 10, "tea": 7, "pantry": 6, "machines": 1}.get(p.category, 2) for p in PRODUCTS
)
