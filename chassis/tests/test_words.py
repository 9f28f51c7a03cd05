"""Words of texts in any script."""

import pytest

from chassis.words import fold, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Größe CAFÉ ﬁn", "grosse cafe fin"),
        ("प्रकाश संश्लेषण, है।", "प्रकाश संश्लेषण है"),
        ("يضخ القلب؟", "يضخ القلب"),
        ("می\u200cشوند", "میشوند"),
        ("光合作用 第3章", "光合 合作 作用 第 3 章"),
        ("a_b O’Brien", "a b o brien"),
        ("\U000f0000x\U000f0000", "x"),
    ],
)
def test_words_are_folded_and_split(text: str, words: str) -> None:
    assert " ".join(split_words(fold(text))) == words


def test_accents_are_removed_before_and_after_decomposition() -> None:
    assert fold("e\u0301\u0323" + "\u0301\u0323" * 5_000) == "e"
    assert fold("É") == "e"
