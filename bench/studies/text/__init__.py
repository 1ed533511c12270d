"""Character-level text: the same training in fastlstm and in PyTorch, and the best recipe that was found."""
