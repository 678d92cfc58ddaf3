"""Files of workflows: what they say, and what is said of those that are wrong."""

from __future__ import annotations

import pytest

from perfmodel.errors import SpecError
from perfmodel.workloads.workflows import Call, Choose, Parallel, Repeat, Wait, load_workflow

HEAD = """schema: workflow/1
name: mine
description: a test
sources:
  s: {title: nowhere, verified: false}
stages:
"""


def read(tmp_path, stages):
    path = tmp_path / "mine.yaml"
    path.write_text(HEAD + stages)
    return load_workflow(path)


def test_all_kinds_of_stages(tmp_path):
    found = read(
        tmp_path,
        """
  - call: {source: s, input: {median: 100, p90: 300}, output: 20, samples: 3, cached: 50}
  - wait: {name: search, source: s, time: {mean: 2 s, fixed: true}, usd: 0.01}
  - parallel:
      branches:
        - - call: {role: other, source: s, input: 10, output: 1, history: false, copies: 4}
        - - wait: {time: {value: 5 ms, source: s}}
  - repeat: {source: s, mean_turns: 2.5, most: 9, stages: [{call: {input: 1, output: 1}}]}
  - repeat: {source: s, turns: 3, stages: [{call: {input: 1, output: 1}}]}
  - choose: {source: s, share: 0.2, stages: [{wait: {time: 1 s}}], otherwise: [{wait: {time: 2 s}}]}
""",
    )
    asked, search, both, loose, fixed, some = found.stages
    assert isinstance(asked, Call)
    assert (asked.samples, asked.cached_tokens, asked.role) == (3, 50, "main")
    assert asked.input_tokens.quantile(0.9) == pytest.approx(300.0)
    assert asked.output_tokens.sigma == 0.0
    assert isinstance(search, Wait)
    assert (search.seconds.mean, search.usd) == (2.0, 0.01)
    assert isinstance(both, Parallel)
    assert len(both.branches) == 2
    assert isinstance(loose, Repeat)
    assert (loose.turns, loose.fixed, loose.most) == (2.5, False, 9)
    assert isinstance(fixed, Repeat)
    assert (fixed.turns, fixed.fixed) == (3.0, True)
    assert isinstance(some, Choose)
    assert some.otherwise
    assert found.roles == ("main", "other")


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ("  - wait: {time: {value: 1 s, source: s}}", "no call of a model"),
        ("  - call: {input: 10, output: 1}", "has no source"),
        ("  - call: {source: s, input: 10}", "missing required key 'stages[0].call.output'|output"),
        ("  - cal: {source: s, input: 10, output: 1}", "did you mean 'call'"),
        ("  - [1]", "must be one of call, wait, parallel, repeat, choose"),
        ("  - repeat: {source: s, stages: [{call: {input: 1, output: 1}}]}", "mean_turns"),
        ("  - choose: {source: s, share: 2, stages: [{call: {input: 1, output: 1}}]}", "at most 1"),
        ("  - call: {source: s, input: 10, output: 1, samples: 2, copies: 2}", "one of them"),
        ("  - call: {source: s, input: {median: 10, p90: 1}, output: 1}", "below the median"),
        ("  - wait: {source: s, time: 5 parsec}", "parsec"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, stages, said):
    with pytest.raises(SpecError, match=said) as error:
        read(tmp_path, stages)
    assert "mine.yaml" in str(error.value)
