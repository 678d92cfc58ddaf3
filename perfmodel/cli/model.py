"""``perfmodel model``: the models of the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.output import note, print_columns, print_json, short
from perfmodel.cli.plain import PlainCommand, examples, new_app
from perfmodel.errors import InputError

if TYPE_CHECKING:
    from perfmodel.workloads.families.registry import Adapter
    from perfmodel.workloads.spec import LanguageModel

app = new_app("List, show, import and check models.")
_ANY_ENGINE = frozenset({"bfloat16", "float16", "fp8", "fp4", "int8"})


@app.command("list", cls=PlainCommand, epilog=examples("model list", "model list --json"))
def list_(json: o.Json = False) -> None:
    """List the models of the library and of the folders in PERFMODEL_SPECS."""
    from perfmodel.workloads.library import list_models, load_model

    rows = [_summary(load_model(name)) for name in list_models()]
    if json:
        print_json({"schema": "perfmodel/models/1", "models": rows})
        return
    heading = ("model", "family", "layers", "parameters", "active/token", "KV kB/token", "context")
    print_columns([heading, *(_cells(row) for row in rows)], numbers=range(2, 7))


def _summary(model: LanguageModel) -> dict[str, Any]:
    from perfmodel.workloads.parameters import active_parameters_per_token, kv_bytes_per_token, parameters

    return {
        "name": model.name,
        "family": model.family,
        "layers": model.layer_count,
        "parameters": parameters(model),
        "active_parameters_per_token": active_parameters_per_token(model),
        "kv_bytes_per_token": kv_bytes_per_token(model),
        "maximum_tokens": model.maximum_tokens,
    }


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        row["name"], row["family"], str(row["layers"]), _billions(row["parameters"]),
        _billions(row["active_parameters_per_token"]), f"{row['kv_bytes_per_token'] / 1e3:,.1f}",
        f"{row['maximum_tokens']:,}" if row["maximum_tokens"] else "",
    ]  # fmt: skip


def _billions(count: int) -> str:
    return f"{count / 1e9:,.2f} B"


@app.command(
    "show",
    cls=PlainCommand,
    epilog=examples("model show llama-3.1-8b", "model show llama-3.1-8b --json --batch 1 --input 2048 --logits all"),
)
def show(
    model: o.Model,
    batch: Annotated[
        str, typer.Option("--batch", metavar="N", help="Sequences of one forward pass, to count its flops.")
    ] = "",
    input_tokens: Annotated[str, typer.Option("--input", metavar="N", help="Tokens of each of them.")] = "",
    logits: Annotated[
        str, typer.Option("--logits", metavar="WHICH", help="last or all: the positions that get logits.")
    ] = "last",
    no_causal: Annotated[bool, typer.Option("--no-causal", help="Count attention as the full square.")] = False,
    json: o.Json = False,
) -> None:
    """Show how big a model is, module by module, and what a forward pass of it computes."""
    if logits not in ("last", "all"):
        raise InputError(f"--logits must be last or all, not '{logits}'")
    from perfmodel.workloads.library import load_model

    found = load_model(model)
    sizes = _sizes(found)
    if batch or input_tokens:
        sizes |= _flops(found, batch or "1", input_tokens or "1", logits, causal=not no_causal)
    if json:
        print_json(_object(found, sizes))
    else:
        _print(found, sizes)


def _sizes(model: LanguageModel) -> dict[str, Any]:
    from perfmodel.workloads import parameters as p

    return {
        "parameters": p.parameters(model),
        "parameters_text": p.parameters_text(model),
        "active_parameters_per_token": p.active_parameters_per_token(model),
        "kv_bytes_per_token": p.kv_bytes_per_token(model),
        "state_bytes_per_sequence": p.state_bytes_per_sequence(model),
        "weights_bytes": p.weights_bytes(model),
        **({"mtp_parameters": model.mtp_parameters} if model.mtp_parameters else {}),
    }


def _flops(model: LanguageModel, batch: str, tokens: str, logits: str, *, causal: bool) -> dict[str, float]:
    """Return the flops of a forward pass over ``batch`` new sequences: all flops, and those of matrix products."""
    from perfmodel.arguments import whole
    from perfmodel.plan.layout import step_operators
    from perfmodel.plan.parallelism import Plan
    from perfmodel.plan.precision import choose_precisions
    from perfmodel.plan.step_shape import StepShape

    count, length = whole("--batch", batch), whole("--input", tokens)
    shape = StepShape(prefills=count, new_tokens=length, prefill_context=length, logits=logits, causal=causal)
    every = matrix = 0.0
    for step in step_operators(model, Plan(), choose_precisions(model, _ANY_ENGINE), shape):
        counts = step.operator.counts()
        every += step.repeat * float(counts.total_flops())
        matrix += step.repeat * float(counts.filter_flops(engine="tensor").total_flops())
    return {"flops": every, "matmul_flops": matrix}


def _object(model: LanguageModel, sizes: dict[str, Any]) -> dict[str, Any]:
    from perfmodel.workloads.parameters import parameter_rows

    rows = [
        {
            "module": r.module,
            "group": r.group,
            "format": r.format,
            "layers": r.layers,
            "parameters": r.total,
            "bytes": r.bytes,
        }
        for r in parameter_rows(model)
    ]
    return {
        "schema": "perfmodel/model/1",
        "name": model.name,
        "family": model.family,
        **sizes,
        "hidden": model.hidden,
        "vocabulary": model.vocabulary,
        "layers": model.layer_count,
        "maximum_tokens": model.maximum_tokens,
        "tied_embeddings": model.tied_embeddings,
        "published_parameters": model.published_parameters,
        "source": model.source,
        "verified": model.verified,
        "modules": rows,
        "towers": _towers(model),
        "spec_hash": model.spec_hash,
        "path": model.path,
    }


def _towers(model: LanguageModel) -> list[dict[str, Any]]:
    """Return the parts beside the language model, with what they compute for an image of the usual size."""
    from perfmodel.plan.towers import tower_flops

    rows: list[dict[str, Any]] = []
    for tower in model.towers:
        every, matrix = tower_flops(tower)
        rows.append({
            "name": tower.name,
            "parameters": tower.parameters,
            "tokens_per_image": tower.tokens,
            "output_tokens_per_image": tower.output_tokens,
            "flops_per_image": every,
            "matmul_flops_per_image": matrix,
        })  # fmt: skip
    return rows


def _print(model: LanguageModel, sizes: dict[str, Any]) -> None:
    from perfmodel.units import format_quantity
    from perfmodel.workloads.parameters import parameter_rows

    print(f"{model.name} ({model.family}): {model.layer_count} layers of width {model.hidden:,}\n")
    for name, value in sizes.items():
        size = "bytes" in name
        shown = (
            format_quantity(value, "bytes") if size and value else short(value) if "flops" in name else f"{value:,.0f}"
        )
        print(f"  {name:<28} {shown}")
    print()
    heading = ("module", "format", "x", "parameters", "size")
    rows = [
        (r.module, r.format, str(r.layers), f"{r.total:,}", format_quantity(r.bytes, "bytes"))
        for r in parameter_rows(model)
    ]
    print_columns([heading, *rows], numbers=(2, 3, 4), indent="  ")
    if model.towers:
        print()
        heading = ("tower", "parameters", "tokens/image", "given on", "flops/image")
        towers = [
            (t["name"], f"{t['parameters']:,}", f"{t['tokens_per_image']:,}", f"{t['output_tokens_per_image']:,}",
             short(t["flops_per_image"]))
            for t in _towers(model)
        ]  # fmt: skip
        print_columns([heading, *towers], numbers=(1, 2, 3, 4), indent="  ")
    print(f"\nsource: {model.source or 'not stated'}{'' if model.verified else ' (not verified)'}")


@app.command("families", cls=PlainCommand, epilog=examples("model families", "model families --json"))
def families(json: o.Json = False) -> None:
    """List the model types whose config.json is understood, with the class that each is counted as."""
    from perfmodel.workloads.families import ADAPTERS

    def architectures(adapter: Adapter) -> list[str]:
        return [adapter.architecture] if isinstance(adapter.architecture, str) else list(adapter.architecture)

    adapters = [adapter for _, adapter in sorted(ADAPTERS.items())]
    if json:
        rows = [
            {"model_type": a.model_type, "architectures": architectures(a), "read_in": a.transformers} for a in adapters
        ]
        print_json({"schema": "perfmodel/families/1", "families": rows})
        return
    cells = [(a.model_type, ", ".join(architectures(a)) or "our own: layers", a.transformers) for a in adapters]
    print_columns([("model_type", "class", "transformers"), *cells])


@app.command(
    "import",
    cls=PlainCommand,
    epilog=examples(
        "model import ./config.json --out my-model.yaml",
        "model import ./config.json --as llama --out my-model.yaml",
    ),
)
def import_(
    config: Annotated[
        str, typer.Argument(metavar="CONFIG", help="A Hugging Face config.json, or the folder that has one.")
    ],
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="The model's name.  [default: the folder's]")
    ] = "",
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="Where to  [default: standard output]")] = "",
    family: Annotated[
        str,
        typer.Option(
            "--as", metavar="FAMILY", help="Read it as this family, whatever it says, and write out its layers to edit."
        ),
    ] = "",
) -> None:
    """Turn a model's config.json into a workload file of our own.

    Put the file into a folder that PERFMODEL_SPECS names, and the model has a name. A config of a family that is not
    known can be started with --as and the nearest family: what is not understood stands in comments, uncounted.
    """
    from perfmodel.workloads.library import import_model

    text = import_model(config, name or None, family or None)
    if not out or out == "-":
        print(text, end="")
        return
    from perfmodel.files import write_text

    write_text(out, text)
    note(f"wrote {out}")


@app.command("check", cls=PlainCommand, epilog=examples("model check", "model check ./my-model.yaml"))
def check(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...", autocompletion=o.complete_model, help="Which; all of them if none is named."
        ),
    ] = None,
    json: o.Json = False,
) -> None:
    """Look for what is well formed and yet likely wrong; exit code 5 if there is an error."""
    from perfmodel.cli.check import check_all
    from perfmodel.workloads.library import check_model, list_models, load_model

    check_all("model", models or list_models(), load_model, check_model, json)
