"""Data for a training: windows of series, splits in order of time, and batches of data larger than memory."""

from fastlstm.data.arrays import Arrays as Arrays
from fastlstm.data.epochs import Epochs as Epochs
from fastlstm.data.epochs import FromGenerator as FromGenerator
from fastlstm.data.frames import Frames as Frames
from fastlstm.data.prefetch import prefetch as prefetch
from fastlstm.data.splits import Split as Split
from fastlstm.data.splits import split as split
from fastlstm.data.windows import windows as windows
