"""The words of the lexical search: compounds are found alone and together, at indexing and at asking."""

import asyncio
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content_service.knowledge.terms import to_term_text
from content_service.tests.conftest import ContentService

SENTENCES = [
    "The Second World War (1939-1945) cost more lives than any war before it.",
    "Queen Victoria (1819–1901) reigned over the empire for sixty-three years.",
    "The school year 2025-26 begins with a feast in the garden.",
    "The night of 2024-05-17 brought the brightest aurora of the decade.",
    "The order form PPR-9087 is for glass bottles of the laboratory.",
    "The order form PPR-1044 is for rubber gloves of the laboratory.",
    "Mercury freezes at -39 degrees and boils far above water.",
    "Version 3.11.4 of the program was released in June.",
    "Questions about homework go to helpdesk@lindenhof.example please.",
    "The atlas of the oceans is at https://maps.lindenhof.example/atlas?sheet=77 for members.",
    "The file is stored under /etc/passwd on every Unix machine.",
    "Call the function get_user_by_id with the number of the pupil.",
    "The element <blockquote> marks words of somebody else.",
    "An X-ray shows the bones of the hand.",
    "The “firmament” is an old word for the sky.",
    "The population of the town was 1,234,567 in the last census.",
    "Die Größe der Moleküle bestimmt die Diffusion.",
    "गंगा नदी हिमालय से निकलती है।",
    "يضخ القلب الدم إلى الجسم؟",
    "植物通过光合作用把光能转化为化学能。",
]
QUERIES = {
    "What happened in 1945?": "1939-1945",
    "1939": "1939-1945",
    "1939-1945": "1939-1945",
    "Who died in 1901?": "Victoria",
    "26": "2025-26",
    "2025": "2025-26",
    "17": "2024-05-17",
    "2024-05-17": "2024-05-17",
    "9087": "PPR-9087",
    "PPR-9087": "PPR-9087",
    "form ppr-1044": "PPR-1044",
    "PPR 1044": "PPR-1044",
    "39": "Mercury",
    "-39": "Mercury",
    "3.11.4": "Version",
    "version 3.11": "Version",
    "helpdesk": "homework",
    "helpdesk@lindenhof.example": "homework",
    "sheet 77": "oceans",
    "https://maps.lindenhof.example/atlas": "oceans",
    "passwd": "/etc",
    "/etc/passwd": "/etc",
    "get_user_by_id": "get_user",
    "blockquote": "blockquote",
    "<blockquote>": "blockquote",
    "xray": "X-ray",
    "firmament": "firmament",
    "1234567": "census",
    "Grösse": "Größe",
    "MOLEKULE": "Größe",
    "गंगा": "गंगा",
    "الدم": "القلب",
    "什么是光合作用？": "光合作用",
}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1939-1945", "1939 1945 19391945"),
        ("(1939–1945)", "1939 1945 19391945"),
        ("-5, +7 and 3.14", "5 7 and 3 14 3.14"),
        ("a<b and c>d", "a b and c d"),
        ("don’t “quote”", "don t quote"),
        ("Größe CAFÉ ﬁn", "grosse cafe fin"),
        ("है। क्या?", "है क्या"),
        ("می\u200cشوند", "میشوند"),
        ("光合作用 第3章", "光合 合作 作用 第 3 章"),
        ("", ""),
    ],
)
def test_words_are_separated(text: str, words: str) -> None:
    assert to_term_text(text) == words


@given(st.text())
def test_only_letters_marks_and_digits_remain_and_no_word_is_lost(text: str) -> None:
    words = to_term_text(text)
    assert all(unicodedata.category(character)[0] in "LMN" or character in " ." for character in words)
    for word in text.split():
        if word.isascii() and word.isalnum():
            assert word.casefold() in words.split()


async def test_parts_and_wholes_of_compounds_are_found_first(content: ContentService) -> None:
    teacher = content.teacher()
    lesson = await content.lesson(teacher)
    for sentence in SENTENCES:
        await content.published_material(teacher, sentence, lesson.content_id)
    found = await asyncio.gather(*(content.search(teacher, query, top_k=1) for query in QUERIES))
    best = {query: [chunk.text for chunk in chunks] for query, chunks in zip(QUERIES, found, strict=True)}
    assert {query: text for query, text in best.items() if not (text and QUERIES[query] in text[0])} == {}
