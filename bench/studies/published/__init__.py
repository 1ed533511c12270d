"""Published models with our layers, beside the code that they came with: one file for each of them."""
