"""Language models: a network learns how a text continues, by characters or words, and writes more of it."""

from fastlstm.text.language_model import LanguageModel as LanguageModel
from fastlstm.text.reading import read_text as read_text
from fastlstm.text.reading import split as split
from fastlstm.text.recipe import Recipe as Recipe
from fastlstm.text.sampling import Sampler as Sampler
from fastlstm.text.sampling import probabilities as probabilities
from fastlstm.text.vocabulary import Vocabulary as Vocabulary
