from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qwen3ft_jupyter.transfer.corruption_search import ANOTHER_TOOL, CorruptionSearch, Suspects
from qwen3ft_jupyter.transfer.journal import Record

NAMES = ("A", "B", "C")
TRUTH = bytes(range(12))


class File:
    """A file of twelve bytes, each of which somebody has brought."""

    def __init__(self, source_states: list[str], wrong_at: dict[str, set[int]]) -> None:
        self.wrong_at = wrong_at
        self.fetched_again = 0
        self.records = [Record(n, n + 1, 0, name) for n, name in enumerate(source_states)]
        self.data = bytearray(self.byte(name, n) for n, name in enumerate(source_states))

    def byte(self, name: str, position: int) -> int:
        return TRUTH[position] ^ (position in self.wrong_at.get(name, set()))

    def run(self, corruption_search: CorruptionSearch, suspects: Suspects, sources: tuple[str, ...]) -> None:
        """Fetch again what is in doubt."""
        self.fetched_again += len(suspects.records)
        believed = suspects.trusted or sources[0]
        for record in suspects.records:
            old, new = self.data[record.start], self.byte(believed, record.start)
            corruption_search.compare(record.start, bytes([old]), bytes([new]))
            self.data[record.start] = new
        again = [Record(r.start, r.end, 0, believed) for r in suspects.records]
        self.records = [r for r in self.records if r not in suspects.records] + again


def search(
    file: File, sources: tuple[str, ...], suspected: tuple[str, ...] = (ANOTHER_TOOL,)
) -> CorruptionSearch | None:
    """Return the doubt when the file is right, None if that was given up."""
    corruption_search = CorruptionSearch()
    for _ in range(10):
        suspects = corruption_search.next_suspects(file.records, sources=sources, suspected=suspected)
        if suspects is None:
            return None
        file.run(corruption_search, suspects, sources)
        if file.data == TRUTH:
            return corruption_search
    raise AssertionError("it does not end")


def test_of_two_sources_the_liar_is_found_and_what_the_other_brought_stays() -> None:
    file = File(["A", "B"] * 6, {"B": {3, 7}})

    corruption_search = search(file, ("A", "B"))

    assert corruption_search is not None
    assert corruption_search.bad_sources() == {"B"}
    assert file.fetched_again == 6


def test_a_liar_who_is_trusted_most_is_found_too() -> None:
    file = File(["A", "B"] * 6, {"A": {2}})

    corruption_search = search(file, ("A", "B"))

    assert corruption_search is not None
    assert corruption_search.bad_sources() == {"A"}


def test_another_tools_bytes_are_doubted_first() -> None:
    file = File([ANOTHER_TOOL] * 3 + ["A"] * 9, {ANOTHER_TOOL: {1}})

    corruption_search = search(file, ("A", "B"))

    assert corruption_search is not None
    assert file.fetched_again == 3


def test_who_brought_all_of_a_wrong_file_is_asked_last() -> None:
    corruption_search = CorruptionSearch()
    records = [Record(0, 12, 0, "A")]

    assert corruption_search.next_suspects(records, sources=("A", "B"), suspected=()) == Suspects("B", tuple(records))


def test_a_single_source_gets_one_more_chance_and_is_no_liar_for_it() -> None:
    file = File(["A"] * 12, {"A": {4}})
    corruption_search = CorruptionSearch()
    suspects = corruption_search.next_suspects(file.records, sources=("A",), suspected=())
    assert suspects is not None
    file.wrong_at = {}

    file.run(corruption_search, suspects, ("A",))

    assert file.data == TRUTH
    assert corruption_search.bad_sources() == set()
    assert corruption_search.next_suspects(file.records, sources=("A",), suspected=()) is None


@given(
    st.lists(st.sampled_from([*NAMES, ANOTHER_TOOL, ""]), min_size=12, max_size=12),
    st.dictionaries(st.sampled_from(["A", "B", ANOTHER_TOOL, ""]), st.sets(st.integers(0, 11))),
    st.permutations(NAMES),
)
def test_with_one_honest_source_the_file_always_becomes_right_and_the_honest_one_is_not_accused(
    source_states: list[str], wrong_at: dict[str, set[int]], order: list[str]
) -> None:
    file = File(source_states, wrong_at)
    if file.data == TRUTH:
        return

    corruption_search = search(file, tuple(order))

    assert corruption_search is not None
    assert "C" not in corruption_search.bad_sources()


@given(st.lists(st.sampled_from(NAMES), min_size=12, max_size=12))
def test_when_all_lie_the_search_ends(source_states: list[str]) -> None:
    assert search(File(source_states, {name: {0, 5, 11} for name in NAMES}), NAMES) is None
