"""Speech: single words and strings of words from WAV files (needs the extra ``speech``)."""

from fastlstm.speech.augment import Augment as Augment
from fastlstm.speech.classifier import WordClassifier as WordClassifier
from fastlstm.speech.features import LogMel as LogMel
from fastlstm.speech.reader import StringReader as StringReader
from fastlstm.speech.recogniser import Recogniser as Recogniser
from fastlstm.speech.recordings import Recording as Recording
from fastlstm.speech.recordings import read_recordings as read_recordings
from fastlstm.speech.strings import Strings as Strings
from fastlstm.speech.vad import Segment as Segment
from fastlstm.speech.vad import VoiceActivity as VoiceActivity
from fastlstm.speech.vad import VoiceStream as VoiceStream
from fastlstm.speech.wav import read_wav as read_wav
