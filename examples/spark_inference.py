"""Labels for sequences in a table of Spark.

    pip install 'fastlstm[spark]'
    python examples/spark_inference.py

It runs Spark on two processors of this machine. On a cluster leave `master` out, and start it with spark-submit.
"""

import os
import sys

import numpy as np
from pyspark.sql import SparkSession
from pyspark.sql.types import FloatType, StructField, StructType

import fastlstm as fl

os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # the workers run the Python that has fastlstm


def visits(n):
    """Pages that visitors have seen, each with as many as there were."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 50, size=rng.integers(1, 20)).tolist() for _ in range(n)]


def main(rows=2000):
    model = fl.Model([fl.Embedding(50, 8), fl.LSTM(8, 16), fl.Last(), fl.Dense(16, 2)], seed=0)
    pages = visits(rows)
    lengths = np.array([len(one) for one in pages])
    x = np.array([one + [0] * (lengths.max() - len(one)) for one in pages])
    bought = np.array([7 in one for one in pages]).astype(int)
    trainer = fl.Trainer(model, fl.softmax_cross_entropy, fl.Adam(lr=0.01))
    trainer.fit(x, bought, lengths=lengths, epochs=3, progress=False)

    spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    table = spark.createDataFrame(list(enumerate(pages)), schema="visit long, pages array<int>").repartition(4)
    predictor = fl.Predictor(model, columns="pages", lengths=True, output=["leaves", "buys"])
    scores = [StructField(name, FloatType()) for name in predictor.output]
    done = table.mapInArrow(predictor, StructType([*table.schema.fields, *scores]))
    rows_found = done.select("visit", "leaves", "buys").orderBy("visit").collect()
    print(f"{rows} visits went through {done.rdd.getNumPartitions()} partitions of Spark")
    spark.stop()

    found = np.array([row[1:] for row in rows_found], "f4")
    assert np.array_equal(found, model.predict(x, lengths=lengths))
    print(f"all scores have the bits of one process; {(found.argmax(1) == bought).mean():.0%} of the labels are right")


if __name__ == "__main__":
    main()
