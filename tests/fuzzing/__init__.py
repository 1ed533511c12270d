"""Damaged files by the thousand: whatever is in a file, its reader says ValueError or OSError, soon and in little room."""
