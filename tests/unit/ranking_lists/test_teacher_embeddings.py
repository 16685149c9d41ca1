"""Teacher embeddings on disk: read as written, equal bytes, other lists refused, digests, mixtures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import rankrefine
from rankrefine.errors import UserError
from rankrefine.ranking_lists import teacher_embeddings
from rankrefine.ranking_lists.lists import Lists

LISTS = Lists(["a", "b"], [["One.", "Two.", "Three."], ["Four.", "Five."]])
TEACHER = {"model": "some", "revision": "1"}


def test_embeddings_come_back_list_by_list(tmp_path: Path):
    rows = torch.arange(10.0).reshape(5, 2)
    teacher_embeddings.write(tmp_path / "e.safetensors", rows, LISTS, TEACHER)
    result, teacher = teacher_embeddings.read(tmp_path / "e.safetensors", LISTS)
    assert [each.tolist() for each in result] == [rows[:3].tolist(), rows[3:].tolist()]
    assert teacher == TEACHER


def test_embeddings_have_the_same_bytes_in_every_process(tmp_path: Path):
    program = (
        "import sys, torch; from pathlib import Path; from rankrefine.ranking_lists.teacher_embeddings import write;"
        "from rankrefine.ranking_lists.lists import Lists;"
        "write(Path(sys.argv[1]), torch.ones(2, 2), Lists(['a'], [['x', 'y']]), {'model': 'm', 'revision': 'r'})"
    )
    files = [tmp_path / f"{i}.safetensors" for i in range(3)]
    environment = os.environ | {"PYTHONPATH": str(Path(rankrefine.__file__).parents[1])}
    for file in files:
        subprocess.run([sys.executable, "-c", program, str(file)], check=True, env=environment)
    assert len({file.read_bytes() for file in files}) == 1


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (Lists(["a"], [["One.", "Two.", "Three."]]), "5 sentences in 2 lists, but the ranking lists have 3 in 1"),
        (Lists(["a", "b"], [["One.", "Two.", "Tree."], ["Four.", "Five."]]), "belongs to ranking lists with other"),
        (Lists(["a", "b"], [["One.", "Two."], ["Three.", "Four.", "Five."]]), "belongs to ranking lists with other"),
    ],
)
def test_embeddings_of_other_lists_are_refused(tmp_path: Path, lists: Lists, message: str):
    teacher_embeddings.write(tmp_path / "e.safetensors", torch.zeros(5, 2), LISTS, TEACHER)
    with pytest.raises(UserError, match=message):
        teacher_embeddings.read(tmp_path / "e.safetensors", lists)


def test_truncated_embeddings_are_refused(tmp_path: Path):
    file = tmp_path / "e.safetensors"
    teacher_embeddings.write(file, torch.zeros(5, 2), LISTS, TEACHER)
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(UserError, match=r"e\.safetensors is corrupt or truncated"):
        teacher_embeddings.read(file, LISTS)
    with pytest.raises(UserError, match="There is no file"):
        teacher_embeddings.read(tmp_path / "none", LISTS)


def test_a_digest_belongs_to_the_values(tmp_path: Path):
    rows = torch.arange(10.0).reshape(5, 2)
    lists = list(rows.split(LISTS.sizes))
    assert teacher_embeddings.digest(lists) == teacher_embeddings.digest([part.clone() for part in lists])
    assert teacher_embeddings.digest(lists) != teacher_embeddings.digest(list((rows + 1e-6).split(LISTS.sizes)))


def test_several_files_are_read_as_one_teacher(tmp_path: Path):
    files = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for number, file in enumerate(files):
        rows = torch.nn.functional.normalize(torch.rand(5, 2 + number), dim=-1)
        teacher_embeddings.write(file, rows, LISTS, TEACHER)
    one, teachers = teacher_embeddings.read_mixed(files[:1], [1.0], LISTS)
    assert teachers == [TEACHER | {"weight": 1.0}]
    assert all(torch.equal(*pair) for pair in zip(one, teacher_embeddings.read(files[0], LISTS)[0], strict=True))
    both, teachers = teacher_embeddings.read_mixed(files, [0.25, 0.75], LISTS)
    assert [teacher["weight"] for teacher in teachers] == [0.25, 0.75]
    assert [rows.shape for rows in both] == [(3, 5), (2, 5)]
    with pytest.raises(UserError, match=r"number of teacher embeddings \(2\) and of weights \(1\) differ"):
        teacher_embeddings.read_mixed(files, [1.0], LISTS)


def test_mixed_teachers_have_the_weighted_mean_of_their_cosines():
    one, other = (
        [torch.nn.functional.normalize(torch.randn(size, dim, dtype=torch.float64), dim=-1) for size in (5, 3)]
        for dim in (6, 9)
    )
    mixed = teacher_embeddings.mix([one, other], [0.25, 0.75])
    for a, b, both in zip(one, other, mixed, strict=True):
        assert torch.allclose(both @ both.T, 0.25 * a @ a.T + 0.75 * b @ b.T)
