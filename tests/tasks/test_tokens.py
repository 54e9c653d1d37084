"""Hashed pieces of words."""

import zlib

import pytest
import torch

from metawright.errors import InputError
from metawright.tasks.tokens import token_ids, tokenise


def test_ids_are_the_hashes_of_three_letters() -> None:
    expected = [1 + zlib.crc32(piece) % 4095 for piece in (b"<pa", b"pay", b"ay>", b"<I>", b"<!>")]
    expected[3] = 1 + zlib.crc32(b"<i>") % 4095
    assert token_ids("Pay I!") == expected


def test_case_and_ways_to_write_a_character_make_no_difference() -> None:
    assert token_ids("CAFÉ ﬁne") == token_ids("cafe\u0301 fine")
    assert token_ids("straße") == token_ids("STRASSE")
    assert token_ids("支付 100") != token_ids("支付 200")


def test_ends_of_words_count() -> None:
    assert set(token_ids("in")) != set(token_ids("i n"))
    assert token_ids("ab cd") == token_ids("ab") + token_ids("cd")


def test_texts_are_filled_up_and_cut_off() -> None:
    ids = tokenise(["", "go", "a very long text indeed"], tokens=6, vocabulary=50)
    assert ids.dtype == torch.int64
    assert ids[0].tolist() == [0] * 6
    assert (ids[1] > 0).tolist() == [True, True, False, False, False, False]
    assert ids[2].tolist() == token_ids("a very long text indeed", 50)[:6]
    assert 0 < int(ids[2].min()) <= int(ids.max()) < 50
    assert tokenise([]).shape == (0, 64)


def test_what_is_refused() -> None:
    for arguments in ({"tokens": 0}, {"vocabulary": 1}):
        with pytest.raises(InputError, match="`tokens >= 1` and `vocabulary >= 2` must hold"):
            tokenise(["a"], **arguments)
