"""What the pages say follows from the numbers: other numbers, other words; and a hostile name stays text."""

import pytest

from perfmodel.errors import InputError
from perfmodel.gallery import STORIES, build_gallery, index_html, story_html
from perfmodel.gallery.stories import (
    disaggregation,
    edge_npu,
    fp4,
    gpu_for_chat,
    long_context,
    mla_gqa,
    model_2028,
    moe_72,
    phone,
    pim,
    speculation,
    wafer,
)

HOSTILE = '<script>alert(1)</script>"&'


def chat(name, usd, plan="tp 2"):
    return {"device": name, "plan": plan, "misses": "TPOT 1 s", "devices_used": 2, "usd_per_million_tokens": usd,
            "usd_per_hour": 2.0, "ttft_s": 1.0, "tpot_s": 0.02, "tpot_p10_s": 0.015, "tpot_p90_s": 0.026}  # fmt: skip


def mla(model, kind, split, per_token, slow, fit):
    return {"model": model, "kind": kind, "split": split, "plan": "tp 8", "kv_bytes_per_token": per_token,
            "steps": [(4096, 0.01, 0.1), (131072, slow, 0.5)], "fit": fit}  # fmt: skip


def formats(four, eight):
    return [{"precision": p, "batch": b, "s": s[i], "bound_s": s[i] / 2}
            for p, s in (("bfloat16", (4, 4, 4)), ("fp8", eight), ("nvfp4", four)) for i, b in enumerate((0, 1,
            64))]  # fmt: skip


def groups(*rates):
    return [{"load": 16, "group": g, "tokens_per_s": r, "tpot_s": 0.02, "links": 0.1, "fits": True}
            for g, r in zip((8, 36, 72), rates, strict=True)]  # fmt: skip


def handset(model, device, rate, fits=True):
    return {"model": model, "device": device, "tokens_per_s": rate, "low": rate / 2, "high": rate * 2,
        "bound": rate * 3,
            "ttft_s": 1.0, "joules": 0.5, "fits": fits, "limit": "memory"}  # fmt: skip


def image(device, ms, joules):
    return {"device": device, "expected": ms / 1e3, "bound": ms / 2e3, "p10": ms / 1.5e3, "p90": ms / 0.5e3,
            "joules": joules, "watts": 5.0, "bottleneck": "memory", "images_per_s": 1e3 / ms}  # fmt: skip


def in_memory(device, batch, rate, attention=0.1):
    return {
        "device": device,
        "batch": batch,
        "tpot_s": 1 / rate,
        "tokens_per_s": rate,
        "joules": None,
        "attention": attention,
    }


def served(system, batch, user, wafer=False):
    return {"system": system, "wafer": wafer, "batch": batch, "user": user, "tokens_per_s": batch * user,
        "tpot_s": 1 / user,
            "p90_s": 2 / user, "joules": 1.0}  # fmt: skip


def steps(model, first, last, fit):
    return [{"model": model, "kind": "a kind", "context": c, "s": s, "fit": fit, "kv_bytes": 1e9}
            for c, s in ((4096, first), (1048576, last))]  # fmt: skip


def drafted(late):
    return [{"acceptance": 0.8, "drafts": n, "batch": b, "tpot_s": s}
            for n, pair in ((0, (0.02, 0.04)), (1, (0.01, late))) for b, s in zip((16, 4096), pair,
            strict=True)]  # fmt: skip


def pools(agg, disagg):
    return [{"input_tokens": 1024, "tpot_s": t, "agg": a, "disagg": d, "agg_plan": "tp 2", "disagg_plan": "two"}
            for t, a, d in zip((0.01, 0.05), agg, disagg, strict=True)]  # fmt: skip


def size(trillions, factor, used):
    need = {"meaning": "memory bandwidth", "has": 1.0, "floor": 2.0, "formula": "bytes / TPOT",
    "enough": factor is not None,
            "has_text": "1 TB/s", "floor_text": "2 TB/s", "alone_text": "3 TB/s"}  # fmt: skip
    return {"trillions": trillions, "active": 3e10, "factor": factor, "needs": [need], "ttft_s": 1.0, "tpot_s": 0.02,
            "bytes": used, "has_bytes": 1.0}  # fmt: skip


