"""Layers and models to and from PyTorch. What needs torch imports it when it is called."""

from fastlstm.io.torch.reading import from_torch as from_torch
from fastlstm.io.torch.writing import to_torch as to_torch
