"""What docs/make_screenshots.py shows: the pages with their commands, and the views on them."""

from __future__ import annotations

from typing import NamedTuple


class Page(NamedTuple):
    """A page and the command that writes it; of one that is given, the file in the checkout."""

    name: str
    words: str
    given: str = ""
    code: int = 0


class Shot(NamedTuple):
    """A picture: its page, its name, the question that it answers, what of the page is on it, and its least height."""

    page: str
    name: str
    title: str
    question: str
    selector: str = "html"
    dark: bool = False


PAGES = (
    Page("estimate", "estimate llama-3.1-70b --on h100-sxm --tp 4 --batch 64 --input 4096 --output 512 --engine vllm"),
    Page("network", "estimate resnet50 --on rtx-4090 --batch 64"),
    Page("compare-models", "compare resnet50,efficientnet_b0 --on rtx-4090,l40s --batch 64"),
    Page("compare-devices", "compare llama-3.1-70b --on h100-sxm,h200-sxm,mi300x --case tp=4,batch=16"),
    Page("compare-plans", "compare qwen3-235b-a22b --on h200-sxm --case tp=8,ep=8 --case tp=4,attention_dp=2,ep=8"),
    Page("sweep", "sweep llama-3.1-8b --on l40s --batch 1:256:x2 --input 512:16384:x2 --slo ttft=1s,tpot=40ms"),
    Page("sweep-lines", "sweep llama-3.1-8b --on h100-sxm --vary precision=bfloat16,fp8 --batch 1:64:x2"),
    Page("plan", "plan llama-3.1-70b --on h100-sxm --gpus 16 --rate 4 --input 4096 --output 512 --ttft 2s --tpot 40ms"),
    Page("simulate", "simulate llama-3.1-70b --on h100-sxm --tp 4 --rate 2 --input 2048 --output 256 --engine vllm "
         "--ttft 1s --tpot 50ms"),
    Page("fleet", "fleet llama-3.1-8b --on l4,a10g,a100-sxm-80gb,h100-sxm --rate 8 --usecase chat --tpot 120ms "
         "--engine vllm --day usual"),
    Page("tco", "tco llama-3.1-70b --on h100-sxm --tp 4 --batch 64"),
    Page("require", "require llama-3.1-8b --on l40s --usecase chat --trade bandwidth,peak"),
    Page("sensitivity", "sensitivity llama-3.1-8b --on l40s --batch 16"),
    Page("design", "design llama-3.1-8b --like h100-sxm --vary bandwidth=1TB/s:8TB/s --vary peak=300TFLOP/s:3PFLOP/s "
         "--area 700mm2 --objective joules_per_token,area_mm2"),
    Page("validate", "validate"),
    Page("explorer", "explore llama-3.1-8b --on h100-sxm,l40s"),
    Page("gallery", "gallery --out reports/gallery", "reports/gallery/index.html"),
    Page("gallery-page", "gallery when-fp4-pays --out reports/gallery", "reports/gallery/when-fp4-pays.html"),
    Page("no-plan", "plan llama-3.1-70b --on h100-sxm --gpus 2 --rate 400 --ttft 2ms --tpot 1ms", code=3),
    Page("does-not-fit", "estimate llama-3.1-70b --on h100-sxm --batch 4"),
)  # fmt: skip

SHOTS = (
    Shot("estimate", "answer", "The answer", "How fast, how big, how much energy, how much money?"),
    Shot("estimate", "roofline", "Roofline", "What limits each operator, and how close to the limit does it come?",
         "#roofline", dark=True),
    Shot("estimate", "tiers", "All tiers", "Which tier of the memory, or the link, does a step wait for?", "#tiers"),
    Shot("estimate", "time-by-operator", "Time by operator", "Where does the time of a step go?", "#breakdown"),
    Shot("estimate", "gap", "Efficiency gap", "Where would a faster kernel pay?", "#gap"),
    Shot("estimate", "timeline", "Timeline of a layer", "What runs when, and does communication hide?", "#timeline"),
    Shot("estimate", "memory", "Memory of a device", "What takes the memory?", "#memory"),
    Shot("estimate", "growth", "Memory over context and batch", "How many requests of which length fit?", "#growth"),
    Shot("estimate", "energy", "Energy of a request", "Where do the joules go?", "#energy"),
    Shot("estimate", "utilisation", "Cost by utilisation", "What do tokens of hired devices cost that stand idle?",
         "#utilisation"),
    Shot("network", "blocks", "A network by its blocks", "Which blocks of a CNN take the time?", "#blocks"),
    Shot("compare-devices", "devices", "Devices side by side", "Which device is faster, and through which operators?"),
    Shot("compare-plans", "plans", "Plans side by side", "Which way to split a model is faster, and why?"),
    Shot("compare-models", "models", "Models side by side", "Which network is faster on which device?"),
    Shot("sweep", "heat-map", "Heat map with iso-lines of a service level", "At which loads are the limits kept?"),
    Shot("sweep-lines", "lines", "A sweep over one axis", "What does a choice change as the load grows?"),
    Shot("plan", "front", "Pareto front of plans", "How much speed for a user does throughput cost?"),
    Shot("simulate", "simulation", "Requests one by one", "How many requests are answered within which time?"),
    Shot("fleet", "fleet", "A fleet", "Which mix of devices is the cheapest, and what does following the load save?"),
    Shot("tco", "ownership", "Cost of ownership by utilisation", "What do tokens cost whoever owns the machines?"),
    Shot("require", "region", "Region of what is enough", "What must a platform have for a model to keep its limits?"),
    Shot("sensitivity", "tornado", "Tornado", "Which numbers of machine and load does the answer hang on?"),
    Shot("design", "design", "Which chip to build", "What do the objectives cost each other?"),
    Shot("validate", "validation", "Validation with bands", "How far from measured figures is the model?"),
    Shot("explorer", "explorer", "Explorer", "And if this number were another one?", dark=True),
    Shot("gallery", "gallery", "Gallery", "Which questions have been asked already?"),
    Shot("gallery-page", "gallery-page", "A page of the gallery", "When does FP4 pay?"),
    Shot("no-plan", "no-plan", "Nothing to draw", "What if no plan keeps the limits?"),
    Shot("does-not-fit", "does-not-fit", "Does not fit", "What if the model is too big for the device?"),
)  # fmt: skip
