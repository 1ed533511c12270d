"""How far an LSTM remembers, in tasks made for that: docs/long-memory.md."""