CASES = [
    (gpu_for_chat, [chat("a", 1.0), chat("b", 2.0)], "a is the cheapest: $1.00"),
    (gpu_for_chat, [chat("a", 3.0), chat("b", 2.0)], "a costs 50 % more."),
    (gpu_for_chat, [chat("a", 2.2), chat("b", 2.0)], "so measure both"),
    (gpu_for_chat, [chat("a", 1.0, None)], "No device here serves the load"),
    (mla_gqa, [mla("x", "MLA", "by head", 1e3, 0.03, 9), mla("y", "GQA", "by head", 4e3, 0.02, 3)],
     "MLA keeps the smallest"),
    (mla_gqa, [mla("x", "MLA", "by head", 9e3, 0.03, 9), mla("y", "GQA", "by head", 4e3, 0.02, 3)],
     "GQA keeps the smallest"),
    (mla_gqa, [mla("x", "MLA", "one", 1e3, 0.03, 8), mla("x", "MLA", "two", 1e3, 0.03, 2)],
     "x holds 4 times as many with one"),
    (fp4, formats((1, 1, 3), (2, 1.1, 3)), "gains most in prefill"),
    (fp4, formats((1, 1, 3), (1.1, 2, 3)), "gains most in decode"),
    (fp4, formats((1, 1, 3), (1.1, 1.1, 3)), "expected at no batch"),
    (moe_72, groups(10, 20, 30), "make 3 times the tokens on 72"),
    (moe_72, groups(10, 60, 30), "the best is 36, 100 % more than 72"),
    (phone, [handset("m", "a", 20), handset("m", "b", 2)], "keep up on 1 of 2 phones, best a"),
    (phone, [handset("m", "a", 2)], "on none of these phones"),
    (phone, [handset("m", "a", 20, fits=False)], "fits none of these phones"),
    (edge_npu, [image("a", 1, 0.2), image("b", 9, 0.1)], "b the least energy"),
    (edge_npu, [image("a", 1, 0.1), image("b", 9, 0.2)], "takes the least energy of those"),
    (pim, [in_memory("h100-sxm", 1, 10), in_memory("attacc", 1, 30)], "For one user attacc makes 3 times"),
    (pim, [in_memory("h100-sxm", 1, 10), in_memory("attacc", 1, 5)], "nothing beats h100-sxm"),
    (pim, [in_memory("h100-sxm", 1, 10, 0.8), in_memory("attacc", 1, 30)], "80 % of the GPU's step"),
    (wafer, [served("w", 1, 90, True), served("g", 1, 10), served("w", 8, 20, True), served("g", 8, 30)],
     "From 8 requests at once g"),
    (wafer, [served("w", 1, 90, True), served("g", 1, 10)], "At no load up to 1 requests"),
    (wafer, [served("w", 1, 9, True), served("g", 1, 18)], "g is faster than w, 2 times"),
    (long_context, steps("a", 1, 8, 0) + steps("b", 1, 1, 9), "a cannot hold one sequence"),
    (long_context, steps("a", 1, 8, 1) + steps("b", 1, 1, 9), "that of b (a kind) stays as it is; each fits"),
    (speculation, drafted(0.03), "for 4096 one is best, 1.33 times"),
    (speculation, drafted(0.05), "it is best not to draft"),
    (disaggregation, pools((10, 20), (20, 20)), "make up to 2 times the tokens (TPOT within 10 ms), and as much"),
    (disaggregation, pools((10, 20), (9, 20)), "never gain"),
    (disaggregation, pools((None, None), (9, 20)), "no limit here is kept by both"),
    (model_2028, [size(1, 0.5, 0.5), size(10, 3.0, 2.0)], "up to 1 T parameters of"),
    (model_2028, [size(10, 3.0, 2.0)], "need 3 times the peak"),
    (model_2028, [size(10, None, 2.0)], "no factor on peak"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "rows", "words"), CASES)
def test_the_finding_follows_from_the_numbers(module, rows, words):
    told = module.tell(rows)
    said = " ".join([told.finding, *(view.finding for view in told.views)])
    assert words in said


def test_every_story_is_told_from_made_up_numbers():
    assert {module.STORY.name for module, _, _ in CASES} == {story.name for story in STORIES}


def test_a_hostile_name_stays_text_on_a_page_and_in_the_index():
    told = gpu_for_chat.tell([chat(HOSTILE, 1.0, HOSTILE), chat("b", 2.0)])
    for page in (story_html(gpu_for_chat.STORY, told), index_html({gpu_for_chat.STORY.name: told.finding})):
        assert "<script" not in page
        assert "&lt;script&gt;" in page


def test_a_page_is_small_and_loads_nothing():
    page = story_html(fp4.STORY, fp4.tell(formats((1, 1, 3), (2, 1.1, 3))))
    assert len(page) < 60_000
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert 'class="wide"' in page
    assert 'class="narrow"' in page


def test_pages_are_written_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "perfmodel.gallery.build.STORIES",
        [type(fp4.STORY)("x", "Why?", list, lambda rows: fp4.tell(formats((1, 1, 3), (2, 1.1, 3))))],
    )
    assert set(build_gallery(tmp_path)) == {"x"}
    assert {path.name for path in tmp_path.iterdir()} == {"x.html", "index.html"}
    assert '<a href="x.html">Why?</a>' in (tmp_path / "index.html").read_text()
    with pytest.raises(InputError, match="no page 'y'"):
        build_gallery(tmp_path, ["y"])


@pytest.mark.slow
def test_every_page_is_built_from_real_numbers(tmp_path):
    findings = build_gallery(tmp_path)
    assert set(findings) == {story.name for story in STORIES}
    assert all(path.stat().st_size < 100_000 for path in tmp_path.iterdir())
    assert all("There is nothing to draw" not in path.read_text() for path in tmp_path.iterdir())
