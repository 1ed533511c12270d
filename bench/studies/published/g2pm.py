"""g2pM: the pinyin of Chinese sentences, whose characters may have several sounds each."""

from __future__ import annotations

import numpy as np

import fastlstm as fl

SENTENCES = [
    "然而，他红了20年以后，他竟退出了大家的视线。",
    "我喜欢音乐，音乐使我快乐。",
    "银行的行长在人行道上行走。",
    "他长得很高，头发也很长。",
    "这个地方的人都很得意地说着自己得到的东西。",
    "重庆的重要工程需要重新开始。",
    "大夫说他的血压还了得，还要还书。",
    "便宜的东西不一定方便，朝阳朝着太阳。",
]
"""With characters that have several sounds: 乐, 行, 长, 得, 地, 重, 还, 便, 朝."""


def model_of(theirs):
    """The network with the arrays of a `G2pM`: its embedding, a bidirectional LSTM, two maps."""
    parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    lstm = fl.io.from_torch(
        {f"{part}_l0{end}": getattr(theirs, part + end) for part in parts for end in ("", "_reverse")}
    )
    tokens, size = theirs.embeddings.shape
    hidden, inner = theirs.hidden_weight_l0.shape
    head = [fl.Dense(inner, hidden), fl.Activation("relu"), fl.Dense(hidden, len(theirs.hidden_weight_l1))]
    model = fl.Model([fl.Embedding(tokens, size), lstm, *head], dtype="float32")
    model.layers[0].parameter("weight").value = theirs.embeddings
    for place, k in ((2, 0), (4, 1)):
        for part in ("weight", "bias"):
            model.layers[place].parameter(part).value = getattr(theirs, f"hidden_{part}_l{k}")
    return model


def on_ours(theirs):
    """Let a `G2pM` choose sounds by our model; its dictionary and what it makes of the sounds stay."""
    model = model_of(theirs)

    def predict(inputs, target_idx):
        return np.argmax(model.predict(inputs)[0, target_idx], axis=1)

    theirs.predict = predict
    return theirs
