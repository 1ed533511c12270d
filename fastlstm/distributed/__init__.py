"""Past one machine: training on several processes."""

from fastlstm.communicator import Communicator as Communicator
from fastlstm.distributed.mpi import launched as launched
from fastlstm.distributed.mpi import mpi as mpi
from fastlstm.distributed.torch_group import torch as torch
