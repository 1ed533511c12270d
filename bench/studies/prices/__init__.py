"""What can be forecast of a price, and how to tell: docs/stocks.md."""
