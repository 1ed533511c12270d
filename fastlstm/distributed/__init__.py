"""Past one machine: training on several processes, bulk inference on engines that exist, many small models."""

from fastlstm.communicator import Communicator as Communicator
from fastlstm.distributed.many import map_models as map_models
from fastlstm.distributed.mpi import launched as launched
from fastlstm.distributed.mpi import mpi as mpi
from fastlstm.distributed.predictor import Predictor as Predictor
from fastlstm.distributed.torch_group import torch as torch
