"""Scores of an answer against what it should have been, which need no judge. All are percentages, 100 is best. Pure.

- exact match: as the question-answering sets count it (Rajpurkar et al. 2016, SQuAD), here without dropping articles,
  which Chinese does not have: equal after NFKC, case folding, and without spaces and punctuation at the ends.
- chrF: Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation", section 2: n-grams of characters
  without white space, n from 1 to 6; precision and recall are averaged over those n for which both texts have n-grams,
  and joined as F with beta 2.
- ROUGE-L: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries", section 3, with beta 1: the longest
  common subsequence of words over the words of either text, joined as F. A Chinese character is a word.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ORDER = 6
"""The longest n-grams of chrF."""
BETA = 2
"""How much more recall weighs in chrF than precision."""
_WORD = re.compile(r"[^\W_]+")
_IDEOGRAPH = re.compile(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])")
"""A Chinese or Japanese character: it is a word by itself."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Of one answer, or the mean of several."""

    exact_match: float
    chrf: float
    rouge_l: float

    @classmethod
    def of(cls, answer: str, reference: str) -> Scores:
        """Return the scores of an answer."""
        return cls(exact_match(answer, reference), chrf(answer, reference), rouge_l(answer, reference))


def mean_scores(scores: Sequence[Scores]) -> Scores | None:
    """Return the mean of each score; None of no scores."""
    if not scores:
        return None
    columns = zip(*((one.exact_match, one.chrf, one.rouge_l) for one in scores), strict=True)
    return Scores(*(sum(column) / len(scores) for column in columns))


def exact_match(answer: str, reference: str) -> float:
    """Return 100 for equal texts, else 0.

    >>> exact_match(" Paris. ", "paris"), exact_match("４２。", "42"), exact_match("Paris, France", "Paris")
    (100.0, 100.0, 0.0)
    """
    return 100.0 if _plain(answer) == _plain(reference) else 0.0


def chrf(answer: str, reference: str) -> float:
    """Return the F-score of n-grams of characters.

    >>> round(chrf("aby", "abx"), 3)  # of one character 2/3, of two 1/2, of three 0: precision and recall are 7/18
    38.889
    """
    texts = ["".join(text.split()) for text in (answer, reference)]
    precision = recall = 0.0
    orders = 0
    for length in range(1, ORDER + 1):
        given, wanted = (Counter(_ngrams(text, length)) for text in texts)
        if given and wanted:
            common = (given & wanted).total()
            precision += common / given.total()
            recall += common / wanted.total()
            orders += 1
    return 100 * _f_score(precision / orders, recall / orders, BETA) if orders else 100.0 * (texts[0] == texts[1])


def rouge_l(answer: str, reference: str) -> float:
    """Return the F-score of the longest common subsequence of words.

    >>> rouge_l("police kill the gunman", "police killed the gunman")  # the example of the paper
    75.0
    >>> rouge_l("今天下雨", "今天没有下雨")
    80.0
    """
    given, wanted = words_of(answer), words_of(reference)
    if not given or not wanted:
        return 100.0 * (given == wanted)
    common = _longest_common(given, wanted)
    return 100 * _f_score(common / len(given), common / len(wanted), 1)


def words_of(text: str) -> list[str]:
    """Return the words of a text: of Chinese each character, of other scripts runs of letters and digits.

    >>> words_of("Qwen3 说：你好, World!")
    ['qwen3', '说', '你', '好', 'world']
    """
    spaced = _IDEOGRAPH.sub(r" \1 ", unicodedata.normalize("NFKC", text).casefold())
    return _WORD.findall(spaced)


def _plain(text: str) -> str:
    text = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    ends = "".join({character for character in text if unicodedata.category(character).startswith("P")})
    return text.strip(f"{ends} ")


def _ngrams(text: str, length: int) -> Iterable[str]:
    return (text[start : start + length] for start in range(len(text) - length + 1))


def _f_score(precision: float, recall: float, beta: int) -> float:
    below = beta * beta * precision + recall
    return (1 + beta * beta) * precision * recall / below if below else 0.0


def _longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the length of the longest common subsequence: a row of the usual table at a time."""
    before = [0] * (len(other) + 1)
    for word in one:
        row = [0]
        for place, wanted in enumerate(other):
            row.append(before[place] + 1 if word == wanted else max(before[place + 1], row[place]))
        before = row
    return before[-1]
