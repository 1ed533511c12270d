"""Opinions on films, by networks and by counting words: docs/classification.md."""
