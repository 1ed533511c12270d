"""A search for good arguments with Optuna, which ends trials that fall behind.

    pip install 'fastlstm[sklearn]' optuna
    python examples/optuna_search.py

`Pruning` goes with every estimator that is fitted itself, and with a `Trainer`.
"""

import numpy as np
import optuna
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fastlstm as fl
from fastlstm.estimators import LSTMClassifier


class Pruning(fl.Callback):
    """Tells a trial how it stands after each epoch, and ends it when Optuna says so."""

    def __init__(self, trial, figure="val_loss"):
        self.trial, self.figure = trial, figure

    def on_epoch_end(self, progress):
        self.trial.report(progress.logs[self.figure], progress.epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def classifier(trial, callbacks=()):
    return LSTMClassifier(
        hidden_size=trial.suggest_int("hidden_size", 4, 64, log=True),
        cell=trial.suggest_categorical("cell", ["lstm", "gru"]),
        learning_rate_init=trial.suggest_float("learning_rate_init", 1e-4, 3e-2, log=True),
        n_steps=8,
        max_iter=15,
        early_stopping=True,
        random_state=0,
        callbacks=callbacks,
    )


def main(trials=15):
    images, digits = load_digits(return_X_y=True)
    x, held, y, truth = train_test_split(images, digits, random_state=0)
    seen = {}

    def objective(trial):
        fitted = classifier(trial, [Pruning(trial)]).fit(x, y)
        seen[trial.number] = fitted.predict_proba(held)
        return min(fitted.history_["val_loss"])

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=3)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0), pruner=pruner)
    study.optimize(objective, n_trials=trials)

    pruned = study.get_trials(states=[optuna.trial.TrialState.PRUNED])
    best = classifier(study.best_trial).fit(x, y)
    print(f"{len(pruned)} of {trials} trials were pruned; the best, {study.best_params},")
    print(f"has {best.score(held, truth):.1%} of the digits right that nobody has seen")
    assert pruned and best.score(held, truth) > 0.9
    assert np.array_equal(best.predict_proba(held), seen[study.best_trial.number])
    print("trained again, it has the bits of its trial")


if __name__ == "__main__":
    main()
