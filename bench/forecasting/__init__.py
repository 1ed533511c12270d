"""Forecasters beside each other, on series that packages carry."""
