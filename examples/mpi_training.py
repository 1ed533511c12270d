"""Train one model on several processes: mpiexec -n 2 python examples/mpi_training.py

It needs `pip install 'fastlstm[mpi]'`. Without mpiexec it is a training in one process.
"""

import numpy as np

import fastlstm as fl


def train(ranks: fl.distributed.Communicator | None) -> tuple[fl.Model, fl.History]:
    """Every rank makes the same calls with the same arguments; the seed gives all the same model."""
    x = np.random.default_rng(0).normal(size=(512, 20, 1)).astype("float32")
    model = fl.Model([fl.LSTM(1, 16), fl.Last(), fl.Dense(16, 1)], seed=0)
    trainer = fl.Trainer(model, "mse", fl.Adam(0.01), communicator=ranks, reproducible=True)
    history = trainer.fit(x, x.sum(1), epochs=15, batch_size=64, seed=0, progress=False)  # 64 of all ranks together
    return model, history


def main() -> None:
    ranks = fl.distributed.mpi()
    model, history = train(ranks)
    if ranks.rank == 0:
        first, *_, last = history["loss"]
        print(f"{ranks.size} ranks: loss {first:.2f} in the first epoch, {last:.2f} in the last")
        alone, _ = train(None)
        for ours, theirs in zip(model.parameters(), alone.parameters(), strict=True):
            assert np.array_equal(ours.value, theirs.value)
        print("the parameters have the bits of a training in one process")


if __name__ == "__main__":
    main()
