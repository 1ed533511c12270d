"""Transformer temperatures of ETTh1, beside published results: docs/forecasting.md."""
