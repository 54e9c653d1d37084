"""Tables and folders of texts, and what is said of damaged ones."""

import gzip
from pathlib import Path

import pytest

from metawright.errors import InputError
from metawright.tasks.text_files import read_texts

TABLE = {"no": ("nope",), "yes": ("go on", 'a "quoted", text')}


def test_tables_of_every_kind_say_the_same(tmp_path: Path) -> None:
    rows = 'text,label\ngo on,yes\n\n"a ""quoted"", text",yes\nnope, no \n'
    (tmp_path / "a.csv").write_text(rows)
    (tmp_path / "marked.CSV").write_bytes(b"\xef\xbb\xbf" + rows.encode())
    (tmp_path / "a.tsv").write_text(
        'label\ttext\nyes\tgo on\nyes\t"a ""quoted"", text"\nno\tnope\n'
    )
    lines = [
        '{"text": "go on", "label": "yes", "more": 1}',
        '{"text": "a \\"quoted\\", text", "label": "yes"}',
        "",
        '{"text": "nope", "label": "no"}',
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(rows.encode()))
    for name in ("a.csv", "marked.CSV", "a.tsv", "a.jsonl", "b.csv.gz"):
        assert read_texts(tmp_path / name) == TABLE, name


def test_columns_of_other_names_and_numbers_as_labels(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"words": "hello\\nyou", "kind": 3}')
    found = read_texts(tmp_path / "a.jsonl", text="words", label="kind")
    assert found == {"3": ("hello\nyou",)}


def test_folders(tmp_path: Path) -> None:
    for name, content in (("b/1.txt", "one\ntwo"), ("b/2.TXT", "three"), ("a/x.txt", "four")):
        (tmp_path / "deep" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "deep" / name).write_text(content)
    assert read_texts(tmp_path / "deep") == {"a": ("four",), "b": ("one\ntwo", "three")}
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "b.txt").write_text("one\n\n two \n")
    (tmp_path / "flat" / "a.txt").write_text("three")
    assert read_texts(tmp_path / "flat") == {"a": ("three",), "b": ("one", "two")}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", r"a.csv' is empty"),
        ("a.csv", b" \n", r"a.csv' is empty"),
        ("a.csv", b"text,label\n", r"has a first line only"),
        (
            "a.csv",
            b"text,kind\na,b\n",
            r"columns 'text' and 'label', but line 2 has 'text', 'kind'",
        ),
        ("a.csv", b"text,label\na,b\nonly text\n", r"Line 3 of '.*a.csv' has nothing in 'label'"),
        ("a.csv", b"text,label\na,b\n ,b\n", r"Line 3 of '.*a.csv' has nothing in 'text'"),
        ("a.csv", b"text,label\na\xff,b\n", r"must be text in UTF-8, but its byte 12 is not"),
        ("a.tsv", b"text,label\na,b\n", r"but line 2 has 'text,label'"),
        ("a.jsonl", b'{"text": 1\n', r"Line 1 of '.*a.jsonl' is no JSON"),
        ("a.jsonl", b"[1]\n", r"Line 1 of '.*a.jsonl' must be a JSON object"),
        ("a.jsonl", b'{"text": "a", "label": null}', r"Line 1 .* has nothing in 'label'"),
        ("a.csv.gz", b"no gzip", r"a.csv.gz' cannot be read"),
        ("a.xlsx", b"PK", r"no table of texts that can be read: use one of .csv, .tsv, .jsonl"),
        ("b/1.txt", b"\xff\xfe", r"1.txt' must be text in UTF-8"),
        ("b/1.txt", b"", r"1.txt' is empty"),
        ("b/1.png", b"", r"Class folder '.*b' has no .txt files"),
    ],
)
def test_what_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / "f" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_texts(tmp_path / "f" if "/" in name else path)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file or folder"):
        read_texts(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="holds no texts"):
        read_texts(tmp_path)


def test_a_very_long_text_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n" + "word " * 50_000 + ",b\n")
    assert len(read_texts(tmp_path / "a.csv")["b"][0]) == 250_000
