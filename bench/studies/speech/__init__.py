"""Spoken digits, alone and in strings: docs/speech.md."""
