"""What applications reach on real data: each study trains, measures, and writes a page of docs/ and its pictures."""

from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
