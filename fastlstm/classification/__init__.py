"""Classification of texts: to which of some classes, such as good and bad, a text belongs."""

from fastlstm.classification.classifier import Classifier as Classifier
from fastlstm.classification.reading import Texts as Texts
from fastlstm.classification.reading import read_text as read_text
from fastlstm.classification.reading import read_texts as read_texts
from fastlstm.classification.recipe import Recipe as Recipe
from fastlstm.classification.vectors import word_vectors as word_vectors
from fastlstm.classification.vocabulary import Vocabulary as Vocabulary
from fastlstm.classification.vocabulary import split_words as split_words
