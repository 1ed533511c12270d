"""Damaged files by the thousand: a reader says ValueError or OSError, soon and in little room."""
