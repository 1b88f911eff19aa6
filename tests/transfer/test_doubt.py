from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qwen3ft_jupyter.transfer.doubt import ANOTHER_TOOL, Doubt, Trial
from qwen3ft_jupyter.transfer.journal import Record

NAMES = ("A", "B", "C")
TRUTH = bytes(range(12))


class File:
    """A file of twelve bytes, each of which somebody has brought."""

    def __init__(self, suppliers: list[str], wrong_at: dict[str, set[int]]) -> None:
        self.wrong_at = wrong_at
        self.fetched_again = 0
        self.records = [Record(n, n + 1, 0, name) for n, name in enumerate(suppliers)]
        self.data = bytearray(self.byte(name, n) for n, name in enumerate(suppliers))

    def byte(self, name: str, position: int) -> int:
        return TRUTH[position] ^ (position in self.wrong_at.get(name, set()))

    def run(self, doubt: Doubt, trial: Trial, sources: tuple[str, ...]) -> None:
        """Fetch again what is in doubt."""
        self.fetched_again += len(trial.records)
        believed = trial.believed or sources[0]
        for record in trial.records:
            old, new = self.data[record.start], self.byte(believed, record.start)
            doubt.compare(record.start, bytes([old]), bytes([new]))
            self.data[record.start] = new
        again = [Record(r.start, r.end, 0, believed) for r in trial.records]
        self.records = [r for r in self.records if r not in trial.records] + again


def search(file: File, sources: tuple[str, ...], suspected: tuple[str, ...] = (ANOTHER_TOOL,)) -> Doubt | None:
    """Return the doubt when the file is right, None if that was given up."""
    doubt = Doubt()
    for _ in range(10):
        trial = doubt.next_trial(file.records, sources=sources, suspected=suspected)
        if trial is None:
            return None
        file.run(doubt, trial, sources)
        if file.data == TRUTH:
            return doubt
    raise AssertionError("it does not end")


def test_of_two_sources_the_liar_is_found_and_what_the_other_brought_stays() -> None:
    file = File(["A", "B"] * 6, {"B": {3, 7}})

    doubt = search(file, ("A", "B"))

    assert doubt is not None
    assert doubt.liars() == {"B"}
    assert file.fetched_again == 6


def test_a_liar_who_is_trusted_most_is_found_too() -> None:
    file = File(["A", "B"] * 6, {"A": {2}})

    doubt = search(file, ("A", "B"))

    assert doubt is not None
    assert doubt.liars() == {"A"}


def test_another_tools_bytes_are_doubted_first() -> None:
    file = File([ANOTHER_TOOL] * 3 + ["A"] * 9, {ANOTHER_TOOL: {1}})

    doubt = search(file, ("A", "B"))

    assert doubt is not None
    assert file.fetched_again == 3


def test_who_brought_all_of_a_wrong_file_is_asked_last() -> None:
    doubt = Doubt()
    records = [Record(0, 12, 0, "A")]

    assert doubt.next_trial(records, sources=("A", "B"), suspected=()) == Trial("B", tuple(records))


def test_a_single_source_gets_one_more_chance_and_is_no_liar_for_it() -> None:
    file = File(["A"] * 12, {"A": {4}})
    doubt = Doubt()
    trial = doubt.next_trial(file.records, sources=("A",), suspected=())
    assert trial is not None
    file.wrong_at = {}

    file.run(doubt, trial, ("A",))

    assert file.data == TRUTH
    assert doubt.liars() == set()
    assert doubt.next_trial(file.records, sources=("A",), suspected=()) is None


@given(
    st.lists(st.sampled_from([*NAMES, ANOTHER_TOOL, ""]), min_size=12, max_size=12),
    st.dictionaries(st.sampled_from(["A", "B", ANOTHER_TOOL, ""]), st.sets(st.integers(0, 11))),
    st.permutations(NAMES),
)
def test_with_one_honest_source_the_file_always_becomes_right_and_the_honest_one_is_not_accused(
    suppliers: list[str], wrong_at: dict[str, set[int]], order: list[str]
) -> None:
    file = File(suppliers, wrong_at)
    if file.data == TRUTH:
        return

    doubt = search(file, tuple(order))

    assert doubt is not None
    assert "C" not in doubt.liars()


@given(st.lists(st.sampled_from(NAMES), min_size=12, max_size=12))
def test_when_all_lie_the_search_ends(suppliers: list[str]) -> None:
    assert search(File(suppliers, {name: {0, 5, 11} for name in NAMES}), NAMES) is None
